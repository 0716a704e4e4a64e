"""The panorama of the sky."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bevdeploy.data.world.sky import SKY_COLUMNS, TONES, haze_colour, sky_panorama, sky_row

from .small_scene import LIGHT


def panorama() -> np.ndarray:
    return sky_panorama(LIGHT).view(np.uint8).reshape(-1, SKY_COLUMNS, 4)[..., :3].astype(int)


def test_it_meets_the_haze_at_the_horizon_and_is_blue_above() -> None:
    sky = panorama()
    assert sky.min() >= TONES[0] and sky.max() <= TONES[1]
    haze = np.array(haze_colour(LIGHT)) * 255
    # Above the skyline, which ends at row 75.
    low, top = sky[78:82].mean((0, 1)), sky[-40:].mean((0, 1))
    assert np.abs(low - haze).max() < np.abs(top - haze).max()
    assert top[2] - top[0] > low[2] - low[0] > 0


def test_it_has_no_seam() -> None:
    sky = panorama()[60:]
    steps = np.abs(np.diff(sky, axis=1)).mean((0, 2))
    assert np.abs(sky[:, 0] - sky[:, -1]).mean() <= steps.max() + 1


def test_rows_rise() -> None:
    rows = sky_row(np.array([-0.3, 0.0, 0.01, 0.3, 1.0, 2.0]))
    assert (np.diff(rows) >= 0).all() and rows[0] == 0 and rows[-1] == 255


def test_a_duller_light_gives_a_duller_sky() -> None:
    dull = replace(LIGHT, diffuse=0.1, ambient=0.4)
    assert sum(haze_colour(dull)) < sum(haze_colour(LIGHT))
