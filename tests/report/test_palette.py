"""Ten class colours that stay apart, for colour-blind readers too, and read on the dark ground."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from bevdeploy.report.palette import CLASS_COLOURS, GROUND, MAP_COLOURS, PLAN_COLOURS, TRUTH, class_colour
from bevdeploy.tasks import TaskSpec

# severity 1.0 of Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision
# deficiency" (2009); they act on linear RGB
VISION = {
    "normal": np.eye(3),
    "deuteranopic": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "protanopic": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "tritanopic": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def linear(rgb) -> np.ndarray:
    value = np.asarray(rgb) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb, vision: str) -> np.ndarray:
    """CIE L*a*b* (D65) as this vision sees it."""
    seen = np.clip(np.asarray(VISION[vision]) @ linear(rgb), 0, 1)
    xyz_from_rgb = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = xyz_from_rgb @ seen / (0.9505, 1, 1.089)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize(
    ("vision", "least"),
    [("normal", 35), ("deuteranopic", 22), ("protanopic", 22), ("tritanopic", 16)],  # reached: 38, 23, 23, 17
)
def test_classes_stay_apart(vision: str, least: float) -> None:
    seen = {name: lab(rgb, vision) for name, rgb in {**CLASS_COLOURS, "truth": TRUTH}.items()}
    for one, other in combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) >= least, (one, other)


def test_everything_reads_on_the_ground() -> None:
    """WCAG 2 asks for a contrast of 3 to 1 for graphics."""

    def luminance(rgb) -> float:
        return float(linear(rgb) @ (0.2126, 0.7152, 0.0722))

    for name, rgb in {**CLASS_COLOURS, **PLAN_COLOURS}.items():
        assert (luminance(rgb) + 0.05) / (luminance(GROUND) + 0.05) >= 3, name


def test_every_name_of_the_tasks_has_its_colour() -> None:
    tasks = TaskSpec()
    assert set(tasks.classes) == set(CLASS_COLOURS)
    assert set(tasks.map_classes) == set(MAP_COLOURS)
    assert set(tasks.plan_commands) == set(PLAN_COLOURS)
    assert len({class_colour(f"tram {n}", n) for n in range(10)}) == 10  # foreign classes are told apart as well
