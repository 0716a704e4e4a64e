"""Samples of real frames: deployment's images, one geometry under augmentation, damage that is passed over."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bevdeploy.data.augment import Augmentation, draw_augmentation, net_from_image
from bevdeploy.data.build_index import build_index
from bevdeploy.data.index import SampleIndex, open_index
from bevdeploy.data.nuscenes import CAMERAS
from bevdeploy.data.sample import Sample, View
from bevdeploy.data.samples import Samples, camera_pose, ego_state_in_bev
from bevdeploy.errors import DataSetError
from bevdeploy.geometry import BEVGrid, Camera, CameraRig, DepthBins, ViewGeometry, indices_from_rig
from bevdeploy.geometry.frames import invert, transform
from bevdeploy.runtime.contract import Preprocessing
from bevdeploy.runtime.preprocess import images_from_frames
from bevdeploy.tasks import TaskSpec

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

GEOMETRY = ViewGeometry(BEVGrid.centred(51.2, 0.8, (-5.0, 3.0)), DepthBins(1.0, 60.0, 1.0), (256, 704), (16, 44))
TASKS = TaskSpec()


@pytest.fixture(scope="module")
def plain(mini_index: SampleIndex) -> Samples:
    return Samples(mini_index, TASKS, GEOMETRY)


def image_path(index: SampleIndex, keyframe: int, camera: str) -> Path:
    return index.root / index.arrays.image_path[keyframe, CAMERAS.index(camera)].decode()


@pytest.mark.parametrize("resize", ["linear", "antialias"])
def test_without_augmentation_the_view_is_deployments(mini_index: SampleIndex, plain: Samples, resize: str) -> None:
    samples = replace(plain, resize=resize, ego_motion=False)  # type: ignore[arg-type]
    for position in (0, 2) if resize == "linear" else (1,):
        sample = samples[position]
        arrays, keyframe = mini_index.arrays, sample.keyframe
        cameras = []
        for column, name in enumerate(CAMERAS):
            height, width = (int(side) for side in arrays.image_hw[keyframe, column])
            pose = camera_pose(mini_index, keyframe, column, False)
            cameras.append(Camera(name, width, height, np.array(arrays.K[keyframe, column]), pose))
        frames = [np.array(Image.open(image_path(mini_index, keyframe, name)).convert("RGB")) for name in CAMERAS]
        unscaled = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), resize)  # type: ignore[arg-type]
        want = images_from_frames(frames, GEOMETRY.net_hw, unscaled)[0].transpose(0, 2, 3, 1)  # [N, H, W, 3]
        assert sample.view.images.dtype == np.uint8
        differing = sample.view.images != np.rint(want)
        assert differing.mean() == 0 if resize == "linear" else differing.mean() < 1e-4
        indices = indices_from_rig(CameraRig(tuple(cameras)), GEOMETRY)
        for name in ("ranks_depth", "ranks_feat", "ranks_bev", "interval_starts", "interval_lengths"):
            assert getattr(sample.view.indices, name).tobytes() == getattr(indices, name).tobytes()


def test_tokens_counts_and_order(mini_index: SampleIndex, plain: Samples) -> None:
    assert (len(plain), plain.skipped, plain.keyframes) == (3, 79, (0, 1, 2))
    assert [sample.token for sample in plain] == list(plain.tokens)
    assert plain[-1].token == plain[2].token
    with pytest.raises(IndexError):
        plain[3]
    val = replace(plain, split="mini_val")
    assert (len(val), val.skipped, val[0].token) == (2, 79, plain[1].token)
    assert len(replace(plain, lidar_sweeps=1)) == 1
    back = replace(plain, cameras=("CAM_BACK", "CAM_FRONT"))[0]
    np.testing.assert_array_equal(back.view.images, plain[0].view.images[[4, 1]])
    np.testing.assert_array_equal(back.view.K, plain[0].view.K[[4, 1]])
    assert not plain[0].points.size and plain[0].points.shape == (0, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "scene-0916"}, "none of 41 keyframes of scene-0916 has its files; unpack them"),
        (
            {"strict": True},
            "79 of 82 keyframes lack files, the first is .*; unpack them and build the index again: bevd",
        ),
        ({"cameras": ("CAM_FRONT", "CAM_FRONT")}, "each once"),
        ({"cameras": ("LIDAR_TOP",)}, "choose of CAM_FRONT_LEFT"),
        ({"tasks": TaskSpec(map_classes=("kerb",))}, "no map class kerb"),
        ({"lidar_sweeps": 12}, "lidar_sweeps must be from 0 to 11"),
        ({"split": "train_val"}, "no scene of split"),
    ],
)
def test_what_cannot_be_given_is_refused(plain: Samples, changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataSetError, match=message):
        replace(plain, **changes)  # type: ignore[arg-type]


def test_augmentation_follows_seed_epoch_and_position(plain: Samples) -> None:
    samples = replace(plain, augmentation=Augmentation(), seed=4, epoch=2, cameras=("CAM_FRONT",))
    copied = pickle.loads(pickle.dumps(samples))
    assert_same(samples[1], copied[1])
    assert_same(samples[1], replace(samples, epoch=2)[1])
    for other in (replace(samples, epoch=3)[1], replace(samples, seed=5)[1]):
        assert (other.bev_from_ego != samples[1].bev_from_ego).any()
        assert (other.view.images != samples[1].view.images).any()
    assert_same(samples.sample(1, 77), replace(samples, epoch=9).sample(1, 77))
    assert (samples.sample(1, 78).bev_from_ego != samples.sample(1, 77).bev_from_ego).any()
    assert_same(samples.sample(1), replace(plain, cameras=("CAM_FRONT",))[1])


def assert_same(a: Sample, b: Sample) -> None:
    assert a.token == b.token
    for name in ("images", "K", "bev_from_cam"):
        np.testing.assert_array_equal(getattr(a.view, name), getattr(b.view, name))
    np.testing.assert_array_equal(a.view.indices.ranks_bev, b.view.indices.ranks_bev)
    np.testing.assert_array_equal(a.truth.boxes, b.truth.boxes)
    np.testing.assert_array_equal(a.bev_from_ego, b.bev_from_ego)


def test_what_a_pixel_sees_falls_into_the_cell_where_it_stands(mini_index: SampleIndex, plain: Samples) -> None:
    """Back through each step of the augmentation by hand: network pixel, raw pixel, camera, ego frame, BEV cell."""
    samples = replace(plain, augmentation=Augmentation(bev_translation_m=0.5), seed=11)
    bins, (feature_h, feature_w) = GEOMETRY.depth_bins, GEOMETRY.feature_hw
    mirrored = 0
    for epoch in range(3):
        sample = replace(samples, epoch=epoch)[1]
        draw = draw_augmentation(samples.augmentation or Augmentation(), (11, epoch, 1), 6)
        mirrored += np.linalg.det(draw.bev_from_ego) < 0
        indices = sample.view.indices
        chosen = np.random.default_rng(epoch).choice(len(indices.ranks_bev), 3000, replace=False)
        camera, rest = np.divmod(indices.ranks_depth[chosen], bins.count * feature_h * feature_w)
        depth, pixel = np.divmod(rest, feature_h * feature_w)
        row, column = np.divmod(pixel, feature_w)
        u, v = column * 703 / (feature_w - 1), row * 255 / (feature_h - 1)
        wrong = 0
        for k in range(len(chosen)):
            n = int(camera[k])
            raw = np.linalg.inv(net_from_image(draw.images[n], (900, 1600), (256, 704))) @ [u[k], v[k], 1]
            seen = np.linalg.inv(mini_index.arrays.K[sample.keyframe, n]) @ raw * bins.depths_m()[depth[k]]
            ego = transform(camera_pose(mini_index, sample.keyframe, n, True), seen)
            bev = transform(draw.bev_from_ego, ego)
            cell = np.trunc((bev[:2] + 51.2) / 0.8).astype(int)
            wrong += cell[0] + 128 * cell[1] != indices.ranks_bev[chosen[k]]
        assert wrong <= 3  # rounding at the edge of a cell
    assert 0 < mirrored < 3


def test_points_are_where_the_augmented_images_show_them(own_root: Path) -> None:
    """White dots painted at the projections of box centres, found again through K and bev_from_cam."""
    build_index(own_root)
    index = open_index(own_root)
    plain = Samples(index, TASKS, GEOMETRY, split="scene-0061")
    points, dots = paint_dots(index, plain[0])
    checked = 0
    for epoch in range(4):
        samples = replace(plain, augmentation=Augmentation(bev_translation_m=0.5), seed=3, epoch=epoch)
        sample = samples[0]
        for column, dot in dots:
            place = projected(sample.view, column, transform(sample.bev_from_ego, points[dot]))
            checked += found_dot(sample.view.images[column], place)
    for column, dot in dots:
        place = projected(plain[0].view, column, points[dot])
        checked += found_dot(plain[0].view.images[column], place)
    assert checked > 40


def paint_dots(index: SampleIndex, sample: Sample) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Black images with one dot each for some points [k, 3] of the ego frame; and (camera, point) of each dot."""
    rng = np.random.default_rng(0)
    angles, distances = rng.uniform(-np.pi, np.pi, 60), rng.uniform(8, 40, 60)
    points = np.stack([distances * np.cos(angles), distances * np.sin(angles), rng.uniform(-1, 2, 60)], 1)
    dots = []
    for column, name in enumerate(CAMERAS):
        canvas, taken = np.zeros((900, 1600)), []
        pose = camera_pose(index, sample.keyframe, column, True)
        for k, point in enumerate(points):
            seen = transform(invert(pose), point)
            if seen[2] < 1:
                continue
            u, v, _ = index.arrays.K[sample.keyframe, column] @ (seen / seen[2])
            far = all(np.hypot(u - a, v - b) > 150 for a, b in taken)
            if far and 40 < u < 1560 and 360 < v < 860:
                taken.append((u, v))
                left, top = int(u) - 30, int(v) - 30
                y, x = np.mgrid[top : top + 61, left : left + 61] + 0.5  # pixel centres
                dot = 250 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 6**2))
                canvas[top : top + 61, left : left + 61] += dot
                dots.append((column, k))
        picture = np.repeat(np.minimum(canvas, 255).astype(np.uint8)[..., None], 3, 2)
        Image.fromarray(picture).save(image_path(index, sample.keyframe, name), quality=95)
    assert len(dots) > 10
    return points, dots


