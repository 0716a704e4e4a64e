"""What a camera sees of solids: faces of cuboids and outlines of ellipsoids, each with its depth and its texture.

Everything about a face is a linear form of the pixel p = (u, v, 1): the ray through it is z * K^-1 p, so on a plane
N.X = d the inverse depth 1/z is (K^-T N / d).p, and a coordinate along an axis S of the face is z * (K^-T S).p - C.S.
An ellipsoid (X-C)' A (X-C) = 1 is met at 1/z = l.p + sqrt(p' M p), and its outline is p' M p = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world import brushes, paint
from bevdeploy.data.world.scene import Float64, Light
from bevdeploy.data.world.solid_arrays import SolidArrays
from bevdeploy.data.world.view import NEAR_M, Pose, View, eye_of

_AXIS: Final = np.array([0, 0, 1, 1, 2, 2])
"""Of the faces of a cuboid, in the order of `SolidArrays.taper_m`."""
_SIGN: Final = np.array([1, -1, 1, -1, 1, -1])
_TEXTURE: Final = np.array([0, 1, 2, 2, 3, 3])
"""Front, back, side and top, as the atlas has them."""
_EDGE_ON_M: Final = 1e-4
"""A face whose plane passes this close to the camera is not seen."""
_RIGHT_AXIS: Final = np.array([1, 0, 0])
_AMBIENT: Final = np.array([0.86, 0.80, 1.0])
"""Share of the ambient light on faces along x, along y and on top."""


@dataclass(frozen=True, eq=False)
class Faces:
    """Cuboids' faces, and after them ellipsoids."""

    corners_m: Float64
    """[q, 4, 3] of the q cuboids' faces, camera frame, around the face."""
    outline: Float64
    """[m - q, 3, 3], M of each ellipsoid."""
    depth: Float64
    """[m, 3], inverse depth as a linear form of the pixel; of ellipsoids l."""
    right: Float64
    """[m, 3], texel along the face times inverse depth as a linear form; `right_at` is still to be taken off."""
    right_at: Float64
    up: Float64
    up_at: Float64
    texture: NDArray[np.intp]
    """[m], where its texture begins in the atlas."""
    texels_per_m: Float64
    """[m], per metre of depth and pixel: picks the mip level."""
    colour: Float64
    """[m, 3]."""
    light: Float64
    """[m, 3]: at texel 0, and its change per texel to the right and up."""
    solid: NDArray[np.intp]
    """[m], index of the solid."""

    def __len__(self) -> int:
        return len(self.solid)


def faces_of(solids: SolidArrays, view: View, pose: Pose, light: Light) -> Faces:
    """The faces that look at the camera, of solids in the global frame; they keep the solids' order."""
    ball = solids.ball
    boxes, balls = np.flatnonzero(~ball), np.flatnonzero(ball)
    flat, round_ = _box_faces(solids, boxes, view, pose, light), _ball_faces(solids, balls, view, pose, light)
    # Every field has the faces along its first axis.
    return Faces(**{f.name: np.concatenate([getattr(flat, f.name), getattr(round_, f.name)]) for f in fields(Faces)})


def _axes(yaw_rad: Float64) -> Float64:
    """[n, 3, 3], rows are the solids' own axes in the global frame."""
    axes = np.zeros((len(yaw_rad), 3, 3))
    axes[:, 0, 0] = axes[:, 1, 1] = np.cos(yaw_rad)
    axes[:, 0, 1] = np.sin(yaw_rad)
    axes[:, 1, 0] = -axes[:, 0, 1]
    axes[:, 2, 2] = 1
    return axes


