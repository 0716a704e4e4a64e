"""Lidar points of a keyframe and the sweeps before it, in the ego frame of the key time."""

from __future__ import annotations

import numpy as np

from bevdeploy.data.index import SampleIndex
from bevdeploy.data.sample import Float32
from bevdeploy.errors import DataSetError
from bevdeploy.geometry.frames import Float64

FILE_COLUMNS = 5
"""float32 x, y, z, intensity, ring of nuScenes' `.pcd.bin` files."""
OWN_BODY_M = 1.0
"""Points whose x and y are both nearer to the sensor are the ego vehicle's own, as the devkit has it."""
BEYOND = 1e6
"""m, and of an intensity: points there, or nowhere, are damage and left out."""


def lidar_points(index: SampleIndex, keyframe: int, sweeps: int, bev_from_ego: Float64) -> Float32:
    """Points [P, 5] x, y, z in metres of the (augmented) BEV frame, intensity, age in seconds.

    Args:
        index: of the data set.
        keyframe: number in the index.
        sweeps: files to put together, the keyframe's own among them; sweeps whose files are absent are left out.
        bev_from_ego: [4, 4] BEV augmentation.

    Raises:
        DataSetError: a file cannot be read, is empty, or is no whole number of points.
    """
    rows = index.lidar_of(keyframe)
    parts = [np.zeros((0, 5), np.float32)]
    for row in range(rows.start, min(rows.stop, rows.start + sweeps)):
        if not index.arrays.lidar_present[row]:
            continue
        path = index.root / index.arrays.lidar_path[row].decode()
        try:
            values, size = np.fromfile(path, np.float32), path.stat().st_size
        except OSError as error:
            raise DataSetError(
                f"{path}: cannot be read ({error.strerror or error}); unpack its archive again"
            ) from error
        if not size or size % (4 * FILE_COLUMNS):
            raise DataSetError(f"{path}: {size} bytes are no whole number of lidar points; unpack its archive again")
        points = values.reshape(-1, FILE_COLUMNS)  # [P, 5]
        sound = (np.abs(points[:, :4]) < BEYOND).all(1)  # NaN is not
        points = points[(np.abs(points[:, :2]) >= OWN_BODY_M).any(1) & sound]
        bev_from_lidar = (bev_from_ego @ index.arrays.ego_from_lidar[row]).astype(np.float32)
        part = np.empty((len(points), 5), np.float32)
        part[:, :3] = points[:, :3] @ bev_from_lidar[:3, :3].T + bev_from_lidar[:3, 3]
        part[:, 3] = points[:, 3]
        part[:, 4] = index.arrays.lidar_age_s[row]
        parts.append(part)
    return np.concatenate(parts)
