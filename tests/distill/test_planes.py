"""Resampling between planes: torch's bilinear interpolation where extents agree, a slow twin everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bevdeploy.distill.planes import (
    Plane,
    Resample,
    check_covered,
    occupancy_plane,
    over_extent,
    plane_of,
    resample_weights,
)
from bevdeploy.errors import TrainingError
from bevdeploy.geometry import BEVGrid
from bevdeploy.tasks import TaskSpec

GRID = BEVGrid((-12.0, -8.0, -5.0), (1.0, 1.0, 8.0), (24, 16, 1))


@pytest.mark.parametrize("size", [(16, 24), (8, 12), (32, 48), (5, 7), (20, 31)])
def test_within_one_extent_it_is_torchs_interpolation(size: tuple[int, int], generator: torch.Generator) -> None:
    x = torch.randn(2, 3, 16, 24, generator=generator)
    ours = Resample(plane_of(GRID), plane_of(GRID, size))(x)
    torchs = F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)
    assert torch.allclose(ours, torchs, atol=2e-5)


def test_weights_are_those_of_a_loop() -> None:
    source, target = plane_of(GRID), Plane((-10.0, -7.0), (1.7, 0.6), (11, 23))
    for axis in (0, 1):
        weights = resample_weights(source, target, axis)
        reach = max(source.cell_m[axis], target.cell_m[axis])
        for row, at in zip(weights, target.centres_m(axis), strict=True):
            slow = np.zeros(source.count[axis])
            for index, centre in enumerate(source.centres_m(axis)):
                slow[index] = max(0.0, 1 - abs(at - centre) / reach)
            assert np.allclose(row, slow / slow.sum(), atol=1e-6)


def test_a_slope_stays_that_slope_on_another_extent() -> None:
    source, target = plane_of(GRID), Plane((-6.0, -5.0), (0.8, 0.5), (15, 20))
    x = torch.tensor(source.centres_m(0))[None] + 2 * torch.tensor(source.centres_m(1))[:, None]  # [Y, X]
    want = torch.tensor(target.centres_m(0))[None] + 2 * torch.tensor(target.centres_m(1))[:, None]
    assert torch.allclose(Resample(source, target)(x[None, None])[0, 0], want.float(), atol=1e-4)


def test_equal_planes_pass_through() -> None:
    x = torch.randn(1, 2, 16, 24)
    assert torch.equal(Resample(plane_of(GRID), plane_of(GRID))(x), x)
    assert Resample(plane_of(GRID), plane_of(GRID))(x.half()).dtype == torch.float32


def test_over_extent_keeps_the_cell_size() -> None:
    wide = plane_of(BEVGrid.centred(54.0, 0.6, (-5.0, 3.0)))
    narrow = plane_of(BEVGrid.centred(51.2, 0.8, (-5.0, 3.0)))
    shared = over_extent(wide, narrow)
    assert shared.lower_m == narrow.lower_m and shared.upper_m == pytest.approx(narrow.upper_m)
    assert shared.count == (171, 171) and shared.cell_m[0] == pytest.approx(0.6, rel=0.01)
    assert over_extent(narrow, narrow) is narrow


def test_a_teacher_that_sees_less_is_refused() -> None:
    ours = plane_of(BEVGrid.centred(51.2, 0.8, (-5.0, 3.0)))
    check_covered(ours, plane_of(BEVGrid.centred(51.2, 0.4, (-5.0, 3.0))))
    check_covered(ours, plane_of(BEVGrid.centred(54.0, 0.6, (-5.0, 3.0))))
    with pytest.raises(TrainingError, match=r"along x the teacher covers -30 to 30 m, the student -51.2 to 51.2 m"):
        check_covered(ours, plane_of(BEVGrid.centred(30.0, 0.6, (-5.0, 3.0))))


def test_occupancy_lies_on_its_own_cells() -> None:
    plane = occupancy_plane(TaskSpec())
    assert plane.lower_m == (-50.0, -50.0) and plane.count == (200, 200) and plane.cell_m == (0.5, 0.5)
