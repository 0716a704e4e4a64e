"""SampleIndex: all keyframes of a nuScenes version as memory-mapped arrays. Opened without the devkit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.index_arrays import ATTRIBUTES as ATTRIBUTES
from bevdeploy.data.index_arrays import CLASSES as CLASSES
from bevdeploy.data.index_arrays import DTYPES, IndexArrays
from bevdeploy.data.index_places import changed_tables, index_folder, root_of_folder
from bevdeploy.errors import DataSetError

INDEX_FORMAT = "bevdeploy.index/1"
HEADER_FILE = "index.json"


@dataclass(frozen=True)
class SceneRecord:
    """One drive."""

    name: str
    location: str
    splits: tuple[str, ...]
    """Of `train`, `val`, `test`, `mini_train`, `mini_val`, `train_detect`, `train_track`."""


@dataclass(frozen=True, eq=False)
class MapRaster:
    """The map of one location around where its drives went."""

    planes: NDArray[np.uint8]
    """[3, H, W], rows along y: polygon bits, distance to the nearest divider, distance to the nearest boundary."""
    lower_m: tuple[float, float]
    """Lower bound along x, y; global frame."""
    cell_m: float


@dataclass(frozen=True, eq=False)
class SampleIndex:
    """An opened index; pickled as its place, so that workers map the same files."""

    folder: Path
    root: Path
    """Of the data set: paths are relative to it."""
    version: str
    build: str
    """Number of this build; another one has another."""
    scenes: tuple[SceneRecord, ...]
    arrays: IndexArrays
    maps: Mapping[str, MapRaster]
    """By location; only those with a map expansion."""

    def __len__(self) -> int:
        return len(self.arrays.token)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.folder, self.root, self.build)

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits that have a scene here."""
        return tuple(sorted({split for scene in self.scenes for split in scene.splits}))

    def keyframes(self, split: str | None = None) -> NDArray[np.int64]:
        """Keyframes of a split or of one scene (`scene-0061`), in order; all for None.

        Raises:
            DataSetError: there is none.
        """
        if split is None:
            return np.arange(len(self))
        chosen = [n for n, scene in enumerate(self.scenes) if split in scene.splits or split == scene.name]
        if not chosen:
            raise DataSetError(
                f"{self.folder}: no scene of split {split!r} in {self.version}; there are "
                f"{', '.join(self.splits) or 'none of the splits'}, and the scenes by name"
            )
        return np.flatnonzero(np.isin(self.arrays.scene, chosen))

    def scene_of(self, keyframe: int) -> SceneRecord:
        """The scene of a keyframe."""
        return self.scenes[int(self.arrays.scene[keyframe])]

    def boxes_of(self, keyframe: int) -> slice:
        """Rows of a keyframe's boxes."""
        return slice(int(self.arrays.box_first[keyframe]), int(self.arrays.box_first[keyframe + 1]))

    def lidar_of(self, keyframe: int) -> slice:
        """Rows of a keyframe's lidar files."""
        return slice(int(self.arrays.lidar_first[keyframe]), int(self.arrays.lidar_first[keyframe + 1]))


def open_index(path: Path, version: str | None = None, root: Path | None = None, check: bool = True) -> SampleIndex:
    """Open an index; nothing is read but its header.

    Args:
        path: an index folder, or the nuScenes root whose index lies at its default place.
        version: of a root that has several.
        root: where the data set lies, if it was moved since; None takes the place beside the index, or the header's.
        check: compare the tables with those that the index was built from.

    Raises:
        DataSetError: there is no index, it is damaged or of another format, or the data set has changed since.
    """
    path = Path(path)
    folder = path if (path / HEADER_FILE).is_file() else index_folder(path, version, HEADER_FILE)
    header = _header(folder)
    try:
        place = Path(root or root_of_folder(folder) or header["root"])
        changed = changed_tables(place, header["source"]) if check else []
        if changed:
            raise DataSetError(
                f"{place}: {', '.join(changed[:3])} changed since the index was built; "
                f"build it again: bevdeploy data index {place} --version {header['version']}"
            )
        data = folder / str(header["data"])
        arrays = {field.name: _mapped(data / f"{field.name}.npy", header) for field in fields(IndexArrays)}
        maps = {
            str(location): MapRaster(
                _mapped(data / entry["file"], header), (entry["lower_m"][0], entry["lower_m"][1]), entry["cell_m"]
            )
            for location, entry in header["maps"].items()
        }
        scenes = tuple(SceneRecord(row["name"], row["location"], tuple(row["splits"])) for row in header["scenes"])
        index = SampleIndex(folder, place, header["version"], header["data"], scenes, IndexArrays(**arrays), maps)
        _check(index)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise _damaged(folder, f"{type(error).__name__}: {error}") from error
    return index


def _reopened(folder: Path, root: Path, build: str) -> SampleIndex:
    index = open_index(folder, root=root, check=False)
    if index.build != build:
        raise DataSetError(f"{folder}: the index was built again while it was in use; start again")
    return index


def _header(folder: Path) -> dict[str, Any]:
    path = folder / HEADER_FILE
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(folder, str(error)) from error
    if not isinstance(header, dict) or header.get("format") != INDEX_FORMAT:
        raise DataSetError(
            f'{path}: not an index of this bevdeploy: "format" must be "{INDEX_FORMAT}"; '
            "build it again: bevdeploy data index ROOT"
        )
    return header


def _mapped(path: Path, header: Mapping[str, Any]) -> NDArray[Any]:
    """One array, mapped read-only; its size is the header's, so a file cut short is noticed."""
    size = header["files"][path.name]
    try:
        if path.stat().st_size != size:
            raise _damaged(path.parent.parent, f"{path.name} has {path.stat().st_size} bytes, not {size}")
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise _damaged(path.parent.parent, f"{path.name}: {error.strerror or error}") from error
    return array


def _check(index: SampleIndex) -> None:
    """Lengths and types agree."""
    arrays, n = index.arrays, len(index)
    boxes, files = len(arrays.box_centre_m), len(arrays.lidar_path)
    for name, kind in DTYPES.items():
        array: NDArray[Any] = getattr(arrays, name)
        expected = n
        if name in ("lidar_first", "box_first"):
            expected = n + 1
        elif name.startswith("box_"):
            expected = boxes
        elif name.startswith(("lidar_", "ego_from_lidar")):
            expected = files
        if len(array) != expected or (array.dtype.kind != "S" if kind == "S" else array.dtype != np.dtype(kind)):
            raise ValueError(f"{name} is {array.dtype} {array.shape}, expected {kind} [{expected}]")


def _damaged(folder: Path, what: str) -> DataSetError:
    return DataSetError(f"{folder}: damaged index ({what}); build it again: bevdeploy data index ROOT")
