"""Frustum points to `BEVPoolIndices`: which depth entry and which feature pixel go into which BEV cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import GeometryError
from bevdeploy.geometry.frustum import FrustumRays, ViewGeometry, cells_of_points, rays_from_rig, rays_from_views
from bevdeploy.geometry.rig import CameraRig

Int32 = NDArray[np.int32]

_RADIX_CELLS = 2**16
"""NumPy's stable sort of 16-bit keys is a radix sort; wider keys take a merge sort of twice the time or more."""


@dataclass(frozen=True, eq=False)
class BEVPoolIndices:
    """Kept points sorted by BEV cell, points of one cell in order of their depth index."""

    ranks_depth: Int32
    """[P] index into the flat depth distribution [N*D*Hf*Wf]; no index twice."""
    ranks_feat: Int32
    """[P] row of the flat context features [N*Hf*Wf, C]."""
    ranks_bev: Int32
    """[P] cell of the flat grid [Z*Y*X], non-decreasing."""
    interval_starts: Int32
    """[M] first point of each occupied cell, strictly increasing from 0."""
    interval_lengths: Int32
    """[M] points of each occupied cell; they add up to P."""


def indices_from_rig(rig: CameraRig, geometry: ViewGeometry) -> BEVPoolIndices:
    """Indices of a rig, under the rounding contract of `geometry.frustum`.

    Raises:
        GeometryError: an intrinsic matrix cannot be inverted, or the frusta have 2**31 points or more.
    """
    _check_size(len(rig.cameras), geometry)
    return _indices_of_rays(rays_from_rig(rig, geometry), geometry)


def indices_from_views(
    K: NDArray[np.float64], bev_from_cam: NDArray[np.float64], geometry: ViewGeometry
) -> BEVPoolIndices:
    """Indices of network images under augmentation, under the same contract; arguments as `frustum.rays_from_views`.

    Raises:
        GeometryError: as `indices_from_rig`.
    """
    _check_size(len(K), geometry)
    return _indices_of_rays(rays_from_views(K, bev_from_cam, geometry), geometry)


def _check_size(cameras: int, geometry: ViewGeometry) -> None:
    if geometry.depth_size(cameras) >= 2**31:
        raise GeometryError(f"{geometry.depth_size(cameras)} frustum points do not fit 32-bit indices")


def _indices_of_rays(rays: FrustumRays, geometry: ViewGeometry) -> BEVPoolIndices:
    kept: NDArray[np.bool_] | None = None
    coordinates, grid = [], geometry.pool_grid
    for axis, count in enumerate(grid.count):
        along_axis = cells_of_points(rays, geometry, axis)  # [N, D, Hf*Wf]
        inside = along_axis > np.float32(-1)
        inside &= along_axis < np.float32(count)
        kept = inside if kept is None else np.logical_and(kept, inside, out=kept)
        coordinates.append(along_axis.reshape(-1))
    assert kept is not None
    ranks_depth = np.flatnonzero(kept).astype(np.int32)  # [P]
    x, y, z = (c[ranks_depth].astype(np.int32) for c in coordinates)  # truncation toward zero
    columns, rows, _ = grid.count
    cell = x + np.int32(columns) * (y + np.int32(rows) * z)
    key = cell.astype(np.uint16) if np.prod(grid.count) <= _RADIX_CELLS else cell
    order = np.argsort(key, kind="stable")
    ranks_depth, ranks_bev = ranks_depth[order], cell[order]
    pixels = np.int32(rays.direction.shape[2])
    per_camera = np.int32(geometry.depth_bins.count) * pixels
    ranks_feat = ranks_depth // per_camera * pixels + ranks_depth % pixels
    starts, lengths = _intervals(ranks_bev)
    return BEVPoolIndices(ranks_depth, ranks_feat, ranks_bev, starts, lengths)


def seen_indices(rig: CameraRig, geometry: ViewGeometry) -> BEVPoolIndices:
    """Indices of a rig that sees something: what a vehicle runs on.

    Raises:
        GeometryError: as `indices_from_rig`, or no camera sees a cell of the grid.
    """
    indices = indices_from_rig(rig, geometry)
    if not indices.ranks_bev.size:
        x_m, y_m, z_m = rig.cameras[0].ego_from_cam[:3, 3]
        raise GeometryError(
            f"no camera of the rig sees a cell of the BEV grid; {rig.names[0]} stands at ({x_m:g}, {y_m:g}, {z_m:g}). "
            "Translations are in metres, and ego_from_cam maps camera to ego coordinates: see docs/rig.md"
        )
    return indices


def _intervals(ranks_bev: Int32) -> tuple[Int32, Int32]:
    """Starts and lengths of the runs of equal values."""
    changes = np.flatnonzero(ranks_bev[1:] != ranks_bev[:-1]) + 1
    starts = np.concatenate([np.zeros(min(1, len(ranks_bev)), np.int64), changes]).astype(np.int32)
    return starts, np.diff(starts, append=np.int32(len(ranks_bev)))