def projected(view: View, column: int, point: np.ndarray) -> np.ndarray:
    seen = view.K[column] @ transform(np.linalg.inv(view.bev_from_cam[column]), point)
    return np.asarray(seen[:2] / seen[2])


def found_dot(image: np.ndarray, place: np.ndarray) -> bool:
    """Whether the place is in the picture; if so, the dot's centre of mass must be there."""
    u, v = place
    if not (20 < u < 684 and 20 < v < 236):
        return False
    left, top = int(u) - 14, int(v) - 14
    window = image[top : top + 29, left : left + 29].mean(-1)
    y, x = np.mgrid[0:29, 0:29] + 0.5
    centre = np.array([(window * x).sum(), (window * y).sum()]) / window.sum() + (left, top)
    assert window.max() > 150
    np.testing.assert_allclose(centre, place, atol=0.3)
    return True


def test_the_previous_view_is_tied_by_the_ego_motion(mini_index: SampleIndex) -> None:
    samples = Samples(mini_index, TASKS, GEOMETRY, previous=True, augmentation=Augmentation(), seed=1)
    assert samples[0].previous is None and samples[0].bev_from_previous_bev is None
    assert samples[1].previous is None
    sample = samples[2]
    assert sample.previous is not None and sample.bev_from_previous_bev is not None
    arrays = mini_index.arrays
    for column in range(6):
        global_from_cam = arrays.global_from_egocam[1, column] @ arrays.ego_from_cam[1, column]
        want = sample.bev_from_ego @ invert(arrays.global_from_ego[2]) @ global_from_cam
        got = sample.bev_from_previous_bev @ sample.previous.bev_from_cam[column]
        np.testing.assert_allclose(got, want, atol=1e-9)
    np.testing.assert_array_equal(sample.previous.K, sample.view.K)  # the same draw, the same calibration
    assert (sample.previous.images != sample.view.images).any()


