"""What a location's scenes share: its town, its map files, and the painted ground, one file for all workers."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bevdeploy.data.world.map_files import expansion_file, map_file, write_maps
from bevdeploy.data.world.scene import Town
from bevdeploy.data.world.town import town_of
from bevdeploy.errors import OutputError
from bevdeploy.paths import replacing, write_text

if TYPE_CHECKING:
    from bevdeploy.data.world.ground import GroundRaster


@lru_cache(maxsize=4)
def town(location: str, seed: int) -> Town:
    """A location's town, kept while its scenes are recorded."""
    return town_of(location, seed)


def write_town(root: Path, work: Path, seed: int, location: str) -> None:
    """Write a location's map files into the root and its ground into the work folder, where they are not yet.

    Raises:
        OutputError: a file cannot be written.
        MissingDependencyError: Pillow is not installed.
    """
    from bevdeploy.data.world.ground import ground_of

    if not all((root / file).is_file() for file in (map_file(location), expansion_file(location))):
        write_maps(root, town(location, seed))
    texels, levels = _ground_files(work, location)
    if not levels.is_file():
        ground = ground_of(town(location, seed))
        with replacing(texels) as part, part.open("wb") as file:
            np.save(file, ground.texels)
        write_text(levels, json.dumps({"offsets": ground.offsets, "shapes": ground.shapes}) + "\n")


@lru_cache(maxsize=2)
def ground(work: Path, location: str) -> GroundRaster:
    """The ground that `write_town` stored; workers share its pages.

    Raises:
        OutputError: it is gone.
    """
    from bevdeploy.data.world.ground import GroundRaster

    texels, levels = _ground_files(work, location)
    try:
        document = json.loads(levels.read_text(encoding="utf-8"))
        shapes = tuple((int(rows), int(columns)) for rows, columns in document["shapes"])
        return GroundRaster(np.asarray(np.load(texels, mmap_mode="r")), tuple(map(int, document["offsets"])), shapes)
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{texels}: cannot be read ({error}); delete {levels} and run the command again") from error


def _ground_files(work: Path, location: str) -> tuple[Path, Path]:
    """Its texels, and where its levels are in them; the second is written last."""
    return work / f"texels-{location}.npy", work / f"texels-{location}.json"
