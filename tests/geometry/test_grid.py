"""The BEV grid and the depth bins."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.errors import GeometryError
from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry


def test_a_centred_grid_by_hand() -> None:
    grid = BEVGrid.centred(51.2, 0.8, (-5.0, 3.0))
    assert grid.count == (128, 128, 1)
    assert grid.shape_zyx == (1, 128, 128)
    assert grid.lower_m == (-51.2, -51.2, -5.0)
    assert np.allclose(grid.upper_m, (51.2, 51.2, 3.0))
    assert np.isclose(grid.centres_m(0)[0], -50.8)
    assert np.isclose(grid.centres_m(1)[-1], 50.8)
    assert grid.centres_m(2).tolist() == [-1.0]


def test_a_rectangular_tall_grid_by_hand() -> None:
    grid = BEVGrid((0.0, -2.0, -1.0), (1.0, 0.5, 2.0), (3, 8, 2))
    assert grid.shape_zyx == (2, 8, 3)
    assert grid.upper_m == (3.0, 2.0, 3.0)
    assert grid.centres_m(2).tolist() == [0.0, 2.0]


def test_documents_round_trip() -> None:
    grid = BEVGrid((0.0, -2.0, -1.0), (1.0, 0.5, 2.0), (3, 8, 2))
    document = {"lower_m": list(grid.lower_m), "cell_m": list(grid.cell_m), "count": list(grid.count)}
    assert BEVGrid.from_document(document) == grid


@pytest.mark.parametrize(
    "change",
    [
        {"count": [3, 8]},
        {"count": None},
        {"count": [0, 8, 1]},
        {"count": ["many", 1, 1]},
        {"count": [2**13, 2**13, 1]},
        {"cell_m": [1, 0, 1]},
        {"cell_m": [1, -1, 1]},
        {"cell_m": [1, float("nan"), 1]},
        {"lower_m": [float("inf"), 0, 0]},
        {"lower_m": [0, 0, 0, 0]},
        {"lower_m": [10**400, 0, 0]},
    ],
)
def test_impossible_grids(change: dict[str, object]) -> None:
    with pytest.raises(GeometryError, match="BEV grid"):
        BEVGrid.from_document({"lower_m": [0, 0, 0], "cell_m": [1, 1, 1], "count": [4, 4, 1], **change})


@pytest.mark.parametrize("half_extent_m, cell_m, z_count", [(0, 0.8, 1), (-5, 0.8, 1), (51.2, 0, 1), (51.2, 0.8, 0)])
def test_empty_centred_grids(half_extent_m: float, cell_m: float, z_count: int) -> None:
    with pytest.raises(GeometryError, match="empty"):
        BEVGrid.centred(half_extent_m, cell_m, (-5.0, 3.0), z_count)


def test_depth_bins_by_hand() -> None:
    assert DepthBins(1.0, 60.0, 0.5).count == 118
    assert DepthBins(1.0, 60.0, 1.0).count == 59
    assert DepthBins(1.0, 2.1, 0.5).depths_m().tolist() == [1.0, 1.5, 2.0]
    assert DepthBins(1.0, 1.3, 0.1).count == 3  # 0.3 / 0.1 is 3.0000000000000004 in binary
    assert DepthBins(1.0, 60.0, 0.5).depths_m().dtype == np.float32


@pytest.mark.parametrize("bins", [(0, 60, 1), (-1, 60, 1), (60, 1, 1), (1, 60, 0), (1, 60, -1), (1, float("nan"), 1)])
def test_impossible_depth_bins(bins: tuple[float, float, float]) -> None:
    with pytest.raises(GeometryError, match="depth bins"):
        DepthBins(*bins)


def test_a_view_without_pixels() -> None:
    with pytest.raises(GeometryError, match="at least 1 x 1"):
        ViewGeometry(BEVGrid.centred(8, 1, (-5, 3)), DepthBins(1, 8, 1), (256, 704), (0, 44))
