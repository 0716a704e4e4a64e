from __future__ import annotations

import itertools

import numpy as np
import pytest

from bevdeploy.data import TrueBoxes, synthetic_frame_sets, synthetic_scene
from bevdeploy.data.raycast import CameraRays, image_of_street
from bevdeploy.data.street import EgoPose, Solid, Street, street_at
from bevdeploy.data.world.sensor_pixels import enlarged
from bevdeploy.errors import FrameSourceError, GeometryError
from bevdeploy.geometry import Camera, CameraRig, surround_rig
from bevdeploy.geometry.frames import invert, transform
from bevdeploy.tasks import TaskSpec

NO_BOXES = TrueBoxes(np.zeros((0, 9), np.float32), ())
RIG = surround_rig(320, 180)


def seen_alone(camera: Camera, *solids: Solid) -> np.ndarray:
    """Pixels [h, w] that differ between a street with the solids and the same street empty.

    On the road or on the grass beside it: grey paint may equal asphalt, but nothing equals both.
    """
    rays = CameraRays.of(camera, 1)
    seen = np.zeros(rays.direction.shape[1:], bool)
    for ego in (EgoPose(3.0, -1.0, 0.02), EgoPose(3.0, 60.0, 0.02)):
        full, bare = (image_of_street(rays, Street(ego, what, NO_BOXES)) for what in (solids, ()))
        seen |= (full != bare).any(-1)
    return seen


def pixels_of(camera: Camera, points_m: np.ndarray) -> np.ndarray:
    cam = transform(invert(camera.ego_from_cam), points_m)
    assert (cam[:, 2] > 0).all()
    return np.asarray((cam @ camera.K.T)[:, :2] / cam[:, 2:])


