"""Writes a synthetic world as a nuScenes root: what is driven, by which workers, in which order on disk."""

from __future__ import annotations

import importlib.util
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bevdeploy.data.world.disk import check_space, estimated_bytes, free_bytes
from bevdeploy.data.world.map_files import expansion_file, map_file
from bevdeploy.data.world.options import WorldOptions
from bevdeploy.data.world.recording import Part, parts_of, record_part
from bevdeploy.data.world.scene_names import scene_names
from bevdeploy.data.world.scene_tables import SceneTables, scene_tables
from bevdeploy.data.world.schedule import Job, next_job
from bevdeploy.data.world.town_files import write_town
from bevdeploy.data.world.work_folder import (
    SUMMARY,
    complete,
    discard_work,
    finished_part,
    finished_summary,
    keep_part,
    work_folder,
    writing,
)
from bevdeploy.data.world.workers import results_of
from bevdeploy.data.world.world_tables import Counts, write_tables
from bevdeploy.errors import MissingDependencyError, OutputError
from bevdeploy.paths import check_writable

Scenes = tuple[tuple[str, str], ...]
"""Name and location of each."""


@dataclass(frozen=True)
class WorldSummary:
    """What was made."""

    root: Path
    version: str
    scenes: int
    keyframes: int
    boxes: dict[str, int]
    """Annotations by detection class."""
    bytes: int
    seconds: float
    rendered: int
    """Keyframes that this run rendered; the others an earlier one had."""


@dataclass(frozen=True)
class WorldPlan:
    """What a run has before it."""

    keyframes: int
    """To render."""
    bytes: int
    """They will take, on the high side."""
    free_bytes: int


def write_world(out: Path, options: WorldOptions, progress: Callable[[int, int], None] | None = None) -> WorldSummary:
    """Write a world, go on with a half-finished one, or find that it is complete.

    The same options give the same bytes, whatever the number of workers. With several workers a script that calls this
    needs the usual `if __name__ == "__main__":`, since each worker is a fresh process.

    Args:
        out: folder to write; new, empty, or of the same world.
        options: what to make.
        progress: called with the keyframes that are done and their number.

    Raises:
        OutputError: the folder holds something else, cannot be written, or its disk is too small.
        MissingDependencyError: Pillow is not installed; or nuscenes-devkit, which knows the names of v1.0-trainval.
    """
    began = time.monotonic()
    out = Path(out)
    tell = progress or (lambda done, total: None)
    plan_world(out, options)
    if (found := finished_summary(out, options)) is not None:
        discard_work(out)
        return _summary(out, options, found, 0.0, 0)
    scenes = scenes_of(options)
    total = len(scenes) * options.keyframes
    with writing(out, options) as work:
        if (found := finished_summary(out, options)) is not None:  # another process ended meanwhile
            discard_work(out)
            return _summary(out, options, found, 0.0, 0)
        missing = _missing(out, options, scenes)
        rendered = sum(part.count for part in missing)
        done = total - rendered
        tell(done, total)
        locations = sorted({location for _, location in scenes})
        jobs: list[Job] = [*locations, *missing]
        for job, _ in results_of(partial(_make, out, work, options), jobs, options.workers, next_job):
            if isinstance(job, Part):
                done += job.count
                tell(done, total)
        counts = _write_tables(out, work, options, scenes)
        complete(out, options, asdict(counts))
    return _summary(out, options, asdict(counts), time.monotonic() - began, rendered)


def plan_world(out: Path, options: WorldOptions) -> WorldPlan:
    """What is left to do in a folder; nothing where the world is complete. Writes nothing.

    Raises:
        OutputError: the folder holds something else, or its disk is too small.
        MissingDependencyError: as `write_world`.
    """
    out = Path(out)
    if finished_summary(out, options) is not None:
        return WorldPlan(0, 0, free_bytes(out))
    if importlib.util.find_spec("PIL") is None:
        raise MissingDependencyError("writing images needs Pillow: pip install 'bevdeploy[media]'")
    check_writable(work_folder(out) / "plan.json")
    missing = sum(part.count for part in _missing(out, options, scenes_of(options)))
    needed = round(estimated_bytes(options) * missing / (options.scenes * options.keyframes))
    check_space(out, needed)
    return WorldPlan(missing, needed, free_bytes(out))


def scenes_of(options: WorldOptions) -> Scenes:
    """Name and location of each scene of a world.

    Raises:
        MissingDependencyError: v1.0-trainval without nuscenes-devkit, which knows the names.
    """
    return scene_names("v1.0-mini" if options.version == "v1.0-mini" else "v1.0-trainval", options.scenes)


def _missing(out: Path, options: WorldOptions, scenes: Scenes) -> list[Part]:
    """Parts that are not yet whole on disk."""
    return [part for part in parts_of(scenes, options.keyframes) if finished_part(out, part) is None]


def _make(out: Path, work: Path, options: WorldOptions, job: Job) -> None:
    if isinstance(job, Part):
        keep_part(out, job, record_part(out, work, options, job))
    else:
        write_town(out, work, options.seed, job)


def _write_tables(out: Path, work: Path, options: WorldOptions, scenes: Scenes) -> Counts:
    shutil.rmtree(work / "tables", ignore_errors=True)
    counts = write_tables(work / "tables", options, _tables(out, options, scenes))
    locations = {location for _, location in scenes}
    map_bytes = sum((out / file(name)).stat().st_size for name in locations for file in (map_file, expansion_file))
    return replace(counts, bytes=counts.bytes + map_bytes)


def _tables(out: Path, options: WorldOptions, scenes: Scenes) -> Iterator[tuple[str, SceneTables]]:
    for name, location in scenes:
        documents = [finished_part(out, part) for part in parts_of(((name, location),), options.keyframes)]
        if any(document is None for document in documents):
            raise OutputError(f"{out}: files of {name} were taken away meanwhile; run the same command again")
        yield location, scene_tables(options, name, location, [each for each in documents if each is not None])


def _summary(out: Path, options: WorldOptions, counts: dict[str, Any], seconds: float, rendered: int) -> WorldSummary:
    try:
        scenes, keyframes, size = (int(counts[name]) for name in ("scenes", "keyframes", "bytes"))
        boxes = {str(name): int(number) for name, number in counts["boxes"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise OutputError(
            f"{out / options.version / SUMMARY}: not what bevdeploy wrote ({type(error).__name__}: {error}); delete "
            f"{out} and write the world again"
        ) from error
    return WorldSummary(out, options.version, scenes, keyframes, boxes, size, seconds, rendered)