def _box_faces(solids: SolidArrays, boxes: NDArray[np.intp], view: View, pose: Pose, light: Light) -> Faces:
    cam_from_global = view.cam_from_ego @ pose.rotation.T
    centre = solids.centre_m[boxes] - eye_of(view, pose)
    half, axes = solids.half_m[boxes], _axes(solids.yaw_rad[boxes])
    eye = -np.einsum("nkc,nc->nk", axes, centre)  # the camera along the solid's own axes, [n, 3]
    taper = solids.taper_m[boxes]  # [n, 6]
    tall = 2 * half[:, 2:]
    above = (eye[:, _AXIS] * _SIGN - half[:, _AXIS]) * tall + (eye[:, 2:] + half[:, 2:]) * taper  # [n, 6]
    row, side = np.nonzero(above > _EDGE_ON_M * tall)  # each [m], the faces that look at the camera
    half, axes, centre, taper, tall = half[row], axes[row], centre[row], taper[row], tall[row, 0]
    axis, sign, each = _AXIS[side], _SIGN[side], np.arange(len(row))
    lean = taper[each, side]
    outward = axes[each, axis] * sign[:, None]  # [m, 3]
    right, half_right = axes[each, _RIGHT_AXIS[axis]], half[each, _RIGHT_AXIS[axis]]
    # A wall rises over its height while it leans inward; top and bottom lie flat.
    level = axis == 2
    rise = np.where(level[:, None], axes[:, 1] * half[:, 1:2], axes[:, 2] * half[:, 2:] - outward * lean[:, None] / 2)
    half_up = np.linalg.norm(rise, axis=1)
    up = rise / half_up[:, None]
    normal = outward * np.where(level, 1, tall / half_up / 2)[:, None] + axes[:, 2] * (lean / half_up / 2)[:, None]
    middle = centre + outward * (half[each, axis] - lean / 2)[:, None]
    # Corners along `right` and `up`, from the lower left one on.
    shrink = (
        np.where(axis == 0, 1, 0)[:, None] * taper[:, [3, 2]] + np.where(axis == 0, 0, 1)[:, None] * taper[:, [1, 0]]
    )
    low = np.where((side == 4)[:, None], shrink, 0)  # the top face is narrower at both ends
    high = np.where((side == 5)[:, None], 0, shrink)
    narrow = np.where(side == 4, half_up - taper[:, 2], half_up)
    at_right = np.stack([low[:, 0] - half_right, half_right - low[:, 1],
                         half_right - high[:, 1], high[:, 0] - half_right], 1)  # [m, 4]  # fmt: skip
    at_up = narrow[:, None] * [-1, -1, 1, 1]
    corners = middle[:, None] + at_right[..., None] * right[:, None] + at_up[..., None] * up[:, None]  # [m, 4, 3]
    base = light.ambient * np.where(side == 5, 0.5, _AMBIENT[axis]) + light.diffuse * np.maximum(normal @ light.sun, 0)
    corners, middle, normal, right, up = (a @ cam_from_global.T for a in (corners, middle, normal, right, up))
    number = solids.paint[boxes][row]
    periods = _PERIODS[number]  # [m, 4]: metres and cells, along and up
    wide = _repeats(2 * half_right, periods[:, 0], periods[:, 2])
    high_up = _repeats(2 * half_up, periods[:, 1], periods[:, 3])
    per_right, per_up = wide * brushes.WIDTH / (2 * half_right), high_up * brushes.HEIGHT / (2 * half_up)
    # Walls are a little darker at their foot.
    dark = np.where(level, 0.0, 0.10)
    shade = np.stack([base * (1 - dark), np.zeros(len(row)), base * dark / (high_up * brushes.HEIGHT)], 1)  # [m, 3]
    return Faces(
        corners,
        np.zeros((0, 3, 3)),
        normal @ view.K_inverse / np.einsum("mc,mc->m", normal, middle)[:, None],
        right @ view.K_inverse * per_right[:, None],
        np.einsum("mc,mc->m", right, middle) * per_right - wide * brushes.WIDTH / 2,
        up @ view.K_inverse * per_up[:, None],
        np.einsum("mc,mc->m", up, middle) * per_up - high_up * brushes.HEIGHT / 2,
        (number * 4 + _TEXTURE[side]) * paint.TEXELS,
        np.maximum(per_right, per_up) / view.K[0, 0],
        solids.colour[boxes][row],
        shade,
        boxes[row],
    )


