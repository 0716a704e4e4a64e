"""Writes the thirteen tables scene by scene: never more than one scene is in memory."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bevdeploy.data.world.fixed_tables import fixed_tables
from bevdeploy.data.world.map_files import map_file
from bevdeploy.data.world.options import WorldOptions
from bevdeploy.data.world.scene_tables import SceneTables
from bevdeploy.errors import OutputError

TABLES = (
    "attribute",
    "calibrated_sensor",
    "category",
    "ego_pose",
    "instance",
    "log",
    "map",
    "sample",
    "sample_annotation",
    "sample_data",
    "scene",
    "sensor",
    "visibility",
)
"""Of nuScenes v1.0."""


@dataclass(frozen=True)
class Counts:
    """What the tables hold."""

    scenes: int
    keyframes: int
    boxes: dict[str, int]
    """Annotations by detection class."""
    bytes: int
    """Of the files that the tables name, and of the tables."""


def write_tables(folder: Path, options: WorldOptions, scenes: Iterable[tuple[str, SceneTables]]) -> Counts:
    """Write every table into a folder; scenes come with their location.

    Raises:
        OutputError: a table cannot be written.
    """
    boxes: Counter[str] = Counter()
    logs_by_location: dict[str, list[str]] = defaultdict(list)
    map_tokens: dict[str, str] = {}
    count = keyframes = size = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            tables = {name: _Table(stack.enter_context((folder / f"{name}.json").open("w"))) for name in TABLES}
            for name, rows in fixed_tables(options).items():
                tables[name].add(rows)
            for location, scene in scenes:
                for name, rows in scene.rows.items():
                    tables[name].add(rows)
                logs_by_location[location].append(scene.rows["log"][0]["token"])
                map_tokens[location] = scene.map_token
                boxes += scene.boxes
                count += 1
                keyframes += len(scene.rows["sample"])
                size += scene.bytes
            tables["map"].add(
                {
                    "category": "semantic_prior",
                    "token": map_tokens[location],
                    "filename": map_file(location),
                    "log_tokens": logs,
                }
                for location, logs in sorted(logs_by_location.items())
            )
            for table in tables.values():
                table.end()
        size += sum((folder / f"{name}.json").stat().st_size for name in TABLES)
    except OSError as error:
        raise OutputError(
            f"{error.filename or folder}: not written ({error.strerror or error}); mend it and run the same command "
            "again: what is rendered is kept"
        ) from error
    return Counts(count, keyframes, dict(sorted(boxes.items())), size)


class _Table:
    """A JSON list that grows row by row, one line each."""

    def __init__(self, file: IO[str]) -> None:
        self.file = file
        self.before = "[\n"

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        for row in rows:
            self.file.write(self.before + json.dumps(row))
            self.before = ",\n"

    def end(self) -> None:
        self.file.write("\n]\n" if self.before == ",\n" else "[\n]\n")
