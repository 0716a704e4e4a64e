"""Where the index of a nuScenes root lies, and whether the root is still the one it was built from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bevdeploy.errors import DataSetError

FOLDER = ".bevdeploy"
"""Of a root: `ROOT/.bevdeploy/VERSION` is the index of that version."""


def root_of_folder(folder: Path) -> Path | None:
    """The root that an index folder at its default place belongs to; None for one elsewhere."""
    folder = Path(folder).absolute()
    return folder.parent.parent if folder.parent.name == FOLDER else None


def place_beside(root: Path, version: str) -> Path:
    """`ROOT/.bevdeploy/VERSION`."""
    return Path(root).absolute() / FOLDER / version


def place_in_cache(root: Path, version: str) -> Path:
    """The place for roots that may not be written: in the user's cache, by the root's path.

    A user without a home, as in many containers, has no cache: the place beside, once more.
    """
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return place_beside(root, version)
    name = hashlib.sha256(str(Path(root).resolve()).encode()).hexdigest()[:12]
    return cache / "bevdeploy" / f"index-{name}" / version


def index_folder(root: Path, version: str | None, header: str) -> Path:
    """The folder that holds the index of a root.

    Raises:
        DataSetError: there is no such root, no index of it, or more than one and no version.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataSetError(f"{root}: no such folder; name a nuScenes root or an index folder")
    versions = [version] if version else versions_of(root)
    places = [place for name in versions for place in (place_beside(root, name), place_in_cache(root, name))]
    found = [place for place in places if (place / header).is_file()]
    if not found:
        wanted = f" of {version}" if version else ""
        raise DataSetError(f"{root}: no index{wanted} yet; build it: bevdeploy data index {root}")
    if len({place.name for place in found}) > 1:
        names = ", ".join(place.name for place in found)
        raise DataSetError(f"{root}: indices of several versions ({names}); name one with --version")
    return found[0]


def versions_of(root: Path) -> list[str]:
    """Names of the table folders and of the indices of a root."""
    root = Path(root)
    try:
        tables = {path.name for path in root.glob("v1.0-*") if path.is_dir()}
        return sorted(tables | {path.name for path in (root / FOLDER).glob("*") if path.is_dir()})
    except OSError:
        return []


def source_of(root: Path, files: Sequence[Path]) -> dict[str, Any]:
    """What tells later whether files are the same: size, time of change and SHA-256 by path relative to the root.

    None for a file that is absent, so that one which comes later is noticed.

    Raises:
        OSError: a file cannot be read.
    """
    source: dict[str, Any] = {}
    for path in files:
        name = path.relative_to(root).as_posix()
        try:
            status = path.stat()
            source[name] = [status.st_size, status.st_mtime_ns, _digest(path)]
        except FileNotFoundError:
            source[name] = None
    return source


def changed_tables(root: Path, source: Mapping[str, Any]) -> list[str]:
    """Names of source files that differ from what the index was built from.

    A file that is absent is not a change: training needs the sensors' files, not the tables. One of the same size and
    another time is read, since copying a data set changes times only.
    """
    changed = []
    for name, state in source.items():
        try:
            status = (Path(root) / name).stat()
            if state is None:
                changed.append(name)
                continue
            size, time_ns, digest = state
            same = status.st_size == size and (status.st_mtime_ns == time_ns or _digest(Path(root) / name) == digest)
        except FileNotFoundError:
            continue
        except OSError:
            same = False
        if not same:
            changed.append(name)
    return changed


def _digest(path: Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()
