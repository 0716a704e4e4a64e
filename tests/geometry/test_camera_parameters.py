"""Camera parameters: the 27 numbers of a made-up camera written out; augmentations are told apart from cameras."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.data.augment import Augmentation, draw_augmentation, net_from_image
from bevdeploy.errors import GeometryError
from bevdeploy.geometry import (
    Camera,
    CameraRig,
    ImageTransform,
    camera_parameters,
    camera_parameters_of_rig,
    surround_rig,
)
from bevdeploy.geometry.camera_parameters import CAMERA_PARAMETERS
from bevdeploy.geometry.frames import compose, rotation_from_quaternion


def test_every_number_of_one_camera_in_its_place() -> None:
    K = np.array([[1000.0, 0, 810], [0, 900, 440], [0, 0, 1]])
    ego_from_cam = compose(rotation_from_quaternion([0.5, -0.5, 0.5, -0.5]), [1.5, 0.25, 1.6])
    rig = CameraRig((Camera("CAM", 1600, 900, K, ego_from_cam),))
    (row,) = camera_parameters_of_rig(rig, (256, 704))
    scale, crop_px = 0.44, 140
    want = [1000 * scale, 900 * scale, 810 * scale, 440 * scale - crop_px]
    want += [1, 0, 0, 0, 1, 0]  # image augmentation
    want += [1, 0, 0, 1, 1]  # BEV augmentation
    want += [*ego_from_cam[0], *ego_from_cam[1], *ego_from_cam[2]]
    assert row.dtype == np.float32 and row.shape == (CAMERA_PARAMETERS,)
    np.testing.assert_allclose(row, want, rtol=1e-6)


def test_another_raw_size_of_the_same_camera_changes_nothing() -> None:
    large, small = surround_rig(1600, 900), surround_rig(800, 450)
    np.testing.assert_allclose(
        camera_parameters_of_rig(large, (256, 704)), camera_parameters_of_rig(small, (256, 704)), rtol=1e-6
    )


def test_augmentations_move_to_their_own_columns() -> None:
    """Intrinsics and extrinsics stay those of the camera, whatever was done to its image and to the BEV frame."""
    rig, net_hw = surround_rig(800, 450), (128, 352)
    plain = camera_parameters_of_rig(rig, net_hw)
    draw = draw_augmentation(Augmentation(bev_translation_m=0.5), (4,), len(rig.cameras))
    fit = ImageTransform.fit((450, 800), net_hw).net_from_image
    affines = [net_from_image(each, (450, 800), net_hw) for each in draw.images]
    augmented = np.stack([affine @ np.linalg.inv(fit) for affine in affines])
    K = np.stack([affine @ camera.K for affine, camera in zip(affines, rig.cameras, strict=True)])
    bev_from_cam = np.stack([draw.bev_from_ego @ camera.ego_from_cam for camera in rig.cameras])
    rows = camera_parameters(K, bev_from_cam, augmented, draw.bev_from_ego)
    np.testing.assert_allclose(rows[:, :4], plain[:, :4], rtol=1e-5)
    np.testing.assert_allclose(rows[:, 15:], plain[:, 15:], atol=1e-6)
    np.testing.assert_allclose(rows[:, 4:10], augmented[:, :2].reshape(-1, 6), rtol=1e-6)
    linear = draw.bev_from_ego
    want = [linear[0, 0], linear[0, 1], linear[1, 0], linear[1, 1], linear[2, 2]]
    np.testing.assert_allclose(rows[:, 10:15], np.tile(want, (6, 1)), rtol=1e-6)
    assert abs(rows[:, 4:15] - plain[:, 4:15]).max() > 0.1


def test_an_augmentation_without_an_inverse_is_refused() -> None:
    with pytest.raises(GeometryError, match="cannot be inverted"):
        camera_parameters(np.eye(3)[None], np.eye(4)[None], np.zeros((1, 3, 3)))
