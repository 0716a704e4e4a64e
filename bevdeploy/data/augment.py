"""Augmentation: random image transforms per camera and one random similarity of the BEV frame, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bevdeploy.errors import DataSetError
from bevdeploy.geometry.frames import Float64
from bevdeploy.geometry.image_transform import ImageTransform


@dataclass(frozen=True)
class Augmentation:
    """Ranges to draw from; the defaults are BEVDet's for 704 x 256 px (Huang et al., 2021, and its public code)."""

    image_scale: tuple[float, float] = (0.864, 1.25)
    """Times the scale that fits; BEVDet's 0.38 to 0.55 of 1600 px, where 0.44 fits."""
    image_rotation_deg: float = 5.4
    """Either way, about the centre of the network image."""
    image_flip: bool = True
    """Every other camera image is mirrored left to right."""
    bev_rotation_deg: float = 22.5
    """Either way, about the ego frame's z."""
    bev_flip_x: bool = True
    """Every other sample has forward and backward swapped."""
    bev_flip_y: bool = True
    """Every other sample has left and right swapped."""
    bev_scale: tuple[float, float] = (0.95, 1.05)
    bev_translation_m: float = 0.0
    """Standard deviation along x, y and z (BEVFusion: 0.5)."""

    def __post_init__(self) -> None:
        for name in ("image_scale", "bev_scale"):
            low, high = getattr(self, name)
            if not 0 < low <= high <= 10:
                raise DataSetError(f"augmentation: {name} must be two factors, low then high, got {low}, {high}")
        for name, most in (("image_rotation_deg", 180.0), ("bev_rotation_deg", 180.0), ("bev_translation_m", 100.0)):
            if not 0 <= getattr(self, name) <= most:
                raise DataSetError(f"augmentation: {name} must be from 0 to {most:g}, got {getattr(self, name)}")


@dataclass(frozen=True)
class ImageDraw:
    """What happens to one camera's image, after the resize that fits: times `scale`, crop, flip, then rotation."""

    scale: float
    shift: float
    """Where the crop lies between the left (0) and the right (1) end."""
    flip: bool
    rotation_rad: float
    """Counter-clockwise in pixels, x right and y down: clockwise on the screen."""


@dataclass(frozen=True, eq=False)
class Draw:
    """The augmentation of one sample."""

    images: tuple[ImageDraw, ...]
    """One per camera; the previous keyframe's images take the same."""
    bev_from_ego: Float64
    """[4, 4] rotation, flips, scale and translation."""


def draw_augmentation(augmentation: Augmentation, seed: tuple[int, ...], cameras: int) -> Draw:
    """The draw of a seed: the same on any worker, in any order."""
    rng = np.random.default_rng(seed)
    turn = np.deg2rad(augmentation.image_rotation_deg)
    images = tuple(
        ImageDraw(
            scale=float(rng.uniform(*augmentation.image_scale)),
            shift=float(rng.uniform()),
            flip=bool(rng.integers(2)) and augmentation.image_flip,
            rotation_rad=float(rng.uniform(-turn, turn)),
        )
        for _ in range(cameras)
    )
    angle = np.deg2rad(rng.uniform(-augmentation.bev_rotation_deg, augmentation.bev_rotation_deg))
    flip_x, flip_y = (bool(rng.integers(2)) and on for on in (augmentation.bev_flip_x, augmentation.bev_flip_y))
    scale = rng.uniform(*augmentation.bev_scale)
    translation_m = rng.normal(size=3) * augmentation.bev_translation_m
    return Draw(images, bev_similarity(float(angle), flip_x, flip_y, float(scale), translation_m))


def bev_similarity(
    angle_rad: float, flip_x: bool, flip_y: bool, scale: float, translation_m: Float64 | None = None
) -> Float64:
    """`bev_from_ego` [4, 4]: rotation about z, then flips, then scale, then translation."""
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])
    bev_from_ego = np.eye(4)
    bev_from_ego[:3, :3] = scale * np.diag([-1.0 if flip_x else 1.0, -1.0 if flip_y else 1.0, 1.0]) @ rotation
    if translation_m is not None:
        bev_from_ego[:3, 3] = translation_m
    return bev_from_ego


def net_from_image(draw: ImageDraw, raw_hw: tuple[int, int], net_hw: tuple[int, int]) -> Float64:
    """Affine [3, 3] from raw to network pixels; what is cropped lies at the top, as without augmentation."""
    fit = ImageTransform.fit(raw_hw, net_hw)
    (net_h, net_w), scaled = net_hw, np.diag([draw.scale, draw.scale, 1.0])
    scaled = scaled @ np.diag([fit.resized_hw[1] / raw_hw[1], fit.resized_hw[0] / raw_hw[0], 1.0])
    width, height = raw_hw[1] * scaled[0, 0], raw_hw[0] * scaled[1, 1]
    crop = np.eye(3)
    crop[:2, 2] = -draw.shift * (width - net_w), -(height - net_h)
    flip = np.array([[-1.0, 0, net_w], [0, 1, 0], [0, 0, 1]]) if draw.flip else np.eye(3)
    cosine, sine = np.cos(draw.rotation_rad), np.sin(draw.rotation_rad)
    middle = np.array([net_w / 2, net_h / 2])
    turn = np.eye(3)
    turn[:2, :2] = [[cosine, -sine], [sine, cosine]]
    turn[:2, 2] = middle - turn[:2, :2] @ middle
    return np.asarray(turn @ flip @ crop @ scaled)
