"""Build the index of a nuScenes version: the devkit's tables to arrays, once."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.ego_states import ego_states
from bevdeploy.data.index import HEADER_FILE, INDEX_FORMAT
from bevdeploy.data.index_arrays import DTYPES
from bevdeploy.data.index_places import place_beside, place_in_cache, source_of
from bevdeploy.data.index_rows import KeyframeRows, following_boxes, keyframe_rows
from bevdeploy.data.map_raster import expansion_path, raster_of_location
from bevdeploy.data.nuscenes import open_tables, sample_tokens, tables_of
from bevdeploy.errors import DataSetError, OutputError
from bevdeploy.paths import write_text

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

MAP_REACH_M = 90.0
"""Around the ego poses: the corner of a 102 m grid, 72 m away, under augmentation."""

ABANDONED_S = 3600.0

Progress = Callable[[str, int, int], None]
"""What is done, how much of it, of how much."""


def build_index(
    root: Path,
    version: str | None = None,
    out: Path | None = None,
    progress: Progress = lambda what, done, total: None,
    tell: Callable[[str], None] = lambda message: None,
) -> Path:
    """Index all keyframes of a nuScenes version.

    Args:
        root: folder with `v1.0-*`, `samples`, `maps`; `can_bus` and `maps/expansion` are read where they are.
        version: name of the tables' folder; None takes the only one there is.
        out: folder to write; None takes `ROOT/.bevdeploy/VERSION`, or the user's cache where the root is read-only.
        progress: called now and then.
        tell: called with what a user should know: where the index lies, what is missing.

    Returns:
        The index folder. A build that is killed leaves the index that was there before, if any.

    Raises:
        FrameSourceError: the root or version is missing, or the devkit cannot load the tables.
        DataSetError: a table row is missing or dangling, or a map or CAN file is damaged.
        OutputError: the index cannot be written.
        MissingDependencyError: nuscenes-devkit is not installed.
    """
    root = Path(root).absolute()
    progress("tables", 0, 1)
    database = open_tables(root, version)
    folder = _writable(root, database.version, out, tell)
    try:
        with tables_of(database):
            scenes, arrays = _arrays(database, progress)
            sources = _source_files(database, [scene["name"] for scene in scenes], {s["location"] for s in scenes})
        arrays["ego_state"], arrays["ego_state_measured"] = ego_states(
            root, [scene["name"] for scene in scenes], arrays, progress
        )
        source = source_of(root, sources)
    except OSError as error:
        raise DataSetError(f"{root}: cannot be read ({error}); unpack the data set again") from error
    name = f"data-{uuid.uuid4().hex[:12]}"
    before = _data_of(folder)
    try:
        _write(folder, name, root, database.version, scenes, arrays, source, progress)
    except OSError as error:
        raise OutputError(
            f"{folder}: the index cannot be written ({error.strerror or error}); name another place with --out"
        ) from error
    finally:
        _remove_builds(folder, {name, before})
    absent = int((~arrays["image_present"].all(1)).sum())
    if absent:
        tell(f"{absent} of {len(arrays['token'])} keyframes lack an image file")
    without_map = sorted({s["location"] for s in scenes} - set(_maps_of(folder)))
    if without_map:
        tell(f"no map expansion for {', '.join(without_map)}: no map truth there")
    return folder


def _arrays(database: NuScenes, progress: Progress) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """Scenes in order, and all arrays but the ego states."""
    tokens = sample_tokens(database)
    if not tokens:
        raise DataSetError(f"{database.table_root}: no samples in the tables; unpack the metadata archive again")
    scenes = _scenes(database, tokens)
    number = {scene["token"]: n for n, scene in enumerate(scenes)}
    rows = KeyframeRows()
    for n, token in enumerate(tokens):
        keyframe_rows(database, token, rows)
        if n % 200 == 0:
            progress("keyframes", n, len(tokens))
    progress("keyframes", len(tokens), len(tokens))
    arrays = rows.arrays()
    scene = np.array([number[database.get("sample", token)["scene_token"]] for token in tokens], np.int32)
    same = np.flatnonzero(scene[1:] == scene[:-1]).astype(np.int32)
    arrays["scene"] = scene
    arrays["previous"], arrays["following"] = np.full((2, len(tokens)), -1, np.int32)
    arrays["previous"][same + 1], arrays["following"][same] = same, same + 1
    arrays["token"] = np.array([token.encode() for token in tokens])
    arrays["box_following"] = following_boxes(rows, arrays)
    return scenes, arrays


def _scenes(database: NuScenes, tokens: list[str]) -> list[dict[str, Any]]:
    from nuscenes.utils.splits import create_splits_scenes

    splits: Mapping[str, list[str]] = create_splits_scenes()
    scenes = []
    for scene_token in dict.fromkeys(database.get("sample", token)["scene_token"] for token in tokens):
        row = database.get("scene", scene_token)
        location = database.get("log", row["log_token"])["location"]
        of = sorted(split for split, names in splits.items() if row["name"] in names)
        scenes.append({"token": scene_token, "name": row["name"], "location": location, "splits": of})
    return scenes


def _source_files(database: NuScenes, scenes: list[str], locations: set[str]) -> list[Path]:
    root = Path(database.dataroot)
    tables = sorted(Path(database.table_root).glob("*.json"))
    poses = [root / "can_bus" / f"{name}_pose.json" for name in scenes]
    return [*tables, *poses, *(expansion_path(root, location) for location in sorted(locations))]


def _write(
    folder: Path,
    name: str,
    root: Path,
    version: str,
    scenes: list[dict[str, Any]],
    arrays: Mapping[str, NDArray[Any]],
    source: Mapping[str, Any],
    progress: Progress,
) -> None:
    """The arrays in a folder of this build, then the header that names it."""
    data = folder / name
    data.mkdir(parents=True)
    for key, kind in DTYPES.items():
        np.save(
            data / f"{key}.npy", arrays[key] if kind == "S" else arrays[key].astype(np.dtype(kind).newbyteorder("<"))
        )
    maps: dict[str, Any] = {}
    locations = sorted({scene["location"] for scene in scenes})
    for n, location in enumerate(locations):
        progress("maps", n, len(locations))
        here = np.isin(arrays["scene"], [k for k, scene in enumerate(scenes) if scene["location"] == location])
        positions_m = arrays["global_from_ego"][here, :2, 3]  # [k, 2]
        low_m, high_m = positions_m.min(0) - MAP_REACH_M, positions_m.max(0) + MAP_REACH_M
        told = partial(progress, f"map of {location}")
        raster = raster_of_location(expansion_path(root, location), low_m, high_m, told)
        if raster is not None:
            file = f"map_{location}.npy"
            np.save(data / file, raster.planes)
            maps[location] = {"file": file, "lower_m": list(raster.lower_m), "cell_m": raster.cell_m}
    files = {path.name: path.stat().st_size for path in sorted(data.iterdir())}
    for path in data.iterdir():
        _flush(path)
    header = {
        "format": INDEX_FORMAT,
        "version": version,
        "root": str(root),
        "data": name,
        "keyframes": len(arrays["token"]),
        "scenes": scenes,
        "maps": maps,
        "files": files,
        "source": source,
    }
    write_text(folder / HEADER_FILE, json.dumps(header, indent=1) + "\n")


def _writable(root: Path, version: str, out: Path | None, tell: Callable[[str], None]) -> Path:
    """The folder to write, made."""
    places = [Path(out).absolute()] if out else [place_beside(root, version), place_in_cache(root, version)]
    refusal = ""
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
            probe = place / f".{uuid.uuid4().hex}.part"
            probe.touch()
            probe.unlink()
        except OSError as error:
            refusal = f"{place} ({error.strerror or error})"
            continue
        if place != places[0]:
            tell(f"{root} cannot be written: the index goes to {place}")
        return place
    raise OutputError(f"{root}: the index cannot be written to {refusal}; name another place with --out FOLDER")


def _remove_builds(folder: Path, names: set[str | None]) -> None:
    """Of these, all that the header does not name; and what a killed build left an hour ago or longer."""
    kept = _data_of(folder)
    for path in folder.glob("data-*"):
        if path.name != kept and (path.name in names or time.time() - path.stat().st_mtime > ABANDONED_S):
            shutil.rmtree(path, ignore_errors=True)


def _data_of(folder: Path) -> str | None:
    """The folder of arrays that the header names."""
    try:
        return str(json.loads((folder / HEADER_FILE).read_text(encoding="utf-8"))["data"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _maps_of(folder: Path) -> Mapping[str, Any]:
    maps: Mapping[str, Any] = json.loads((folder / HEADER_FILE).read_text(encoding="utf-8"))["maps"]
    return maps


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
