"""Colours of the pictures: chosen on a dark ground, and kept apart for colour-blind readers.

The ten class colours were searched for the largest smallest distance (CIE76) under normal, deuteranopic, protanopic and
tritanopic vision (Machado, Oliveira and Fernandes 2009); tests/report/test_palette.py holds what was reached.
"""

from __future__ import annotations

Colour = tuple[int, int, int]
"""Red, green, blue, 0..255."""

GROUND: Colour = (13, 17, 23)
PANEL: Colour = (20, 26, 35)
LINE: Colour = (48, 58, 72)
MUTED: Colour = (139, 150, 165)
INK: Colour = (230, 235, 241)
TRUTH: Colour = (250, 250, 250)
EGO: Colour = (214, 224, 236)
NOTE: Colour = (255, 196, 84)

CLASS_COLOURS: dict[str, Colour] = {
    "car": (27, 224, 255),
    "truck": (255, 131, 20),
    "construction_vehicle": (221, 57, 47),
    "bus": (201, 255, 99),
    "trailer": (121, 120, 106),
    "barrier": (106, 117, 177),
    "motorcycle": (204, 113, 255),
    "bicycle": (20, 178, 95),
    "pedestrian": (255, 135, 176),
    "traffic_cone": (255, 227, 157),
}

MAP_COLOURS: dict[str, Colour] = {
    "drivable": (40, 62, 92),
    "crossing": (70, 134, 138),
    "divider": (214, 176, 92),
    "boundary": (196, 92, 84),
}
"""Map classes of the students of five tasks."""

BEVFUSION_MAP_COLOURS: dict[str, Colour] = {
    "drivable_area": MAP_COLOURS["drivable"],
    "carpark_area": (96, 74, 138),
    "walkway": (74, 104, 62),
    "ped_crossing": MAP_COLOURS["crossing"],
    "stop_line": MAP_COLOURS["boundary"],
    "divider": MAP_COLOURS["divider"],
}
"""BEVFusion's six."""

MAP_LAYERS = (
    "drivable",
    "drivable_area",
    "carpark_area",
    "walkway",
    "crossing",
    "ped_crossing",
    "stop_line",
    "divider",
    "boundary",
)
"""Map classes in the order they are laid on each other."""

OCCUPANCY: Colour = (196, 186, 255)

PLAN_COLOURS: dict[str, Colour] = {
    "left": (255, 209, 102),
    "straight": (124, 255, 178),
    "right": (255, 158, 128),
}

_OTHERS: tuple[Colour, ...] = tuple(CLASS_COLOURS.values())


def class_colour(name: str, index: int) -> Colour:
    """The colour of a detection class; a class outside nuScenes takes one by its index."""
    return CLASS_COLOURS.get(name, _OTHERS[index % len(_OTHERS)])


def map_colour(name: str, index: int) -> Colour:
    """The colour of a map class; a class of another map takes one by its index."""
    known = {**MAP_COLOURS, **BEVFUSION_MAP_COLOURS}
    return known.get(name, tuple(MAP_COLOURS.values())[index % len(MAP_COLOURS)])


def plan_colour(command: str, index: int) -> Colour:
    """The colour of a driving command; another command takes one by its index."""
    return PLAN_COLOURS.get(command, tuple(PLAN_COLOURS.values())[index % len(PLAN_COLOURS)])


def mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with `share` (0..1) of the other one."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue
