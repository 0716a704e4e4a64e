"""Frustum rays of a rig in units of BEV cells, under the rounding contract.

The contract, shared by every builder of indices on any device:

1. a ray's direction and origin are computed in float64, in cells, and rounded to float32;
2. a point is `direction * depth`, rounded, then `+ origin`, rounded: float32, no fused multiply-add, no BLAS;
3. its cell is the point truncated toward zero, as the field's training code does (`.long()` in lift-splat-shoot,
   BEVDet). A point in (-1, 0) therefore falls into cell 0, and is kept.

Multiply-then-add is monotone in depth, so the bins of one pixel that fall into one cell are contiguous.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import GeometryError
from bevdeploy.geometry.grid import BEVGrid, DepthBins
from bevdeploy.geometry.image_transform import ImageTransform
from bevdeploy.geometry.rig import CameraRig

MAX_CELLS_AWAY = 1e30
"""Of a camera, or of a ray per metre of depth: with its depth, the farthest product that float32 holds."""


@dataclass(frozen=True)
class ViewGeometry:
    """What a student fixes of the view transform; the rig is the rest."""

    grid: BEVGrid
    """Of the BEV features."""
    depth_bins: DepthBins
    net_hw: tuple[int, int]
    """Network image height and width, px."""
    feature_hw: tuple[int, int]
    """Feature-map height and width."""
    pool_per_cell: int = 1
    """Cells of the pool along each side of a BEV cell; the view transform's convolutions bring them to the grid."""

    def __post_init__(self) -> None:
        if min(*self.net_hw, *self.feature_hw) < 1:
            raise GeometryError(f"image {self.net_hw} and feature map {self.feature_hw} must be at least 1 x 1")
        if self.pool_per_cell < 1:
            raise GeometryError(f"pool_per_cell must be at least 1, got {self.pool_per_cell}")

    @property
    def pool_grid(self) -> BEVGrid:
        """The grid that points are pooled in; the BEV grid itself with one cell of the pool per cell.

        Raises:
            GeometryError: its cells are too many.
        """
        return self.grid if self.pool_per_cell == 1 else self.grid.finer(self.pool_per_cell)

    def depth_size(self, cameras: int) -> int:
        """Entries of the depth distribution, N * D * Hf * Wf; also the index of its appended zero."""
        return cameras * self.depth_bins.count * self.feature_hw[0] * self.feature_hw[1]


@dataclass(frozen=True, eq=False)
class FrustumRays:
    """Rays of all feature pixels, in cells of the pool's grid."""

    direction: NDArray[np.float32]
    """[N, 3, Hf*Wf], cells per metre of depth."""
    origin: NDArray[np.float32]
    """[N, 3], camera centres."""


def feature_pixels(geometry: ViewGeometry) -> NDArray[np.float64]:
    """Network pixels (u, v, 1) [3, Hf*Wf] of the feature map: spread from the first to the last pixel."""
    (net_h, net_w), (feature_h, feature_w) = geometry.net_hw, geometry.feature_hw
    u = np.linspace(0, net_w - 1, feature_w)
    v = np.linspace(0, net_h - 1, feature_h)
    return np.stack([np.tile(u, feature_h), np.repeat(v, feature_w), np.ones(feature_h * feature_w)])


def rays_from_rig(rig: CameraRig, geometry: ViewGeometry) -> FrustumRays:
    """Rays of every camera of the rig, each with the image transform that fits its raw image.

    Raises:
        GeometryError: an intrinsic matrix cannot be inverted, or a number is beyond all cameras.
    """
    fits = [ImageTransform.fit((camera.height_px, camera.width_px), geometry.net_hw) for camera in rig.cameras]
    K = np.stack([fit.net_from_image @ camera.K for fit, camera in zip(fits, rig.cameras, strict=True)])  # [N, 3, 3]
    bev_from_cam = np.stack([camera.ego_from_cam for camera in rig.cameras])  # [N, 4, 4]
    return rays_from_views(K, bev_from_cam, geometry, rig.names)


def rays_from_views(
    K: NDArray[np.float64], bev_from_cam: NDArray[np.float64], geometry: ViewGeometry, names: Sequence[str] = ()
) -> FrustumRays:
    """Rays of network images under any affine image transform, into any affine image of the ego frame.

    With `net_from_image @ K` of a rig's own fit and its `ego_from_cam`, bit for bit the rays of the rig.

    Args:
        K: [N, 3, 3] intrinsics of the network images, `net_from_image @ K`; rotation and flip included.
        bev_from_cam: [N, 4, 4] camera coordinates in metres to the BEV frame; may mirror and scale.
        geometry: of the student.
        names: cameras' names, for messages.

    Raises:
        GeometryError: an intrinsic matrix cannot be inverted, or a number is beyond all cameras.
    """
    pixels, grid = feature_pixels(geometry), geometry.pool_grid  # [3, Hf*Wf]
    lower_m, cell_m = np.asarray(grid.lower_m), np.asarray(grid.cell_m)
    directions, origins = [], []
    for n, (net_from_cam, bev_from_one) in enumerate(zip(K, bev_from_cam, strict=True)):
        name = names[n] if names else f"number {n}"
        try:
            cam_from_net = np.linalg.inv(net_from_cam)
        except np.linalg.LinAlgError as error:
            raise GeometryError(f"camera {name!r}: K cannot be inverted") from error
        with np.errstate(over="ignore", invalid="ignore"):
            directions.append(bev_from_one[:3, :3] @ cam_from_net @ pixels / cell_m[:, None])  # [3, Hf*Wf]
            origins.append((bev_from_one[:3, 3] - lower_m) / cell_m)
        if not all(np.abs(cells[-1]).max() < MAX_CELLS_AWAY for cells in (directions, origins)):  # NaN neither
            raise GeometryError(f"camera {name!r}: K or ego_from_cam hold numbers of no real camera")
    return FrustumRays(np.stack(directions).astype(np.float32), np.stack(origins).astype(np.float32))


def cells_of_points(rays: FrustumRays, geometry: ViewGeometry, axis: int) -> NDArray[np.float32]:
    """Coordinates [N, D, Hf*Wf] of all frustum points along one axis (0 x, 1 y, 2 z), in cells, not truncated yet."""
    depths_m = geometry.depth_bins.depths_m()
    coordinates = rays.direction[:, None, axis, :] * depths_m[None, :, None]  # [N, D, Hf*Wf]
    coordinates += rays.origin[:, None, axis, None]
    return coordinates
