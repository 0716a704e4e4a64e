"""The map files of one location: the semantic prior picture and the map expansion."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.map_expansion import map_expansion
from bevdeploy.data.world.scene import Town
from bevdeploy.errors import MissingDependencyError
from bevdeploy.paths import replacing, write_text

PX_PER_M = 10
"""Scale of nuScenes' semantic prior."""

MAP_NAMES = {
    "boston-seaport": "36092f0b03a857c6a3403e25b4b7aab3",
    "singapore-hollandvillage": "37819e65e09e5547b8a3ceaefba56bb2",
    "singapore-onenorth": "53992ee3023e5494b90c316c183be829",
    "singapore-queenstown": "93406b464a165eaba6d9de76ca09f5da",
}
"""Map token and file name by location: the devkit's `BitMap` looks for exactly these."""


def map_file(location: str) -> str:
    """Path of the semantic prior below the root."""
    return f"maps/{MAP_NAMES[location]}.png"


def expansion_file(location: str) -> str:
    """Path of the map expansion below the root."""
    return f"maps/expansion/{location}.json"


def write_maps(root: Path, town: Town) -> int:
    """Write both files of a town; returns their bytes.

    Raises:
        OutputError: a file cannot be written.
        MissingDependencyError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError("writing maps needs Pillow: pip install 'bevdeploy[media]'") from error
    with replacing(root / map_file(town.location)) as part:
        Image.fromarray(semantic_prior(town)).save(part, "PNG")
    write_text(root / expansion_file(town.location), json.dumps(map_expansion(town), separators=(",", ":")) + "\n")
    return sum((root / name).stat().st_size for name in (map_file(town.location), expansion_file(town.location)))


def semantic_prior(town: Town) -> NDArray[np.uint8]:
    """Picture [Y, X], north up: 255 where one may drive or walk, else 0; 0.1 m a pixel.

    Raises:
        MissingDependencyError: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise MissingDependencyError("drawing maps needs Pillow: pip install 'bevdeploy[media]'") from error
    width, height = (round(side * PX_PER_M) for side in town.size_m)
    picture = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(picture)
    for layer in ("walkway", "drivable_area"):
        for ring in town.polygons.get(layer, ()):
            corners = np.stack([ring[:, 0] * PX_PER_M, height - ring[:, 1] * PX_PER_M], axis=1)
            draw.polygon([(float(x), float(y)) for x, y in corners], fill=255)
    return np.asarray(picture)  # [Y, X]