def corners_m(solid: Solid) -> np.ndarray:
    """Corners [8, 3], by a rotation written out once more."""
    cos, sin = np.cos(solid.yaw_rad), np.sin(solid.yaw_rad)
    (length, w, h), (x, y, z) = solid.half_m, solid.centre_m
    signs = [(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]
    return np.array(
        [[x + i * length * cos - j * w * sin, y + i * length * sin + j * w * cos, z + k * h] for i, j, k in signs]
    )


def in_hull(uv: np.ndarray, scale: float, shape_hw: tuple[int, ...]) -> np.ndarray:
    """Pixel centres [h, w] in the convex hull of points, scaled about their mean: those in a triangle of any three."""
    points = uv.mean(0) + scale * (uv - uv.mean(0))
    v, u = np.mgrid[: shape_hw[0], : shape_hw[1]]
    inside = np.zeros(shape_hw, bool)

    def turn(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray((b[0] - a[0]) * (v - a[1]) - (b[1] - a[1]) * (u - a[0]))

    for corners in itertools.combinations(points, 3):
        pairs = itertools.combinations(corners, 2)
        first, second, third = (turn(a, b) for a, b in pairs)
        inside |= ((first > 0) & (second < 0) & (third > 0)) | ((first < 0) & (second > 0) & (third < 0))
    return inside


PAINTS = ("car", "glass", "bus", "facade", "barrier")


@pytest.mark.parametrize(
    ("name", "paint"), [*((name, "plain") for name in RIG.names), *(("CAM_FRONT", paint) for paint in PAINTS)]
)
def test_a_cuboid_is_drawn_where_its_corners_project(name: str, paint: str) -> None:
    camera = RIG.cameras[RIG.names.index(name)]
    ahead = camera.ego_from_cam[:3, :3] @ [0.02, 0, 1]
    place = camera.ego_from_cam[:3, 3] + 12 * ahead
    solid = Solid((place[0], place[1], 1.0), (2.1, 0.9, 0.8), 0.7, (0.9, 0.1, 0.9), paint, shadow=False)
    seen, uv = seen_alone(camera, solid), pixels_of(camera, corners_m(solid))
    assert seen.sum() > 500
    # 0.2 % of some 60 px: what float32 rays and the rounding of colours may decide otherwise at the rim.
    assert (seen | ~in_hull(uv, 0.998, seen.shape)).all() and (~seen | in_hull(uv, 1.002, seen.shape)).all()


def test_a_ball_covers_an_ellipse_of_its_cuboid() -> None:
    camera = RIG.cameras[1]
    ball = Solid((25.0, 0.0, 2.0), (1.5, 1.5, 1.5), 0.0, (0.9, 0.1, 0.9), "ball", shadow=False)
    seen = seen_alone(camera, ball)
    radius_px = camera.K[0, 0] * 1.5 / (25 - camera.ego_from_cam[0, 3])
    assert seen.sum() == pytest.approx(np.pi * radius_px**2, rel=0.06)
    rows, columns = np.nonzero(seen)
    (u, v), *_ = pixels_of(camera, np.array([ball.centre_m]))
    assert columns.mean() == pytest.approx(u, abs=0.7) and rows.mean() == pytest.approx(v, abs=0.7)


def test_the_nearer_of_two_hides_the_farther_whatever_the_order() -> None:
    camera, ego = RIG.cameras[1], EgoPose(0.0, 0.0, 0.0)
    near = Solid((10.0, 0.0, 1.0), (0.5, 1.0, 1.0), 0.0, (1.0, 0.0, 0.0), shadow=False)
    far = Solid((20.0, 0.0, 1.0), (0.5, 6.0, 1.0), 0.0, (0.0, 0.0, 1.0), shadow=False)
    rays = CameraRays.of(camera, 1)
    one, other = (image_of_street(rays, Street(ego, solids, NO_BOXES)) for solids in ((near, far), (far, near)))
    np.testing.assert_array_equal(one, other)
    u, v = pixels_of(camera, np.array([[9.5, 0.0, 1.0]]))[0].round().astype(int)
    red, _, blue = one[v, u].astype(int)
    assert red > blue + 50
    u, v = pixels_of(camera, np.array([[19.5, 4.0, 1.0]]))[0].round().astype(int)
    red, _, blue = one[v, u].astype(int)
    assert blue > red + 50


def test_what_stands_between_two_cameras_is_in_both() -> None:
    left, front = RIG.cameras[0], RIG.cameras[1]
    solid = Solid((9.0, 5.4, 1.0), (2.2, 0.9, 0.9), 0.0, (0.9, 0.1, 0.9), shadow=False)
    in_left, in_front = seen_alone(left, solid), seen_alone(front, solid)
    assert in_left[:, -1].any() and in_front[:, 0].any()


@pytest.mark.parametrize("paint", ["plain", "ball"])
def test_shadow_falls_on_the_ground_beside_it(paint: str) -> None:
    camera = RIG.cameras[1]
    solid = Solid((15.0, 0.0, 1.0), (0.8, 0.8, 1.0), 0.3, (0.9, 0.1, 0.9), paint)
    bare = Solid(solid.centre_m, solid.half_m, solid.yaw_rad, solid.colour, paint, shadow=False)
    shade = seen_alone(camera, solid) & ~seen_alone(camera, bare)
    assert shade.sum() > 20
    uv = np.stack(np.nonzero(shade)[::-1], -1).mean(0)
    # The sun stands ahead to the left, so the shadow lies to the right.
    assert uv[0] > pixels_of(camera, np.array([solid.centre_m]))[0, 0]


def test_ground_below_the_horizon_and_sky_above() -> None:
    camera = RIG.cameras[1]
    image = image_of_street(CameraRays.of(camera, 1), Street(EgoPose(20.0, -1.75, 0.0), (), NO_BOXES)).astype(int)
    assert (image[:40, :, 2] > image[:40, :, 0] + 30).all()  # blue
    asphalt = pixels_of(camera, np.array([[14.0, -1.2, 0.0], [22.0, 1.0, 0.0]])).round().astype(int)
    for u, v in asphalt:
        assert np.ptp(image[v, u]) < 25 and image[v, u].max() < 130  # grey and dark
    grass = pixels_of(camera, np.array([[30.0, 12.0, 0.0]])).round().astype(int)[0]
    red, green, blue = image[grass[1], grass[0]]
    assert green > red and green > blue


def test_same_seed_same_sets_and_others_differ() -> None:
    first, again = (list(synthetic_frame_sets(RIG, 2, seed=5)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert one.token == other.token and one.timestamp_us == other.timestamp_us
        for a, b in zip(one.frames, other.frames, strict=True):
            np.testing.assert_array_equal(a, b)
    (foreign,) = synthetic_frame_sets(RIG, 1, seed=6)
    for k in range(6):
        for other_frame in (first[1].frames[k], foreign.frames[k]):
            assert np.abs(first[0].frames[k].astype(int) - other_frame).mean() > 3
    assert [one.timestamp_us for one in first] == [0, 500_000]
    assert len({one.token for one in (*first, foreign)}) == 3


def test_large_images_are_the_small_ones_enlarged() -> None:
    large, small = surround_rig(1200, 675), surround_rig(400, 225)
    (big,), (little,) = synthetic_frame_sets(large, 1), synthetic_frame_sets(small, 1)
    for a, b in zip(big.frames, little.frames, strict=True):
        assert a.shape == (675, 1200, 3) and a.flags.c_contiguous and a.dtype == np.uint8
        blocks = a.reshape(225, 3, 400, 3, 3).mean((1, 3))
        # Edges fall on other pixels when cast at half instead of a third of the size; areas agree.
        assert np.median(np.abs(blocks - b)) < 4 and np.abs(blocks.mean((0, 1)) - b.mean((0, 1))).max() < 2


def test_rays_go_through_the_centres_of_blocks() -> None:
    camera = surround_rig(1200, 675).cameras[2]
    rays = CameraRays.of(camera, 3)
    assert rays.direction.shape == (3, 225, 400)
    points_m = rays.origin_m + 10 * rays.direction[:, [0, 100, 224], [0, 37, 399]].T
    # Blocks of 3 x 3 px: the first one's centre is pixel 1.
    np.testing.assert_allclose(pixels_of(camera, points_m), [[1, 1], [112, 301], [1198, 673]], atol=1e-3)


@pytest.mark.parametrize("stride", [2, 3, 5])
def test_enlarging_keeps_a_ramp_in_place(stride: int) -> None:
    """A colour that is linear in the pixel, sampled at block centres, is the same colour again between the centres."""
    camera = surround_rig(20 * stride, 12 * stride).cameras[0]
    slope = 10 / stride

    def ramp(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.asarray(slope * np.stack([u + 0 * v, v + 0 * u, (u + v) / 2], -1) + 5)

    v, u = np.mgrid[:12, :20] * stride + (stride - 1) / 2
    small = ramp(u, v).round().astype(np.uint8)
    large = enlarged(small, stride, camera.height_px, camera.width_px)
    v, u = np.mgrid[: 12 * stride, : 20 * stride]
    inner = (slice(stride, -stride), slice(stride, -stride))
    # Two roundings to uint8, and the weights' to 1/128 of a step of 10.
    assert np.abs(large - ramp(u, v))[inner].max() < 1.7


def test_sizes_that_no_stride_divides() -> None:
    camera = surround_rig(1601, 7).cameras[0]
    (one,) = synthetic_frame_sets(CameraRig((camera,)), 1)
    assert one.frames[0].shape == (7, 1601, 3)


def test_any_rig_also_one_that_sees_only_sky_or_ground() -> None:
    up = np.array([[0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, -1, 1.5], [0, 0, 0, 1.0]])
    down, K = up.copy(), np.array([[60.0, 0, 20], [0, 60, 15], [0, 0, 1]])
    up = up @ np.diag([1.0, -1, -1, 1])
    cameras = Camera("sky", 40, 30, K, up), Camera("ground", 64, 24, K, down)
    (one,) = synthetic_frame_sets(CameraRig(cameras), 1)
    assert [frame.shape for frame in one.frames] == [(30, 40, 3), (24, 64, 3)]
    assert one.frames[0][..., 2].mean() > one.frames[0][..., 0].mean() + 30


def test_true_boxes_move_with_the_vehicle() -> None:
    for index in (0, 1, 7, 300):
        truth = synthetic_scene(index, seed=2)
        assert truth.boxes.shape == (len(truth.class_names), 9) and truth.boxes.dtype == np.float32
        assert np.isfinite(truth.boxes).all() and (truth.labels(TaskSpec()) >= 0).all() and len(truth.boxes) > 20
        assert np.hypot(truth.boxes[:, 0], truth.boxes[:, 1]).max() < 61
        np.testing.assert_allclose(truth.boxes[:, 2], truth.boxes[:, 5] / 2)  # all stand on the ground
        assert (np.abs(truth.boxes[:, 6]) <= np.pi + 1e-6).all()
        inside = (np.abs(truth.boxes[:, 0] - 1.2) < 2.3) & (np.abs(truth.boxes[:, 1]) < 1)
        assert not inside.any()


def test_what_is_drawn_stands_in_its_box() -> None:
    street = street_at(13, 2)
    assert abs(street.ego.yaw_rad) > 1e-3  # else road axes and ego axes are the same
    bodies = [solid for solid in street.solids if solid.paint == "car"]
    cars = street.boxes.boxes[np.array(street.boxes.class_names) == "car"]
    assert len(cars) > 5
    for x, y, _, width, length, height, yaw, *_ in cars:
        body = min(bodies, key=lambda solid: np.hypot(solid.centre_m[0] - x, solid.centre_m[1] - y))
        np.testing.assert_allclose(body.centre_m[:2], [x, y], atol=1e-4)
        np.testing.assert_allclose(body.half_m[:2], [length / 2, width / 2], rtol=1e-5)
        np.testing.assert_allclose(np.exp(1j * body.yaw_rad), np.exp(1j * yaw), atol=1e-6)
        assert 0 < body.centre_m[2] - body.half_m[2] and body.centre_m[2] + body.half_m[2] < height


def test_velocities_lead_to_the_next_frame() -> None:
    (now, after), poses = (synthetic_scene(k, 4) for k in (0, 1)), [street_at(k, 4).ego for k in (0, 1)]

    def on_road(truth: TrueBoxes, pose: EgoPose, seconds: float) -> np.ndarray:
        xy = truth.boxes[:, :2] + seconds * truth.boxes[:, 7:]
        cos, sin = np.cos(pose.yaw_rad), np.sin(pose.yaw_rad)
        return np.asarray(xy @ np.array([[cos, sin], [-sin, cos]]) + [pose.x_m, pose.y_m])

    expected, there = on_road(now, poses[0], 0.5), on_road(after, poses[1], 0.0)
    names = np.array(after.class_names)
    followed = 0
    for name, place in zip(now.class_names, expected, strict=True):
        if np.hypot(*(place - [poses[1].x_m, poses[1].y_m])) < 50:
            distance_m = np.hypot(*(there[names == name] - place).T).min()
            followed += distance_m < 0.02
            # Only people turn round between two frames.
            assert distance_m < 0.02 or name == "pedestrian"
    assert followed > 20


def test_labelled_cars_are_in_the_pictures() -> None:
    """Where a near car's box projects, the picture differs from the same street without its solids."""
    street, camera = street_at(3, 1), RIG.cameras[4]
    box_centres = street.boxes.boxes[np.array(street.boxes.class_names) == "car", :3]
    cam = transform(invert(camera.ego_from_cam), box_centres)
    uv = (cam @ camera.K.T)[:, :2] / cam[:, 2:]
    ahead = (cam[:, 2] > 3) & (cam[:, 2] < 40) & (np.abs(uv - [160, 90]) < [150, 80]).all(1)
    rays = CameraRays.of(camera, 1)
    full = image_of_street(rays, street).astype(int)
    bare = image_of_street(rays, Street(street.ego, (), NO_BOXES))
    u, v = uv[ahead].round().astype(int).T
    assert ahead.sum() >= 2 and (np.abs(full[v, u] - bare[v, u]).max(1) > 0).all()


@pytest.mark.parametrize(("count", "seed"), [(-1, 0), (1, -1)])
def test_negative_numbers(count: int, seed: int) -> None:
    with pytest.raises(FrameSourceError, match="negative"):
        synthetic_frame_sets(RIG, count, seed)
    with pytest.raises(FrameSourceError, match="negative"):
        synthetic_scene(count if count < 0 else 0, seed)


def test_singular_intrinsics() -> None:
    camera = Camera("bent", 40, 30, np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]]), RIG.cameras[0].ego_from_cam)
    with pytest.raises(GeometryError, match="bent"):
        list(synthetic_frame_sets(CameraRig((camera,)), 1))
