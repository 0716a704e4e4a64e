"""The warped BEV against a slow twin in NumPy, and against a world that stands still while the vehicle moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bevdeploy.geometry import BEVGrid, plane_motion
from bevdeploy.geometry.frames import compose, invert
from bevdeploy.geometry.plane_motion import STANDING_STILL
from bevdeploy.models.bev_warp import warped_bev

GRID = BEVGrid((-8.0, -4.0, -1.0), (0.5, 0.8, 2.0), (32, 12, 1))
"""Neither square nor centred: axes and bounds cannot be mixed up unseen."""


def warped_slowly(bev: np.ndarray, motion: np.ndarray, grid: BEVGrid) -> np.ndarray:
    """One cell after the other, in float64: [C, Y, X] under [2, 3] to [C, Y, X]."""
    channels, rows, columns = bev.shape
    out = np.zeros((channels, rows, columns))
    for y, y_m in enumerate(grid.centres_m(1)):
        for x, x_m in enumerate(grid.centres_m(0)):
            there_m = motion.astype(np.float64) @ [x_m, y_m, 1.0]
            cx, cy = ((there_m[axis] - grid.lower_m[axis]) / grid.cell_m[axis] - 0.5 for axis in (0, 1))
            left, low = int(np.floor(cx)), int(np.floor(cy))
            for row, share_y in ((low, 1 - (cy - low)), (low + 1, cy - low)):
                for column, share_x in ((left, 1 - (cx - left)), (left + 1, cx - left)):
                    if 0 <= row < rows and 0 <= column < columns:
                        out[:, y, x] += share_y * share_x * bev[:, row, column]
    return out


def pose(x_m: float, y_m: float, yaw: float) -> np.ndarray:
    rotation = [[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]
    return compose(rotation, [x_m, y_m, 0])


def world(grid: BEVGrid, global_from_ego: np.ndarray) -> np.ndarray:
    """A smooth landscape [2, Y, X], as the BEV of a vehicle at a pose."""
    x_m, y_m = np.meshgrid(grid.centres_m(0), grid.centres_m(1))
    points = np.stack([x_m, y_m, np.zeros_like(x_m), np.ones_like(x_m)])  # [4, Y, X]
    x, y = np.einsum("ij,jyx->iyx", global_from_ego, points)[:2]
    return np.stack([np.sin(0.4 * x + 0.2 * y), np.cos(0.3 * y) * 0.1 * x]).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_the_slow_twin_agrees(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bev = rng.normal(size=(2, 3, 12, 32)).astype(np.float32)
    motions = np.stack([plane_motion(pose(*rng.normal(scale=(4, 2, 0.6)))) for _ in range(2)])
    got = warped_bev(torch.from_numpy(bev), torch.from_numpy(motions), GRID)
    for k in range(2):
        np.testing.assert_allclose(got[k], warped_slowly(bev[k], motions[k], GRID), atol=2e-5)


def test_standing_still_changes_nothing() -> None:
    bev = torch.randn(1, 5, 12, 32, generator=torch.Generator().manual_seed(1))
    warped = warped_bev(bev, torch.from_numpy(STANDING_STILL)[None], GRID)
    torch.testing.assert_close(warped, bev, atol=1e-5, rtol=0)


def test_whole_cells_shift_and_what_enters_is_zero() -> None:
    """Three cells ahead along x: row by row the columns move to lower x, and zeros come in from ahead."""
    bev = torch.arange(12 * 32, dtype=torch.float32).reshape(1, 1, 12, 32) + 1
    motion = torch.from_numpy(plane_motion(pose(3 * 0.5, 0, 0)))[None]
    warped = warped_bev(bev, motion, GRID)
    torch.testing.assert_close(warped[..., :-3], bev[..., 3:], atol=1e-3, rtol=0)
    assert not warped[..., -3:].any()


@pytest.mark.parametrize("turn", [0.0, 0.1, -0.4])
def test_a_standing_world_lies_where_it_is_seen_now(turn: float) -> None:
    grid = BEVGrid.centred(25.6, 0.4, (-5.0, 3.0))
    then, now = pose(100, -40, 0.7), pose(103.1, -37.6, 0.7 + turn)
    motion = plane_motion(invert(then) @ now)
    seen_then, seen_now = world(grid, then), world(grid, now)
    aligned = warped_bev(torch.from_numpy(seen_then)[None], torch.from_numpy(motion)[None], grid)[0].numpy()
    inside = np.abs(aligned).sum(0) > 0
    inside &= np.hypot(*np.meshgrid(grid.centres_m(0), grid.centres_m(1))) < 20  # covered both times
    assert inside.mean() > 0.4
    scale = np.abs(seen_now[:, inside]).max()
    assert np.abs(aligned - seen_now)[:, inside].max() < 0.01 * scale
    assert np.abs(seen_then - seen_now)[:, inside].max() > 0.5 * scale  # not aligned by itself
