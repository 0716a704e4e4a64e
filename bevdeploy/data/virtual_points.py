"""MVP's virtual points: lidar made denser where a camera sees an object (Yin et al., NeurIPS 2021; its code 9e60194).

Each instance mask of a raw image gets points at random pixels. A pixel takes the depth of the nearest lidar point of
the same instance in the image and is carried back along its ray. Real points inside masks come a second time, painted
with the instance's labels.

What differs from the public code: a virtual point lies on the ray of its pixel's centre (there: its upper left corner);
lidar nearer than `NEAREST_M` to a camera is not painted (there: 0); the threshold of 3,000 px, which no image of
1600 x 900 px reaches, is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.instance_masks import InstanceMask
from bevdeploy.data.sample import Float32
from bevdeploy.errors import DataSetError
from bevdeploy.geometry.frames import Float64, invert, transform
from bevdeploy.geometry.rig import Camera

LABEL_CLASSES = (
    "car",
    "truck",
    "trailer",
    "bus",
    "construction_vehicle",
    "bicycle",
    "motorcycle",
    "pedestrian",
    "traffic_cone",
    "barrier",
)
"""Order of the one-hot columns: nuImages' in CenterNet2, MVP's detector, so that its public weights read them."""
LABELS = len(LABEL_CLASSES) + 1
"""One-hot class, then the detector's score."""
FEATURES = 4 + LABELS + 2
"""x, y, z, reflectance, labels, virtual flag, age: DistillBEV's order of the 17 numbers."""
PER_INSTANCE = 50
"""Virtual points of each mask, as published."""
NEAREST_M = 0.5
"""Lidar points closer to a camera's plane lie on the vehicle, or behind it."""


@dataclass(frozen=True, eq=False)
class VirtualPoints:
    """R painted real points and V virtual ones, by camera, then instance; the ego frame is that of the key time."""

    real: NDArray[np.int64]
    """[R] rows of the lidar points that lie in a mask, ascending."""
    real_labels: Float32
    """[R, 11] one-hot class and score; the larger number of each column where two cameras see the point."""
    xyz_m: Float64
    """[V, 3] virtual points, ego frame."""
    labels: Float32
    """[V, 11]."""
    camera: NDArray[np.int64]
    """[V]."""
    instance: NDArray[np.int64]
    """[V] number among the camera's masks."""
    pixel: NDArray[np.int64]
    """[V, 2] u, v of the raw image."""
    source: NDArray[np.int64]
    """[V] row of the lidar point whose depth each took."""


def virtual_points(
    lidar_m: NDArray[Any],
    cameras: Sequence[Camera],
    instances: Sequence[Sequence[InstanceMask]],
    rng: np.random.Generator,
    per_instance: int = PER_INSTANCE,
) -> VirtualPoints:
    """Painted and virtual points of one lidar sweep.

    Where masks overlap, a lidar point belongs to the first. A mask with fewer pixels than points repeats the first
    pixel drawn; a mask without a lidar point gives none.

    Args:
        lidar_m: [P, 3 or more] x, y, z in the ego frame of the key time.
        cameras: raw images, placed in the same frame; without augmentation.
        instances: masks of each camera, the most certain or nearest first.
        rng: draws the pixels; the same state gives the same points.
        per_instance: virtual points of each mask.

    Raises:
        DataSetError: cameras and masks differ in number, or a class is not of `LABEL_CLASSES`.
    """
    if len(cameras) != len(instances) or per_instance < 0:
        raise DataSetError(
            f"virtual points: {len(instances)} lists of masks for {len(cameras)} cameras, {per_instance} points for "
            "each mask; give one list for each camera, and 0 points or more"
        )
    xyz = np.asarray(lidar_m, np.float64)[:, :3]
    painted = np.zeros((len(xyz), LABELS), np.float32)
    parts: list[tuple[Float64, Float32, int, int, NDArray[np.int64], NDArray[np.int64]]] = []
    for camera_number, (camera, masks) in enumerate(zip(cameras, instances, strict=True)):
        rows, pixels, depth_m = _projected(xyz, camera)
        free = np.ones(len(rows), bool)
        for number, instance in enumerate(masks):
            label = label_of(instance)
            candidates = instance.pixels()  # [n, 2]
            drawn = _drawn(len(candidates), per_instance, rng)  # also where no point follows: the next masks' stay
            own = np.flatnonzero(free & instance.holds(pixels))
            if not len(own) or not len(candidates):
                continue
            free[own] = False
            painted[rows[own]] = np.maximum(painted[rows[own]], label)
            chosen = candidates[drawn]  # [per_instance, 2]
            nearest = own[nearest_pixels(chosen, pixels[own])]
            virtual_m = _unprojected(chosen, depth_m[nearest], camera)
            labels = np.tile(label, (len(chosen), 1))
            parts.append((virtual_m, labels, camera_number, number, chosen, rows[nearest]))
    real = np.flatnonzero(painted.any(1))
    counts = [len(part[0]) for part in parts]
    return VirtualPoints(
        real=real,
        real_labels=painted[real],
        xyz_m=np.concatenate([np.zeros((0, 3)), *(part[0] for part in parts)]),
        labels=np.concatenate([np.zeros((0, LABELS), np.float32), *(part[1] for part in parts)]),
        camera=np.repeat(np.array([part[2] for part in parts], np.int64), counts),
        instance=np.repeat(np.array([part[3] for part in parts], np.int64), counts),
        pixel=np.concatenate([np.zeros((0, 2), np.int64), *(part[4] for part in parts)]),
        source=np.concatenate([np.zeros(0, np.int64), *(part[5] for part in parts)]),
    )


