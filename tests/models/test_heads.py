"""What the heads compute between convolutions: peaks, gathered codes, positions, resampling."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bevdeploy.geometry import BEVGrid
from bevdeploy.models.heads.decoder import bev_memory, running_sum, sine_positions
from bevdeploy.models.heads.dense import resample_matrix
from bevdeploy.models.heads.detection import cell_positions, gathered_codes, peaks
from bevdeploy.runtime import postprocess


def test_peaks_by_hand() -> None:
    """Class 0 peaks at its corner and, lower, at (1, 3); 7 beside 8 is none; class 1 has 5 in the middle of zeros."""
    heatmap = torch.full((1, 2, 3, 4), -1.0)
    heatmap[0, 0] = torch.tensor([[8.0, 7.0, 0.0, 0.0], [7.0, 0.0, 1.0, 3.0], [0.0, 0.0, 0.0, 2.0]])
    heatmap[0, 1, 1, 1] = 5.0
    assert peaks(heatmap, 3).tolist() == [[0, 12 + 5, 7]]


def test_every_cell_of_a_plateau_is_a_peak() -> None:
    heatmap = torch.zeros(1, 1, 1, 4)
    heatmap[..., 1:3] = 2.0
    assert sorted(peaks(heatmap, 2)[0].tolist()) == [1, 2]


def test_peaks_equal_the_numpy_twin() -> None:
    heatmap = torch.randn(2, 10, 33, 21, generator=torch.Generator().manual_seed(5))
    got = peaks(heatmap, 100)
    for sample in range(2):
        scores, want = postprocess.peaks(heatmap[sample].numpy(), 100)
        assert got[sample].tolist() == want.tolist()
        logits = heatmap[sample].flatten()[got[sample]]
        np.testing.assert_allclose(logits.sigmoid().numpy(), scores, rtol=1e-6)


def test_gathered_codes_by_hand() -> None:
    """Classes 0 | 1 2 | 3 share 3 branch sets; every code says where it comes from: 1000*group + 100*channel + cell."""
    groups, rows, columns = 3, 2, 3
    cells = rows * columns
    codes = torch.zeros(1, groups, 10, rows, columns)
    for group in range(groups):
        for channel in range(10):
            here = torch.arange(cells).reshape(rows, columns)
            codes[0, group, channel] = 1000 * group + 100 * channel + here
    group_of_class = torch.tensor([0, 1, 1, 2])
    agents = torch.tensor([[3 * cells + 5, 0, 2 * cells + 4, 1 * cells + 4]])
    got = gathered_codes(codes, agents, group_of_class)
    tens = 100 * torch.arange(10)
    assert got.tolist() == [[(2005 + tens).tolist(), tens.tolist(), (1004 + tens).tolist(), (1004 + tens).tolist()]]


def test_gathered_codes_keep_samples_apart() -> None:
    codes = torch.randn(2, 6, 10, 4, 5)
    group_of_class = torch.tensor([0, 1, 1, 2, 2, 3, 4, 4, 5, 5])
    agents = torch.tensor([[9 * 20 + 7, 3], [5 * 20 + 19, 2 * 20]])
    got = gathered_codes(codes, agents, group_of_class)
    assert torch.equal(got[0, 0], codes[0, 5, :, 1, 2])
    assert torch.equal(got[1, 0], codes[1, 3, :, 3, 4])
    assert torch.equal(got[1, 1], codes[1, 1, :, 0, 0])


def test_cell_positions_by_hand() -> None:
    """7 columns, 3 rows: cell 16 is row 2, column 2; x comes first, the class is dropped, offsets are added."""
    codes = torch.zeros(1, 2, 10)
    codes[0, 0, :2] = torch.tensor([0.25, -0.5])
    agents = torch.tensor([[4 * 21 + 16, 6]])
    assert cell_positions(agents, codes, columns=7, rows=3).tolist() == [[[2.25, 1.5], [6.0, 0.0]]]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("half_extent_m", "side"), [(20.0, 40), (10.0, 7), (23.0, 100)])
def test_resampling_reproduces_a_ramp_and_clamps_outside(axis: int, half_extent_m: float, side: int) -> None:
    grid = BEVGrid((-20.0, -12.0, -5.0), (1.6, 0.8, 8.0), (25, 30, 1))
    weights = resample_matrix(grid, axis, half_extent_m, side)
    assert weights.shape == (side, grid.count[axis]) and weights.min() >= 0
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
    centres_m = grid.centres_m(axis)
    targets_m = (np.arange(side) + 0.5) * 2 * half_extent_m / side - half_extent_m
    np.testing.assert_allclose(weights @ centres_m, targets_m.clip(centres_m[0], centres_m[-1]), atol=1e-5)


def test_resampling_a_single_cell_repeats_it() -> None:
    grid = BEVGrid((-1.0, -1.0, 0.0), (2.0, 2.0, 1.0), (1, 1, 1))
    assert resample_matrix(grid, 0, 5.0, 4).tolist() == [[1.0]] * 4


def test_sine_positions_tell_all_cells_apart() -> None:
    side = 64
    centres = (torch.arange(side) + 0.5) / side
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    codes = sine_positions(torch.stack([x.flatten(), y.flatten()], -1), 64)
    assert codes.shape == (side * side, 64) and codes.abs().max() <= 1
    distances = torch.cdist(codes.double(), codes.double()).fill_diagonal_(float("inf"))
    assert distances.min() > 0.1  # neighbours; a rounding error is 1e-6


def test_sine_positions_do_not_mix_the_axes() -> None:
    codes = sine_positions(torch.tensor([[0.1, 0.7], [0.1, 0.2], [0.6, 0.7]]), 32)
    assert torch.equal(codes[0, :16], codes[1, :16]) and not torch.allclose(codes[0, 16:], codes[1, 16:])
    assert torch.equal(codes[0, 16:], codes[2, 16:]) and not torch.allclose(codes[0, :16], codes[2, :16])


def test_bev_memory_is_the_mean_of_4_x_4_cells_with_x_along_columns() -> None:
    bev = torch.zeros(1, 8, 8, 12)
    bev[0, 0, 4:, 8:] = 3.0
    tokens = bev_memory(bev)  # [1, 2*3, 8]
    y, x = torch.meshgrid((torch.arange(2) + 0.5) / 2, (torch.arange(3) + 0.5) / 3, indexing="ij")
    values = tokens[0] - sine_positions(torch.stack([x.flatten(), y.flatten()], -1), 8)
    want = torch.zeros(6, 8)
    want[5, 0] = 3.0
    torch.testing.assert_close(values, want)


def test_running_sum_is_a_cumulative_sum() -> None:
    offsets = torch.randn(3, 6, 2, dtype=torch.float64)
    torch.testing.assert_close(running_sum(6, offsets) @ offsets, offsets.cumsum(1))
