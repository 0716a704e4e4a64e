"""What a camera sees of a scene at one time: its image, and how much of every track is in it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.world.backdrop import paint_ground, paint_sky
from bevdeploy.data.world.faces import faces_of
from bevdeploy.data.world.fragments import Spans, nearest, spans_of
from bevdeploy.data.world.ground import GroundRaster
from bevdeploy.data.world.scene import Scene
from bevdeploy.data.world.sensor_pixels import Image, enlarged, noisy
from bevdeploy.data.world.shadows import shadow_spans
from bevdeploy.data.world.solid_arrays import solids_near
from bevdeploy.data.world.solid_colours import paint_solids
from bevdeploy.data.world.view import Float32, Pose, View, balls_in_view, view_of
from bevdeploy.geometry.rig import Camera

RANGE_M: Final = 110.0
"""Farther solids are not drawn."""


@dataclass(frozen=True, eq=False)
class CameraView:
    """One image and what of the scene's tracks is in it."""

    rgbx: Image
    """[H, W, 4] RGB and a byte that is 0, as the encoder takes it."""
    visible: Float32
    """[tracks], pixels of the image that show the track."""
    unoccluded: Float32
    """[tracks], pixels that it would cover if nothing stood before it: those between the leftmost and the rightmost
    of its own parts in each row of the image."""

    @property
    def image(self) -> Image:
        """[H, W, 3] RGB."""
        return np.ascontiguousarray(self.rgbx[..., :3])


def camera_view(scene: Scene, ground: GroundRaster, camera: Camera, time_s: float) -> CameraView:
    """Image of a camera, of its own size, as seen at `time_s`; the same for the same arguments.

    Raises:
        GeometryError: K cannot be inverted, the camera lies below the ground, or a solid has an unknown paint.
    """
    view = view_of(camera)
    pose = Pose(*scene.ego.pose_at(time_s))
    solids = solids_near(scene, time_s, (pose.x_m, pose.y_m), RANGE_M)
    radius = np.linalg.norm(solids.half_m, axis=1)
    near = solids.chosen(balls_in_view(solids.centre_m, radius, view, pose, RANGE_M, 0.3))
    faces = faces_of(near, view, pose, scene.light)
    spans = spans_of(faces, view)
    shown = nearest(faces, spans, view)
    size = view.height_px * view.width_px
    pixels, covered = np.empty(size, np.uint32), np.zeros(size, bool)
    covered[shown.pixel] = True
    shaded = shadow_spans(solids, view, pose, scene.light).cover(view.height_px, view.width_px)
    paint_sky(pixels, covered, view, pose, scene.light)
    paint_ground(pixels, covered, shaded, view, pose, ground, scene.light)
    paint_solids(pixels, faces, spans, shown, scene.light, view)
    cast = pixels.reshape(view.height_px, view.width_px)
    seed = (scene.seed & 0xFFFFFFFF, zlib.crc32(camera.name.encode()), round(time_s * 1e6) & 0xFFFFFFFF)
    rgbx = enlarged(noisy(cast, seed), view.stride, camera.height_px, camera.width_px)
    scale = np.float32(view.stride**2)
    track = near.track[faces.solid]
    visible = _counts(track[spans.face[shown.span]], len(scene.tracks))
    return CameraView(rgbx, visible * scale, _alone(track, spans, len(scene.tracks), view) * scale)


def _counts(track: NDArray[np.intp], tracks: int) -> Float32:
    return np.bincount(track[track >= 0], minlength=tracks).astype(np.float32)


def _alone(track: NDArray[np.intp], spans: Spans, tracks: int, view: View) -> Float32:
    """Pixels between the leftmost and the rightmost of each track's spans, over all rows, [tracks]."""
    owner = track[spans.face]
    own = owner >= 0
    row = owner[own] * view.height_px + spans.row[own]
    left = np.full(tracks * view.height_px, view.width_px)
    right = np.zeros(tracks * view.height_px, np.intp)
    np.minimum.at(left, row, spans.start[own])
    np.maximum.at(right, row, spans.stop[own])
    return np.asarray(np.maximum(right - left, 0).reshape(tracks, view.height_px).sum(1), np.float32)
