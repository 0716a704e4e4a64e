"""Camera parameters as numbers that a network reads: 27 per camera, as BEVDepth's (Li et al., AAAI 2023).

| entries | what |
| --- | --- |
| 0..3 | fx, fy, cx, cy of the network image as it is without augmentation, px |
| 4..9 | image augmentation, network pixels without it to network pixels with it: first row, then second row; px |
| 10..14 | BEV augmentation: xx, xy, yx, yy, zz of its linear part |
| 15..26 | `ego_from_cam`: first three rows, one after the other; metres |

BEVDepth's public code takes the intrinsics of the raw image and folds the resize into the image augmentation. Here the
resize is in the intrinsics, so that the numbers do not change when a camera delivers another raw size; in deployment
both augmentations are the identity.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import GeometryError
from bevdeploy.geometry.frames import Float64
from bevdeploy.geometry.image_transform import ImageTransform
from bevdeploy.geometry.rig import CameraRig

CAMERA_PARAMETERS = 27
"""Numbers per camera."""


def camera_parameters_of_rig(rig: CameraRig, net_hw: tuple[int, int]) -> NDArray[np.float32]:
    """The 27 numbers of every camera of a rig [N, 27], each with the image transform that fits its raw image."""
    fits = [ImageTransform.fit((camera.height_px, camera.width_px), net_hw) for camera in rig.cameras]
    K = np.stack([fit.net_from_image @ camera.K for fit, camera in zip(fits, rig.cameras, strict=True)])  # [N, 3, 3]
    return camera_parameters(K, np.stack([camera.ego_from_cam for camera in rig.cameras]))


def camera_parameters(
    K: Float64,
    bev_from_cam: Float64,
    augmented_from_net: Float64 | None = None,
    bev_from_ego: Float64 | None = None,
) -> NDArray[np.float32]:
    """The 27 numbers of every camera.

    Args:
        K: [N, 3, 3] intrinsics of the network images, image augmentation included.
        bev_from_cam: [N, 4, 4] camera to BEV frame, BEV augmentation included.
        augmented_from_net: [N, 3, 3] the image augmentations that `K` includes; None for none.
        bev_from_ego: [4, 4] the BEV augmentation that `bev_from_cam` includes; None for none.

    Returns:
        [N, 27].

    Raises:
        GeometryError: an augmentation cannot be inverted.
    """
    count = len(K)
    augmented = np.broadcast_to(np.eye(3), (count, 3, 3)) if augmented_from_net is None else augmented_from_net
    bev = np.eye(4) if bev_from_ego is None else bev_from_ego
    try:
        plain_K = np.linalg.inv(augmented) @ K  # [N, 3, 3]
        ego_from_cam = np.linalg.inv(bev) @ bev_from_cam  # [N, 4, 4]
    except np.linalg.LinAlgError as error:
        raise GeometryError("an augmentation of images or BEV frame cannot be inverted") from error
    parameters = np.empty((count, CAMERA_PARAMETERS))
    parameters[:, :4] = plain_K[:, [0, 1, 0, 1], [0, 1, 2, 2]]
    parameters[:, 4:10] = augmented[:, :2].reshape(count, 6)
    parameters[:, 10:15] = bev[[0, 0, 1, 1, 2], [0, 1, 0, 1, 2]]
    parameters[:, 15:] = ego_from_cam[:, :3].reshape(count, 12)
    return parameters.astype(np.float32)
