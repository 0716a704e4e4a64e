"""Virtual points beside a loop over pixels; where they project to; how many; the same again; through `Samples`."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bevdeploy.data.annotated_instances import annotated_instances
from bevdeploy.data.augment import Augmentation
from bevdeploy.data.build_index import build_index
from bevdeploy.data.index import CLASSES, SampleIndex, open_index
from bevdeploy.data.instance_masks import InstanceMask
from bevdeploy.data.lidar_points import lidar_points
from bevdeploy.data.nuscenes import CAMERAS
from bevdeploy.data.samples import Samples, camera_pose
from bevdeploy.data.virtual_points import (
    FEATURES,
    LABEL_CLASSES,
    VirtualPoints,
    lidar_with_virtual_points,
    nearest_pixels,
    virtual_points,
)
from bevdeploy.errors import DataSetError
from bevdeploy.geometry import BEVGrid, Camera, CameraRig, DepthBins, ViewGeometry
from bevdeploy.geometry.frames import transform
from bevdeploy.tasks import TaskSpec

GEOMETRY = ViewGeometry(BEVGrid.centred(51.2, 0.8, (-5.0, 3.0)), DepthBins(1.0, 60.0, 1.0), (64, 176), (4, 11))
TASKS = TaskSpec()


def scattered(rng: np.random.Generator, count: int) -> np.ndarray:
    """Points [count, 5] all around, in float32 as lidar gives them."""
    points = np.zeros((count, 5), np.float32)
    points[:, :3] = rng.normal(size=(count, 3)) * (20, 20, 3)
    points[:, 3] = rng.uniform(0, 255, count)
    return points


def blobs(rng: np.random.Generator, rig: CameraRig, count: int) -> list[list[InstanceMask]]:
    """Ragged masks that overlap, some of them whole images and some of one pixel."""
    made: list[list[InstanceMask]] = []
    for camera in rig.cameras:
        masks = []
        for k in range(count):
            w, h = int(rng.integers(1, camera.width_px + 1)), int(rng.integers(1, camera.height_px + 1))
            corner = int(rng.integers(0, camera.width_px - w + 1)), int(rng.integers(0, camera.height_px - h + 1))
            mask = rng.random((h, w)) < rng.uniform(0.02, 1)
            if k == count - 1:
                mask, corner = np.ones((1, 1), bool), (camera.width_px - 1, camera.height_px - 1)
            masks.append(InstanceMask(str(rng.choice(LABEL_CLASSES)), float(rng.uniform(0.1, 1)), mask, corner))
        made.append(masks)
    return made


def pixel_and_depth(camera: Camera, point: np.ndarray) -> tuple[np.ndarray, float]:
    """u, v (not rounded) and depth of one point of the ego frame, through a solved 4 x 4 system."""
    seen = np.linalg.solve(camera.ego_from_cam, np.array([*point, 1.0]))[:3]
    image = camera.K @ seen
    return image[:2] / image[2], float(seen[2])


def owners(points: np.ndarray, camera: Camera, masks: Sequence[InstanceMask]) -> dict[int, tuple[int, int, int]]:
    """For each painted lidar point: the first mask that holds it, and its pixel. One point after the other."""
    found = {}
    for row, point in enumerate(points[:, :3].astype(np.float64)):
        image, depth = pixel_and_depth(camera, point)
        if depth <= 0.5:
            continue
        u, v = (int(np.floor(value)) for value in image)
        if not (0 <= u < camera.width_px and 0 <= v < camera.height_px):
            continue
        for number, instance in enumerate(masks):
            row_px, column_px = v - instance.corner_px[1], u - instance.corner_px[0]
            h, w = instance.mask.shape
            if 0 <= row_px < h and 0 <= column_px < w and instance.mask[row_px, column_px]:
                found[row] = (number, u, v)
                break
    return found


@pytest.mark.parametrize("seed", range(4))
def test_points_equal_a_loop_over_pixels(seed: int, random_rig) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    rig = random_rig(rng, 3)
    points, masks = scattered(rng, 900), blobs(rng, rig, 4)
    made = virtual_points(points, rig.cameras, masks, np.random.default_rng(5))
    held = [owners(points, camera, some) for camera, some in zip(rig.cameras, masks, strict=True)]

    expected = {(c, number) for c, rows in enumerate(held) for number, _, _ in rows.values()}
    pairs, counts = np.unique(np.stack([made.camera, made.instance], 1), axis=0, return_counts=True)
    assert {tuple(pair) for pair in pairs.tolist()} == expected and len(expected) >= 3
    assert (counts == 50).all()

    labels: dict[int, np.ndarray] = {}
    for rows, some in zip(held, masks, strict=True):
        for row, (number, _, _) in rows.items():
            label = np.zeros(11, np.float32)
            label[LABEL_CLASSES.index(some[number].class_name)], label[10] = 1, some[number].score
            labels[row] = np.maximum(labels.get(row, label), label)
    np.testing.assert_array_equal(made.real, sorted(labels))
    np.testing.assert_array_equal(made.real_labels, [labels[row] for row in sorted(labels)])

    for k in range(len(made.xyz_m)):
        camera, number = rig.cameras[made.camera[k]], int(made.instance[k])
        instance = masks[made.camera[k]][number]
        u, v = made.pixel[k]
        assert instance.mask[v - instance.corner_px[1], u - instance.corner_px[0]]
        image, depth = pixel_and_depth(camera, made.xyz_m[k])
        np.testing.assert_allclose(image, (u + 0.5, v + 0.5), rtol=0, atol=1e-6)
        stored, _ = pixel_and_depth(camera, made.xyz_m[k].astype(np.float32))
        np.testing.assert_allclose(stored, (u + 0.5, v + 0.5), rtol=0, atol=1e-3)
        best, best_row = None, -1
        for row, (owner, other_u, other_v) in held[made.camera[k]].items():
            squared = int((other_u - u) ** 2 + (other_v - v) ** 2)
            if owner == number and (best is None or squared < best):
                best, best_row = squared, row
        assert made.source[k] == best_row
        assert depth == pytest.approx(pixel_and_depth(camera, points[best_row, :3].astype(np.float64))[1], rel=1e-9)
        label = np.zeros(11, np.float32)
        label[LABEL_CLASSES.index(instance.class_name)], label[10] = 1, instance.score
        np.testing.assert_array_equal(made.labels[k], label)


def test_nearest_is_the_first_of_equals() -> None:
    others = np.array([[4, 0], [0, 4], [0, 0], [4, 0]])
    np.testing.assert_array_equal(nearest_pixels(np.array([[2, 2], [4, 1], [0, 1], [3, 3]]), others), [0, 0, 2, 0])


def front_camera() -> Camera:
    """320 x 180 px at the ego origin, looking along x."""
    K = np.array([[250.0, 0, 160], [0, 250, 90], [0, 0, 1]])
    pose = np.eye(4)
    pose[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    return Camera("CAM_FRONT", 320, 180, K, pose)


def filled(class_name: str, left: int, top: int, right: int, bottom: int, score: float = 1.0) -> InstanceMask:
    return InstanceMask(class_name, score, np.ones((bottom - top, right - left), bool), (left, top))


def test_counts_and_what_has_no_lidar_point() -> None:
    camera = front_camera()
    points = np.array([[10.0, 0, 0, 7, 0], [10, 0.02, 0.02, 8, 0], [-10, 0, 0, 9, 0], [20, -4, 0, 6, 0]], np.float32)
    car, hidden = filled("car", 140, 70, 180, 110, 0.75), filled("bus", 10, 10, 60, 60)
    tiny = filled("pedestrian", 210, 90, 212, 91)  # two pixels, the last point's among them
    covered = filled("truck", 155, 85, 165, 95)  # its points are the car's
    masks = [[car, hidden, tiny, covered]]
    made = virtual_points(points, [camera], masks, np.random.default_rng(0))
    assert np.bincount(made.instance, minlength=4).tolist() == [50, 0, 50, 0]
    assert len(np.unique(made.pixel[made.instance == 0], axis=0)) == 50, "each pixel once"
    drawn, times = np.unique(made.pixel[made.instance == 2], axis=0, return_counts=True)
    assert drawn.tolist() == [[210, 90], [211, 90]] and sorted(times.tolist()) == [1, 49], "the first one repeated"
    assert made.real.tolist() == [0, 1, 3]
    np.testing.assert_allclose(made.xyz_m[:, 0], np.where(made.instance == 0, 10, 20), rtol=1e-6)
    assert made.real_labels[0].tolist() == [1, *[0] * 9, 0.75]
    assert made.real_labels[2].tolist() == [*[0] * 7, 1, 0, 0, 1]
    for count in (0, 3):
        few = virtual_points(points, [camera], masks, np.random.default_rng(0), count)
        assert (len(few.xyz_m), len(few.real)) == (2 * count, 3)
    for nothing in ([[]], [[hidden]]):
        empty = virtual_points(points, [camera], nothing, np.random.default_rng(0))
        assert (len(empty.real), len(empty.xyz_m), empty.pixel.shape) == (0, 0, (0, 2))
        assert lidar_with_virtual_points(points, empty, np.eye(4)).shape == (4, FEATURES)
    assert len(virtual_points(points[:0], [camera], masks, np.random.default_rng(0)).xyz_m) == 0


def test_a_mask_without_lidar_leaves_the_others_as_they_are() -> None:
    camera = front_camera()
    masks = [[filled("bus", 150, 80, 170, 100), filled("car", 140, 70, 180, 110)]]
    points = np.array([[10.0, 0.7, 0, 7, 0], [10, 0, 0, 7, 0]], np.float32)  # in the car's mask alone; in both
    one = virtual_points(points[:1], [camera], masks, np.random.default_rng(3))
    both = virtual_points(points, [camera], masks, np.random.default_rng(3))
    assert (one.instance.tolist(), both.instance.tolist()) == ([1] * 50, [0] * 50 + [1] * 50)
    np.testing.assert_array_equal(one.pixel, both.pixel[50:])


def test_the_seventeen_columns() -> None:
    camera = front_camera()
    points = np.array([[10.0, 0, 0, 70, 0], [9, 9, 9, 80, 0], [10, 0, 0, 90, 0.05]], np.float32)
    made = virtual_points(points[:2], [camera], [[filled("trailer", 150, 80, 170, 100, 0.5)]], np.random.default_rng(0))
    rows = lidar_with_virtual_points(points, made, np.eye(4))
    assert rows.shape == (3 + 1 + 50, 17) and rows.dtype == np.float32
    ones, trailer = [1] * 11, [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0.5]
    assert rows[0].tolist() == [10, 0, 0, 70, *ones, 0, 0]
    assert rows[1].tolist() == [9, 9, 9, 80, *ones, 0, 0]
    assert rows[2].tolist() == pytest.approx([10, 0, 0, 90, *ones, 0, 0.05])
    assert rows[3].tolist() == [10, 0, 0, 70, *trailer, 0, 0]
    np.testing.assert_array_equal(rows[4:, 3:], np.tile([-1, *trailer, 1, 0], (50, 1)))
    np.testing.assert_allclose(rows[4:, 0], 10, rtol=1e-6)


def test_what_makes_no_sense_is_refused() -> None:
    camera, points = front_camera(), np.zeros((0, 5), np.float32)
    with pytest.raises(DataSetError, match="1 lists of masks for 0 cameras"):
        virtual_points(points, [], [[]], np.random.default_rng(0))
    with pytest.raises(DataSetError, match="no class 'tram' for virtual points; there are car, truck"):
        virtual_points(points, [camera], [[filled("tram", 0, 0, 5, 5)]], np.random.default_rng(0))
    assert sorted(LABEL_CLASSES) == sorted(CLASSES)


# ---- through Samples


@pytest.fixture(scope="module")
def index(devkit: None, synthetic_root: Path, tmp_path_factory: pytest.TempPathFactory) -> SampleIndex:
    folder = build_index(synthetic_root, out=tmp_path_factory.mktemp("virtual") / "world")
    return open_index(folder, root=synthetic_root)


@pytest.fixture(scope="module")
def samples(index: SampleIndex) -> Samples:
    return Samples(index, TASKS, GEOMETRY, lidar_sweeps=2, cameras=("CAM_FRONT",), virtual_points="annotations")


def test_samples_carry_both(samples: Samples) -> None:
    sample, plain = samples[1], replace(samples, virtual_points=None)[1]
    np.testing.assert_array_equal(sample.points, plain.points)
    assert plain.points_and_virtual is None and plain.lidar is plain.points
    count, lidar = len(sample.points), sample.lidar
    assert lidar.shape[1] == FEATURES and len(lidar) > count + 100
    np.testing.assert_array_equal(lidar[:count, :4], sample.points[:, :4])
    np.testing.assert_array_equal(lidar[:count, -1], sample.points[:, 4])
    assert (lidar[:count, 4:15] == 1).all() and set(np.unique(lidar[:count, -1])) != {0.0}
    added = lidar[count:]
    assert (added[:, -1] == 0).all(), "only the keyframe's own sweep has images"
    assert set(np.unique(added[:, -2])) == {0.0, 1.0}
    np.testing.assert_array_equal(added[:, 3] == -1, added[:, -2] == 1)
    np.testing.assert_array_equal(added[:, 4:14].sum(1) >= 1, True)


def test_the_same_token_and_seed_give_the_same_points(samples: Samples) -> None:
    first = samples[2].lidar
    for other in (pickle.loads(pickle.dumps(samples)), replace(samples, split="mini_train"), replace(samples, epoch=7)):
        np.testing.assert_array_equal(other[other.tokens.index(samples.tokens[2])].lidar, first)
    np.testing.assert_array_equal(replace(samples, cameras=("CAM_BACK", "CAM_FRONT"))[2].lidar, first)
    changed = replace(samples, seed=1)[2].lidar
    assert changed.shape == first.shape and (changed != first).any()
    real = first[:, -2] == 0
    np.testing.assert_array_equal(changed[real], first[real])


def test_bev_augmentation_moves_them_and_image_augmentation_does_not(samples: Samples) -> None:
    drawn = replace(samples, augmentation=Augmentation(bev_translation_m=0.5), seed=6)
    still = Augmentation(bev_rotation_deg=0, bev_flip_x=False, bev_flip_y=False, bev_scale=(1.0, 1.0))
    images_only = replace(drawn, augmentation=still)
    for position in (0, 7):
        plain, moved = replace(drawn, augmentation=None)[position], drawn[position]
        assert not np.allclose(moved.bev_from_ego, np.eye(4))
        back = transform(np.linalg.inv(moved.bev_from_ego), moved.lidar[:, :3])
        np.testing.assert_allclose(back, plain.lidar[:, :3], rtol=0, atol=1e-4)
        np.testing.assert_array_equal(moved.lidar[:, 3:], plain.lidar[:, 3:])
        np.testing.assert_array_equal(images_only[position].lidar, plain.lidar)


def cameras_of(index: SampleIndex, keyframe: int) -> list[Camera]:
    arrays = index.arrays
    made = []
    for column, name in enumerate(CAMERAS):
        height, width = (int(side) for side in arrays.image_hw[keyframe, column])
        made.append(Camera(name, width, height, arrays.K[keyframe, column], camera_pose(index, keyframe, column, True)))
    return made


def inside_their_boxes(index: SampleIndex, keyframe: int) -> tuple[VirtualPoints, float]:
    """Virtual points of a keyframe, and the share of them within a box, grown by 20 cm, of their class."""
    cameras = cameras_of(index, keyframe)
    masks = annotated_instances(index, keyframe, cameras)
    points = lidar_points(index, keyframe, 1, np.eye(4))
    made = virtual_points(points, cameras, masks, np.random.default_rng(0))
    arrays, rows = index.arrays, index.boxes_of(keyframe)
    inside = np.zeros(len(made.xyz_m), bool)
    xyz = transform(np.array(arrays.global_from_ego[keyframe]), made.xyz_m)
    for row in range(rows.start, rows.stop):
        w, x, y, z = arrays.box_rotation[row]
        yaw = 2 * np.arctan2(z, w)  # boxes of roads are upright
        assert abs(x) + abs(y) < 1e-6
        offset = xyz - arrays.box_centre_m[row]
        along = offset[:, 0] * np.cos(yaw) + offset[:, 1] * np.sin(yaw)
        across = offset[:, 1] * np.cos(yaw) - offset[:, 0] * np.sin(yaw)
        width, length, height = arrays.box_size_m[row] / 2 + 0.2
        held = (np.abs(along) <= length) & (np.abs(across) <= width) & (np.abs(offset[:, 2]) <= height)
        same = made.labels[:, LABEL_CLASSES.index(CLASSES[arrays.box_class[row]])] == 1
        inside |= held & same
    return made, float(inside.mean())


def test_real_frames_get_points_on_their_objects(mini_index: SampleIndex) -> None:
    made, share = inside_their_boxes(mini_index, 0)
    assert len(made.xyz_m) > 2000 and share > 0.5  # outlines of boxes also hold what is beside and behind the object


def test_real_frames_project_to_their_pixels(mini_index: SampleIndex) -> None:
    cameras = cameras_of(mini_index, 0)
    sample = Samples(mini_index, TASKS, GEOMETRY, lidar_sweeps=1, virtual_points="annotations")[0]
    masks = annotated_instances(mini_index, sample.keyframe, cameras)
    virtual = sample.lidar[sample.lidar[:, -2] == 1]  # float32, as a teacher gets them; by camera
    position = 0
    points = lidar_points(mini_index, sample.keyframe, 1, np.eye(4))
    for camera, some in zip(cameras, masks, strict=True):
        held = {number for number, _, _ in owners(points, camera, some).values()}
        for number in sorted(held):
            part = virtual[position : position + 50]
            position += 50
            for row in part:
                image, depth = pixel_and_depth(camera, row[:3])
                u, v = (int(np.floor(value)) for value in image)
                assert np.abs(image - (u + 0.5, v + 0.5)).max() < 1e-3 and depth > 0.5
                instance = some[number]
                assert instance.mask[v - instance.corner_px[1], u - instance.corner_px[0]]
                assert row[4 + LABEL_CLASSES.index(instance.class_name)] == 1 and row[14] == 1
    assert position == len(virtual) > 2000


def test_a_teacher_takes_them(samples: Samples) -> None:
    torch = pytest.importorskip("torch")
    from bevdeploy.models.teachers import TeacherInputs
    from bevdeploy.models.teachers import lidar_points as collated
    from bevdeploy.models.teachers.builders import centerpoint_pillar

    teacher = centerpoint_pillar(cell_m=3.2, pillars_per_cell=2, width=8, virtual_points=True).eval()
    chosen = [samples[0], samples[3]]
    with torch.no_grad():
        full = teacher(TeacherInputs(None, collated([sample.lidar for sample in chosen])))
        real = [sample.lidar[sample.lidar[:, -2] == 0] for sample in chosen]
        without = teacher(TeacherInputs(None, collated(real)))
    assert full.heatmap.shape[0] == 2 and torch.isfinite(full.heatmap).all()
    assert (full.heatmap != without.heatmap).any()


def test_samples_refuse_what_cannot_be(index: SampleIndex, tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="set lidar_sweeps to 1 or more"):
        Samples(index, TASKS, GEOMETRY, virtual_points="annotations")
    with pytest.raises(DataSetError, match=r"masks.json: cannot be read \(No such file"):
        Samples(index, TASKS, GEOMETRY, lidar_sweeps=1, virtual_points=tmp_path / "masks.json")
    with pytest.raises(DataSetError, match="12 of 12 keyframes are not in it, the first is"):
        Samples(index, TASKS, GEOMETRY, lidar_sweeps=1, virtual_points=tmp_path)
