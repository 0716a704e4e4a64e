"""A teacher's features and outputs on disk, sample by sample, for students to learn from; written by any code base.

    CACHE/teacher.json                 what it holds: format, teacher, data, names, shapes, grid, tasks
    CACHE/00000.safetensors            samples 0 to n-1, their tokens as metadata: one tensor per name, samples first
    CACHE/00000.safetensors.sha256     checksum, as `sha256sum` writes it
    CACHE/00001.safetensors            the next n samples; ...

Features are `features.NAME` [n, C, Y, X], outputs `outputs.NAME` [n, ...], names as in `distill.taps`. A chunk without
its checksum was being written when its writer was killed: it is written again. docs/teacher_cache.md shows how to fill
a cache from elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import DataSetError
from bevdeploy.geometry import BEVGrid
from bevdeploy.paths import replacing, write_text
from bevdeploy.tasks import TaskSpec

CACHE_FORMAT = "bevdeploy.teacher/1"
HEADER = "teacher.json"
TOKENS_KEY = "tokens"
FEATURE, OUTPUT = "features.", "outputs."
"""What the names of tensors begin with."""
FILL = "docs/teacher_cache.md shows how to fill a cache"

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class CacheHeader:
    """What a cache holds."""

    teacher: str
    data: str
    """Fingerprint of the data set: the digest of its tokens, in their order."""
    tensors: dict[str, tuple[str, tuple[int, ...]]]
    """Name to NumPy dtype and the shape of one sample."""
    grid: BEVGrid
    """That the teacher's BEV features cover."""
    tasks: TaskSpec
    chunk: int
    """Samples per file; the last may have fewer."""
    note: dict[str, str] = field(default_factory=dict)
    """Where it comes from: code, checkpoint, settings."""

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {"format": CACHE_FORMAT, **json.loads(json.dumps(asdict(self)))}


def data_fingerprint(tokens: Sequence[str]) -> str:
    """Equal for the same keyframes in the same order."""
    return hashlib.sha256("\n".join(tokens).encode()).hexdigest()[:16]