def lidar_with_virtual_points(points: Float32, made: VirtualPoints, bev_from_ego: Float64) -> Float32:
    """[P + R + V, 17]: the points, the painted ones again, the virtual ones; columns as `FEATURES` says.

    Labels of the points as they are are ones; a virtual point has reflectance -1. The virtual flag is 1 for virtual
    points and 0 for real ones, which is what MVP's pillar network makes of the 1, 0 and -1 of its files.

    Args:
        points: [P, 5] x, y, z (m, augmented BEV frame), intensity, age (s); the keyframe's own sweep first.
        made: painted and virtual points of the keyframe's own sweep.
        bev_from_ego: [4, 4] BEV augmentation.
    """
    plain = np.ones((len(points), FEATURES), np.float32)
    plain[:, :4], plain[:, -2], plain[:, -1] = points[:, :4], 0, points[:, 4]
    painted = plain[made.real]  # [R, 17]
    painted[:, 4:-2] = made.real_labels
    virtual = np.zeros((len(made.xyz_m), FEATURES), np.float32)  # [V, 17]
    virtual[:, :3], virtual[:, 3] = transform(bev_from_ego, made.xyz_m), -1
    virtual[:, 4:-2], virtual[:, -2] = made.labels, 1
    return np.concatenate([plain, painted, virtual])  # [P + R + V, 17]


def label_of(instance: InstanceMask) -> Float32:
    """[11] one-hot class and score.

    Raises:
        DataSetError: the class is not of `LABEL_CLASSES`.
    """
    if instance.class_name not in LABEL_CLASSES:
        raise DataSetError(f"no class {instance.class_name!r} for virtual points; there are {', '.join(LABEL_CLASSES)}")
    label = np.zeros(LABELS, np.float32)
    label[LABEL_CLASSES.index(instance.class_name)], label[-1] = 1, instance.score
    return label


def nearest_pixels(pixels: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """[n] for each of pixels [n, 2] the row of the nearest of others [m, 2], m > 0; the first of equals."""
    squared = ((pixels[:, None] - others[None]) ** 2).sum(2)  # [n, m]
    return np.asarray(squared.argmin(1))


def _drawn(count: int, wanted: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """[wanted] of `count` pixels, each once; the first drawn again where there are too few; [0] of none."""
    drawn = rng.choice(count, min(count, wanted), replace=False)
    return np.concatenate([drawn, np.repeat(drawn[:1], max(0, wanted - count))])


def _projected(xyz: Float64, camera: Camera) -> tuple[NDArray[np.int64], NDArray[np.int64], Float64]:
    """Rows [n] of the points that fall into the image, their pixels [n, 2] and depths [n] in metres."""
    seen = transform(invert(camera.ego_from_cam), xyz)  # [P, 3]
    rows = np.flatnonzero(seen[:, 2] > NEAREST_M)
    image = seen[rows] @ camera.K.T
    pixels = np.floor(image[:, :2] / image[:, 2:])
    inside = ((pixels >= 0) & (pixels < (camera.width_px, camera.height_px))).all(1)
    return rows[inside], pixels[inside].astype(np.int64), seen[rows[inside], 2]


def _unprojected(pixels: NDArray[np.int64], depth_m: Float64, camera: Camera) -> Float64:
    """Points [n, 3] of the ego frame at the centres of pixels [n, 2]."""
    homogeneous = np.pad(pixels + 0.5, ((0, 0), (0, 1)), constant_values=1.0)  # [n, 3]
    rays = homogeneous @ np.linalg.inv(camera.K).T
    return transform(camera.ego_from_cam, rays * depth_m[:, None])
