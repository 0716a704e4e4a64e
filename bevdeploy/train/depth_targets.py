"""Depth of each feature pixel from lidar points: BEVDepth's supervision (Li et al., 2023), in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bevdeploy.geometry import ViewGeometry

NEAREST_M = 0.5
"""Points closer to a camera's plane than this lie on the vehicle, or behind it."""


def depth_targets(
    points: NDArray[np.float32],
    K: NDArray[np.float64],
    bev_from_cam: NDArray[np.float64],
    geometry: ViewGeometry,
) -> NDArray[np.int16]:
    """The depth bin of the nearest point in each feature pixel's block of the image.

    A bin stands for the depth at which the lift places its features, so a point belongs to the nearest of those
    depths; BEVDepth's code takes the next lower one, half a bin off on average.

    Args:
        points: [P, 3 or more] x, y, z in the BEV frame, metres.
        K: [N, 3, 3] intrinsics in network pixels; image rotation and flip may be in it.
        bev_from_cam: [N, 4, 4].
        geometry: image, feature map and depth bins.

    Returns:
        [N, Hf, Wf]; -1 where no point falls, or the nearest one lies outside the bins.
    """
    (height, width), (rows, columns) = geometry.net_hw, geometry.feature_hw
    bins = geometry.depth_bins
    targets = np.full((len(K), rows * columns), -1, np.int16)
    if not len(points):
        return targets.reshape(-1, rows, columns)
    xyz = points[:, :3].T.astype(np.float32)  # [3, P]
    for n, (intrinsics, extrinsics) in enumerate(zip(K, bev_from_cam, strict=True)):
        cam_from_bev = np.linalg.inv(extrinsics)
        projection = (intrinsics @ cam_from_bev[:3]).astype(np.float32)  # [3, 4]
        u, v, depth = projection[:, :3] @ xyz + projection[:, 3:]  # [P] each; u and v times depth
        ahead = depth > NEAREST_M
        depth = depth[ahead]
        u, v = u[ahead] / depth, v[ahead] / depth
        inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        depth = depth[inside]
        cell = (v[inside] * (rows / height)).astype(np.int64) * columns  # [p]
        cell += (u[inside] * (columns / width)).astype(np.int64)
        order = np.argsort(-depth, kind="stable")  # the nearest is written last
        nearest = np.full(rows * columns, np.inf, np.float32)
        nearest[cell[order]] = depth[order]
        hit = np.isfinite(nearest)
        bin_of = np.rint((nearest[hit] - bins.start_m) / bins.step_m)
        targets[n, hit] = np.where((bin_of >= 0) & (bin_of < bins.count), bin_of, -1)
    return targets.reshape(-1, rows, columns)  # [N, Hf, Wf]
