"""Config A on real calibrations."""

from __future__ import annotations

import numpy as np

from bevdeploy.geometry import CameraRig, ViewGeometry, indices_from_rig, surround_rig, tables_from_rig
from bevdeploy.geometry.pool_tables import sizes_of_need


def test_points_and_cells_of_the_published_workload(real_rigs: tuple[CameraRig, ...], config_a: ViewGeometry) -> None:
    """nuScenes sample 0; a public deployment project logs 356,760 points and 13,360 cells for it."""
    indices = indices_from_rig(real_rigs[0], config_a)
    assert (len(indices.ranks_depth), len(indices.interval_starts)) == (356_761, 13_360)
    assert indices.interval_lengths.max() == 620


def test_floor_would_lose_a_fifth_of_the_points(real_rigs: tuple[CameraRig, ...], config_a: ViewGeometry) -> None:
    from bevdeploy.geometry.frustum import cells_of_points, rays_from_rig

    rays = rays_from_rig(real_rigs[0], config_a)
    points = [cells_of_points(rays, config_a, axis) for axis in range(3)]
    floored = np.logical_and.reduce([(p >= 0) & (p < n) for p, n in zip(points, config_a.grid.count, strict=True)])
    assert 356_761 - int(floored.sum()) == 80_607


def test_real_rigs_fit_the_tables_of_the_made_up_one(real_rigs: tuple[CameraRig, ...], config_a: ViewGeometry) -> None:
    """An export without a rig declares 1.25 times the need of `surround_rig`."""
    sizes = sizes_of_need(indices_from_rig(surround_rig(), config_a)).grown(1.25)
    assert len(real_rigs) == 2
    tables = [tables_from_rig(rig, config_a, sizes) for rig in real_rigs]
    assert not np.array_equal(tables[0].cell_row, tables[1].cell_row)
