"""Truth from the index: futures, footprints and plan by hand from the annotations; augmented truth turned back."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.data.augment import bev_similarity
from bevdeploy.data.index import CLASSES, SampleIndex
from bevdeploy.data.occupancy_masks import VEHICLES, footprint_mask
from bevdeploy.data.truth_of import truth_of
from bevdeploy.geometry.frames import invert, transform
from bevdeploy.geometry.grid import BEVGrid
from bevdeploy.tasks import TaskSpec

GRID = BEVGrid.centred(51.2, 0.8, (-5.0, 3.0))
TASKS = TaskSpec()


@pytest.fixture(scope="module")
def keyframe(mini_index: SampleIndex) -> int:
    """In the middle of a drive through traffic."""
    return int(mini_index.keyframes("scene-0103")[12])


def test_sizes_and_orders(mini_index: SampleIndex, keyframe: int) -> None:
    truth = truth_of(mini_index, keyframe, TASKS, GRID)
    rows = mini_index.boxes_of(keyframe)
    n = rows.stop - rows.start
    assert n > 20 and truth.boxes.shape == (n, 9) and truth.boxes.dtype == np.float32
    names = [CLASSES[k] for k in mini_index.arrays.box_class[rows]]
    assert [TASKS.classes[label] for label in truth.labels] == names
    assert truth.futures_m.shape == (n, 12, 2) and truth.futures_valid.shape == (n, 12)
    assert truth.map_masks.shape == (4, 128, 128) and not truth.map_masks.any() and not truth.map_valid
    assert truth.occupancy.shape == (5, 200, 200) and truth.occupancy_valid.all()
    assert truth.plan_valid.all() and truth.plan_m.shape == (6, 2)


def test_classes_that_the_tasks_lack_are_left_out(mini_index: SampleIndex, keyframe: int) -> None:
    all_of_them = truth_of(mini_index, keyframe, TASKS, GRID)
    tasks = TaskSpec(detection_tasks=(("pedestrian",), ("car",)))
    some = truth_of(mini_index, keyframe, tasks, GRID)
    for ours, theirs in ((1, TASKS.classes.index("car")), (0, TASKS.classes.index("pedestrian"))):
        np.testing.assert_array_equal(some.boxes[some.labels == ours], all_of_them.boxes[all_of_them.labels == theirs])
    assert len(some.boxes) == np.isin(all_of_them.labels, [0, TASKS.classes.index("pedestrian")]).sum()
    np.testing.assert_array_equal(some.occupancy, all_of_them.occupancy)


def test_futures_are_where_the_object_is_later_seen_from_now(mini_index: SampleIndex, keyframe: int) -> None:
    arrays = mini_index.arrays
    truth = truth_of(mini_index, keyframe, TASKS, GRID)
    ego_from_global = invert(arrays.global_from_ego[keyframe])
    for n, instance in enumerate(truth.instances):
        broken = False
        for step in range(12):
            rows = mini_index.boxes_of(keyframe + step + 1)
            found = [r for r in range(rows.start, rows.stop) if arrays.box_instance[r] == instance]
            broken |= not found
            assert truth.futures_valid[n, step] == (not broken)
            if not broken:
                want = transform(ego_from_global, arrays.box_centre_m[found[0]])[:2]
                np.testing.assert_allclose(truth.futures_m[n, step], want, atol=1e-4)
            else:
                assert not truth.futures_m[n, step].any()
    assert truth.futures_valid[:, -1].any() and not truth.futures_valid.all()


def test_occupancy_is_of_vehicles_at_each_keyframe_seen_from_now(mini_index: SampleIndex, keyframe: int) -> None:
    arrays = mini_index.arrays
    truth = truth_of(mini_index, keyframe, TASKS, GRID)
    for step in range(5):
        then = truth_of(mini_index, keyframe + step, TASKS, GRID)
        now_from_then = invert(arrays.global_from_ego[keyframe]) @ arrays.global_from_ego[keyframe + step]
        vehicles = then.boxes[np.isin(then.labels, [TASKS.classes.index(name) for name in VEHICLES])].astype(np.float64)
        ahead = np.stack([np.cos(vehicles[:, 6]), np.sin(vehicles[:, 6]), 0 * vehicles[:, 6]], 1)
        ahead = ahead @ now_from_then[:3, :3].T
        vehicles[:, :3] = transform(now_from_then, vehicles[:, :3])
        vehicles[:, 6] = np.arctan2(ahead[:, 1], ahead[:, 0])
        want = footprint_mask(vehicles.astype(np.float32), 200, 0.5)
        assert want.any() and (want != truth.occupancy[step]).sum() <= 3  # cells on an edge


def test_the_end_of_a_scene_is_said(mini_index: SampleIndex) -> None:
    last = int(mini_index.keyframes("scene-0103")[-1])
    truth = truth_of(mini_index, last, TASKS, GRID)
    assert truth.occupancy_valid.tolist() == [True, False, False, False, False]
    assert not truth.plan_valid.any() and not truth.futures_valid.any() and not truth.plan_m.any()
    assert TASKS.plan_commands[truth.command] == "straight"
    before = truth_of(mini_index, last - 2, TASKS, GRID)
    assert before.occupancy_valid.tolist() == [True, True, True, False, False] and before.plan_valid.sum() == 2


def test_single_annotations_have_no_velocity(mini_index: SampleIndex) -> None:
    truth = truth_of(mini_index, 0, TASKS, GRID)
    assert len(truth.boxes) and np.isnan(truth.boxes[:, 7:]).all() and np.isfinite(truth.boxes[:, :7]).all()


AUGMENTATIONS = {
    "rotation": bev_similarity(0.7, False, False, 1.0),
    "flip x": bev_similarity(0.0, True, False, 1.0),
    "flip y": bev_similarity(0.0, False, True, 1.0),
    "both": bev_similarity(0.0, True, True, 1.0),
    "scale": bev_similarity(0.0, False, False, 1.07),
    "all": bev_similarity(-2.4, True, False, 0.93, np.array([0.4, -0.7, 0.2])),
}


@pytest.mark.parametrize("name", list(AUGMENTATIONS))
def test_augmented_truth_turned_back_is_the_truth(mini_index: SampleIndex, keyframe: int, name: str) -> None:
    bev_from_ego = AUGMENTATIONS[name]
    plain = truth_of(mini_index, keyframe, TASKS, GRID)
    truth = truth_of(mini_index, keyframe, TASKS, GRID, bev_from_ego)
    ego_from_bev = np.linalg.inv(bev_from_ego)
    scale = np.linalg.norm(bev_from_ego[:3, 0])
    mirrored = np.linalg.det(bev_from_ego) < 0

    corners = transform(ego_from_bev, corners_of(truth.boxes))
    nearest = np.linalg.norm(corners[:, :, None] - corners_of(plain.boxes)[:, None], axis=-1).min(2)  # [n, 8]
    assert nearest.max() < 0.02
    np.testing.assert_allclose(truth.boxes[:, 3:6], plain.boxes[:, 3:6] * scale, rtol=1e-5)
    for boxes, velocities in ((truth.boxes, truth.boxes[:, 7:]),):
        back = np.pad(velocities, ((0, 0), (0, 1))) @ ego_from_bev[:3, :3].T
        np.testing.assert_allclose(back[:, :2], plain.boxes[:, 7:], atol=1e-2)
        heading = np.stack([np.cos(boxes[:, 6]), np.sin(boxes[:, 6]), 0 * boxes[:, 6]], 1) @ ego_from_bev[:3, :3].T
        difference = np.arctan2(heading[:, 1], heading[:, 0]) - plain.boxes[:, 6]
        assert np.abs(np.angle(np.exp(1j * difference))).max() < 1e-3

    height = truth.boxes[:, None, 2:3].repeat(12, 1)
    futures = transform(ego_from_bev, np.concatenate([truth.futures_m, height], -1))[..., :2]
    np.testing.assert_allclose(futures[truth.futures_valid], plain.futures_m[plain.futures_valid], atol=1e-2)
    plan = transform(ego_from_bev, np.pad(truth.plan_m, ((0, 0), (0, 1)), constant_values=bev_from_ego[2, 3]))
    np.testing.assert_allclose(plan[:, :2], plain.plan_m, atol=1e-4)

    swap = {"left": "right", "right": "left"} if mirrored else {}
    command = TASKS.plan_commands[plain.command]
    assert TASKS.plan_commands[truth.command] == swap.get(command, command)
    for same in ("labels", "instances", "attributes", "points", "visibility", "futures_valid", "plan_valid"):
        np.testing.assert_array_equal(getattr(truth, same), getattr(plain, same))

    # every occupied cell's centre, turned back, is an occupied place (away from edges of cells and footprints)
    steps, rows, columns = np.nonzero(truth.occupancy)
    centres = np.stack([columns, rows, np.zeros_like(rows)], -1) * 0.5 - [49.75, 49.75, 0]
    back_m = transform(ego_from_bev, centres)[:, :2]
    cells = np.floor((back_m + 50) / 0.5).astype(int)
    inside = ((cells > 0) & (cells < 199)).all(1)
    steps, cells = steps[inside], cells[inside]
    hit = plain.occupancy[steps, cells[:, 1], cells[:, 0]]
    assert hit.mean() > (0.99 if name in ("flip x", "flip y", "both") else 0.8) and len(hit) > 200
    around = np.any(
        [plain.occupancy[steps, cells[:, 1] + y, cells[:, 0] + x] for y in (-1, 0, 1) for x in (-1, 0, 1)], axis=0
    )
    assert around.mean() > 0.99


def corners_of(boxes: np.ndarray) -> np.ndarray:
    """[n, 8, 3]."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
    local = signs * boxes[:, None, [4, 3, 5]].astype(np.float64)  # [n, 8, 3]
    c, s = np.cos(boxes[:, 6, None]), np.sin(boxes[:, 6, None])
    x, y = local[..., 0] * c - local[..., 1] * s, local[..., 0] * s + local[..., 1] * c
    return np.stack([x, y, local[..., 2]], -1) + boxes[:, None, :3]