def _ball_faces(solids: SolidArrays, balls: NDArray[np.intp], view: View, pose: Pose, light: Light) -> Faces:
    cam_from_global = view.cam_from_ego @ pose.rotation.T
    centre = solids.centre_m[balls] - eye_of(view, pose)
    axes, half = _axes(solids.yaw_rad[balls]), solids.half_m[balls]
    spread = np.einsum("nki,nk,nkj->nij", axes, half**2, axes)  # A^-1, [n, 3, 3]
    shape = np.einsum("nki,nk,nkj->nij", axes, half**-2.0, axes)  # A
    polar = np.einsum("nij,nj->ni", shape, centre)
    outside = np.einsum("ni,ni->n", polar, centre) - 1
    depth = centre @ cam_from_global[2]
    reach = np.sqrt(np.einsum("i,nij,j->n", cam_from_global[2], spread, cam_from_global[2]))
    keep = np.flatnonzero((outside > 0) & (depth - reach > NEAR_M))
    centre, spread, shape, polar, outside, half = (a[keep] for a in (centre, spread, shape, polar, outside, half))
    global_from_pixel = cam_from_global.T @ view.K_inverse  # [3, 3]
    line = polar @ global_from_pixel / outside[:, None]
    outline = np.einsum("ni,nj->nij", polar, polar) - shape * outside[:, None, None]
    outline = global_from_pixel.T @ outline @ global_from_pixel / (outside**2)[:, None, None]
    away = centre / np.linalg.norm(centre, axis=1, keepdims=True)
    right = np.stack([away[:, 1], -away[:, 0], np.zeros(len(keep))], 1)
    right /= np.maximum(np.linalg.norm(right, axis=1, keepdims=True), 1e-9)
    half_right = np.sqrt(np.einsum("ni,nij,nj->n", right, spread, right))
    per_right, per_up = brushes.WIDTH / 2 / half_right, brushes.HEIGHT / 2 / half[:, 2]
    sun = np.asarray(light.sun)
    # Lambert's law with a normal that changes evenly over the disc.
    shade = np.stack(
        [
            light.ambient * 0.9 + light.diffuse * 0.55 * (0.5 - 0.5 * away @ sun),
            light.diffuse * 0.5 * (right @ sun) / (brushes.WIDTH / 2),
            np.full(len(keep), (light.diffuse * 0.5 * sun[2] + light.ambient * 0.2) / (brushes.HEIGHT / 2)),
        ],
        1,
    )  # [n, 3]
    shade[:, 0] = np.maximum(shade[:, 0] - shade[:, 1] * brushes.WIDTH / 2 - shade[:, 2] * brushes.HEIGHT / 2, 0)
    upward = np.array([0.0, 0.0, 1.0])
    return Faces(
        np.zeros((0, 4, 3)),
        outline,
        line,
        right @ global_from_pixel * per_right[:, None],
        np.einsum("ni,ni->n", right, centre) * per_right - brushes.WIDTH / 2,
        np.broadcast_to(upward @ global_from_pixel, (len(keep), 3)) * per_up[:, None],
        centre[:, 2] * per_up - brushes.HEIGHT / 2,
        (solids.paint[balls][keep] * 4 + 2) * paint.TEXELS,
        np.maximum(per_right, per_up) / view.K[0, 0],
        solids.colour[balls][keep],
        shade,
        balls[keep],
    )


_PERIODS: Final = np.array(
    [[*(p.period_m or (np.inf, np.inf)), *p.cells] for p in paint.PAINTS.values()], np.float64
)  # [paints, 4]


def _repeats(size_m: Float64, period_m: Float64, cells: Float64) -> Float64:
    """How often a texture repeats over a face: once where it is stretched, else a whole number of its cells."""
    return np.where(np.isfinite(period_m), np.maximum(np.round(size_m / period_m * cells), 1) / cells, 1.0)