class TeacherCacheWriter:
    """Writes the chunks of a cache in order; those that are whole already are passed over."""

    def __init__(self, folder: Path, header: CacheHeader, tokens: Sequence[str]) -> None:
        """Start a cache, or go on with one of the same header.

        Raises:
            DataSetError: the folder holds another cache.
            OutputError: the folder cannot be written.
        """
        self.folder, self.header, self.tokens = Path(folder), header, tuple(tokens)
        path = self.folder / HEADER
        if path.is_file():
            held = load_header(self.folder)
            if held.document() != header.document():
                raise DataSetError(
                    f"{path}: holds another cache ({_difference(held, header)}); write to another folder, or remove it"
                )
        else:
            write_text(path, json.dumps(header.document(), indent=1) + "\n")

    def missing(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Number and tokens of each chunk that is not whole yet."""
        for number, tokens in enumerate(_chunks(self.tokens, self.header.chunk)):
            path = chunk_path(self.folder, number)
            if not (path.is_file() and _sum_path(path).is_file()):
                yield number, tokens

    def write(self, number: int, tokens: Sequence[str], arrays: Arrays) -> None:
        """One chunk: arrays [samples, ...] by the header's names.

        Raises:
            DataSetError: names, shapes or dtypes are not the header's, or a value is not finite.
            OutputError: the disk is full or cannot be written.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        path = chunk_path(self.folder, number)
        if set(arrays) != set(self.header.tensors):
            raise DataSetError(f"{path}: got {sorted(arrays)}, the header says {sorted(self.header.tensors)}")
        for name, (dtype, shape) in self.header.tensors.items():
            array = arrays[name]
            if array.shape != (len(tokens), *shape) or array.dtype != np.dtype(dtype):
                raise DataSetError(
                    f"{path}: {name}: expected {dtype} {(len(tokens), *shape)}, got {array.dtype} {array.shape}"
                )
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DataSetError(
                    f"{path}: {name} holds NaN or infinity (float16 ends at 65504); check the teacher, or cache float32"
                )
        _sum_path(path).unlink(missing_ok=True)
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        with replacing(path) as part:
            try:
                save_file(whole, part, _metadata(tokens))
            except SafetensorError as error:  # how a full disk is reported
                raise OSError(str(error)) from error
            digest = _digest(part)
        write_text(_sum_path(path), f"{digest}  {path.name}\n")


class TeacherCache:
    """A whole cache, read sample by sample; every chunk's checksum is compared before its first use."""

    def __init__(self, folder: Path, tokens: Sequence[str] | None = None) -> None:
        """Open a cache; with `tokens` it must hold these, and may hold more.

        Raises:
            DataSetError: it is missing, not whole, damaged, or of another data set.
        """
        self.folder, self.header = Path(folder), load_header(folder)
        self._places: dict[str, tuple[Path, int]] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            if _sum_path(path).is_file():
                self._places |= {token: (path, row) for row, token in enumerate(_tokens_of(path))}
        if not self._places:
            raise DataSetError(f"{folder}: no whole chunk yet; start its writer again, it goes on where it was stopped")
        if tokens is not None:
            self.check_holds(tokens)
        self._checked: set[Path] = set()

    def __len__(self) -> int:
        return len(self._places)

    def check_holds(self, tokens: Sequence[str]) -> None:
        """Compare the cache with the keyframes of a training.

        Raises:
            DataSetError: some of them, or all, are not in it.
        """
        absent = sum(token not in self._places for token in tokens)
        if absent and data_fingerprint(tokens) == self.header.data:
            raise DataSetError(
                f"{self.folder}: not whole, {absent} keyframes are missing; start its writer again, it goes on where "
                "it was stopped"
            )
        if absent:
            raise DataSetError(
                f"{self.folder}: a cache of other keyframes: {absent} of this training's {len(tokens)} are not in it "
                f"({self.header.data}, not {data_fingerprint(tokens)}); let {self.header.teacher} write another"
            )

    def arrays(self, token: str) -> dict[str, NDArray[Any]]:
        """What the teacher said about one keyframe, by name.

        Raises:
            DataSetError: the keyframe is not in the cache, or its chunk is damaged.
        """
        from safetensors import SafetensorError, safe_open

        if token not in self._places:
            raise DataSetError(f"{self.folder}: no keyframe {token}; {FILL}")
        path, row = self._places[token]
        if path not in self._checked:
            check_chunk(path)
            self._checked.add(path)
        try:
            with safe_open(path, "numpy") as chunk:
                arrays = {name: np.asarray(chunk.get_slice(name)[row]) for name in self.header.tensors}
        except (OSError, SafetensorError) as error:
            raise _damaged(path, str(error)) from error
        for name, (dtype, shape) in self.header.tensors.items():
            if arrays[name].shape != shape or arrays[name].dtype != np.dtype(dtype):
                raise _damaged(path, f"{name} is {arrays[name].dtype} {arrays[name].shape}, not {dtype} {shape}")
        return arrays


def load_header(folder: Path) -> CacheHeader:
    """What a cache says that it holds.

    Raises:
        DataSetError: the folder is no cache, or its header is damaged.
    """
    path = Path(folder) / HEADER
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("format") != CACHE_FORMAT:
            raise ValueError(f'"format" is {document.get("format")!r}, not {CACHE_FORMAT!r}')
        return CacheHeader(
            teacher=str(document["teacher"]),
            data=str(document["data"]),
            tensors={
                str(name): (np.dtype(dtype).name, tuple(int(size) for size in shape))
                for name, (dtype, shape) in document["tensors"].items()
            },
            grid=BEVGrid.from_document(document["grid"]),
            tasks=TaskSpec(**{key: _tuples(value) for key, value in document["tasks"].items()}),
            chunk=int(document["chunk"]),
            note={str(key): str(value) for key, value in document["note"].items()},
        )
    except FileNotFoundError as error:
        raise DataSetError(f"{path}: missing, the folder is no teacher cache; {FILL}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataSetError(f"{path}: not a usable header ({type(error).__name__}: {error}); {FILL}") from error


def chunk_path(folder: Path, number: int) -> Path:
    """File of a chunk."""
    return Path(folder) / f"{number:05d}.safetensors"


def check_chunk(path: Path) -> None:
    """Compare a chunk with its checksum.

    Raises:
        DataSetError: they differ, or one of the two cannot be read.
    """
    try:
        expected = _sum_path(path).read_text(encoding="utf-8").split()[0]
        found = _digest(path)
    except (OSError, IndexError, UnicodeError) as error:
        raise _damaged(path, str(error)) from error
    if found != expected:
        raise _damaged(path, f"SHA-256 {found[:12]}..., its checksum file says {expected[:12]}...")


def _tokens_of(path: Path) -> list[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as chunk:
            tokens = json.loads(chunk.metadata()[TOKENS_KEY])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise _damaged(path, "its tokens are no list of names")
    return tokens


def _damaged(path: Path, what: str) -> DataSetError:
    return DataSetError(
        f"{path}: damaged chunk of a teacher cache ({what}); remove it with its .sha256 and start its writer again"
    )


def _metadata(tokens: Sequence[str]) -> dict[str, str]:
    return {TOKENS_KEY: json.dumps(list(tokens))}


def _sum_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _digest(path: Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()


def _chunks(tokens: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(tokens), size):
        yield tuple(tokens[start : start + size])


def _difference(held: CacheHeader, wanted: CacheHeader) -> str:
    mine, yours = ({**header.document(), "note": "", **header.note} for header in (held, wanted))
    return ", ".join(f"{key}: {str(mine[key])[:60]} there" for key in mine if mine[key] != yours.get(key))


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