def test_ego_states_turn_with_the_frame() -> None:
    state = np.array([8, 1, 0, 0.5, -0.2, 0.1, 0.01, 0.02, 0.3], np.float32)
    turn = np.eye(4)
    turn[:2, :2] = [[0, -1], [1, 0]]
    np.testing.assert_allclose(ego_state_in_bev(state, turn), [-1, 8, 0, 0.2, 0.5, 0.1, -0.02, 0.01, 0.3], atol=1e-6)
    mirror = np.diag([1.0, -1.0, 1.0, 1.0])
    np.testing.assert_allclose(ego_state_in_bev(state, mirror), [8, -1, 0, 0.5, 0.2, 0.1, -0.01, 0.02, -0.3], atol=1e-6)
    grown = ego_state_in_bev(state, np.diag([2.0, 2.0, 2.0, 1.0]))
    np.testing.assert_allclose(grown, [16, 2, 0, 1, -0.4, 0.2, 0.01, 0.02, 0.3], atol=1e-6)


def test_a_damaged_image_costs_its_keyframe_only(own_root: Path) -> None:
    build_index(own_root)
    index = open_index(own_root)
    samples = Samples(index, TASKS, GEOMETRY)
    path = image_path(index, 1, "CAM_BACK")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    tokens = [sample.token for sample in samples]
    assert tokens == [samples.tokens[0], samples.tokens[2], samples.tokens[2]]
    stand_in = samples[1]
    assert len(stand_in.passed_over) == 1 and str(path) in stand_in.passed_over[0]
    assert samples[0].passed_over == () and stand_in.keyframe == 2
    strict = Samples(only(index, [1, 2]), TASKS, GEOMETRY, split="scene-0103", strict=True)
    with pytest.raises(DataSetError, match=f"keyframe {samples.tokens[1]}: .*{path.name}: cannot be read as an image"):
        strict[0]
    path.unlink()
    assert "no such image" in samples[1].passed_over[0]
    for keyframe in (0, 2):
        image_path(index, keyframe, "CAM_BACK").write_bytes(b"\xff\xd8 not an image")
    with pytest.raises(DataSetError, match=r"no keyframe of 3 can be read; the first: .*no such image"):
        samples[1]


def only(index: SampleIndex, keyframes: list[int]) -> SampleIndex:
    """The same index whose absent keyframes are in no scene."""
    scene = np.full(len(index), 2, np.int32)
    scene[keyframes] = 1
    return replace(index, arrays=replace(index.arrays, scene=scene))
