"""A rig in millimetres is told from one in metres before it pools nothing."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.errors import GeometryError
from bevdeploy.geometry import BEVGrid, Camera, CameraRig, DepthBins, ViewGeometry, surround_rig
from bevdeploy.geometry.ranks import indices_from_rig, seen_indices

VIEW = ViewGeometry(BEVGrid.centred(51.2, 1.6, (-5.0, 3.0)), DepthBins(1.0, 60.0, 2.0), (128, 352), (8, 22))


def test_a_rig_in_millimetres_is_refused() -> None:

    cameras = []
    for camera in surround_rig().cameras:
        ego_from_cam = camera.ego_from_cam.copy()
        ego_from_cam[:3, 3] *= 1000
        cameras.append(Camera(camera.name, camera.width_px, camera.height_px, camera.K, ego_from_cam))
    with pytest.raises(GeometryError, match=r"CAM_FRONT_LEFT stands at \(1520, 490, 1510\).*in metres"):
        seen_indices(CameraRig(tuple(cameras)), VIEW)


def test_a_rig_that_sees_the_grid_passes() -> None:
    seen, indices = seen_indices(surround_rig(), VIEW), indices_from_rig(surround_rig(), VIEW)
    assert np.array_equal(seen.ranks_bev, indices.ranks_bev)
