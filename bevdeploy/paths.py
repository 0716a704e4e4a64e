"""Where declared data lives, and how files are written: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bevdeploy.errors import OutputError

_PACKAGE = Path(__file__).resolve().parent


def data_dir(name: str) -> Path:
    """The folder of declarations `export`, `engines` or `plugins`.

    An installed wheel keeps it inside the package, a checkout beside it; nothing else knows that there are two homes.
    """
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def check_writable(path: Path) -> None:
    """Refuse, before the work, a place where its result could not be written; creates nothing.

    Raises:
        OutputError: the path is a folder, or lies in something that is no folder or may not be written.
    """
    if Path(path).is_dir():
        raise OutputError(f"{path}: cannot be written, it is a folder; name a file in it")
    if Path(path).exists() and not Path(path).is_file():
        raise OutputError(f"{path}: not replaced, it is a device or a pipe; name a file")
    nearest = next(parent for parent in Path(path).absolute().parents if os.path.lexists(parent))
    if not nearest.is_dir():
        raise OutputError(f"{path}: cannot be written, {nearest} is not a folder; write elsewhere")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: cannot be written, you may not write in {nearest}; write elsewhere")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name in the folder of `path`; renamed to `path` when the block ends well, removed otherwise.

    Only kill -9 or a power cut leaves one behind, hidden as `.NAME.*.part`; no later run reads it or takes its name.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    check_writable(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); write elsewhere") from error
    part = Path(name)
    try:
        os.close(handle)
        yield part
        flush(part)
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)
        part.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path}: not written ({error.strerror or error}); the file before it is untouched"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Put a written file on the disk; a second time costs nothing."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file or none.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    with replacing(path) as part:
        part.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole UTF-8 file or none.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    write_bytes(path, content.encode("utf-8"))
