"""Decoding: by hand, and the peak finder against a loop."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.errors import ContractError
from bevdeploy.runtime.postprocess import (
    peaks,
    result_from_dense,
    result_from_frames,
    sigmoid,
    softmax,
)
from bevdeploy.tasks import LOG_SIZE_RANGE, TaskSpec


def test_one_box_by_hand(make_contract, dense) -> None:
    """Bus (class 3, group 2) at row 5, column 7 of 20 x 12 cells of 2 m from (-20, -12)."""
    contract = make_contract(io="tensor")
    dense["heatmap"][0, 3, 5, 7] = np.log(3)  # sigmoid 0.75
    dense["box_codes"][0, 2, :, 5, 7] = [0.25, 0.5, -1.0, 0, np.log(2), np.log(4), 1, -1, 3, -4]
    dense["agents"][0, 0] = 3 * 240 + 5 * 20 + 7
    dense["trajectory_offsets"][0, 0, 1] = [[1, 0], [1, 0.5], [0, -1]]
    dense["trajectory_logits"][0, 0] = [0, np.log(3)]
    result = result_from_dense(dense, contract)
    assert result.labels[0] == 3
    assert contract.tasks.classes[3] == "bus"
    assert np.isclose(result.scores[0], 0.75)
    x_m, y_m = -20 + 7.25 * 2, -12 + 5.5 * 2
    assert np.allclose(result.boxes[0], [x_m, y_m, -1, 1, 2, 4, 3 * np.pi / 4, 3, -4])
    expected = [[x_m + 1, y_m], [x_m + 2, y_m + 0.5], [x_m + 2, y_m - 0.5]]
    assert np.allclose(result.trajectories_m[0, 1], expected)
    assert np.allclose(result.trajectory_probabilities[0], [0.25, 0.75])
    assert np.allclose(result.map_probabilities, sigmoid(dense["map_logits"][0]))
    assert np.allclose(result.occupancy_probabilities, sigmoid(dense["occupancy_logits"][0]))
    assert np.array_equal(result.plans_m, dense["plans"][0])


def test_dense_results_are_float32(make_contract, dense) -> None:
    result = result_from_dense({name: np.asarray(a) for name, a in dense.items()}, make_contract(io="tensor"))
    for name, array in vars(result).items():
        if name != "tasks":
            assert array.dtype == (np.int32 if name == "labels" else np.float32), name
    assert [len(getattr(result, name)) for name in ("boxes", "scores", "labels", "trajectories_m")] == [5] * 4


def test_half_precision_outputs_become_float32(make_contract, dense, decoded) -> None:
    for outputs, decode, io in ((dense, result_from_dense, "tensor"), (decoded, result_from_frames, "frames")):
        half = {n: a.astype(np.float16) if a.dtype == np.float32 else a for n, a in outputs.items()}
        result = decode(half, make_contract(io=io))
        assert result.boxes.dtype == result.scores.dtype == result.plans_m.dtype == np.float32


def test_groups_follow_the_tasks() -> None:
    assert list(TaskSpec().group_of_class) == [0, 1, 1, 2, 2, 3, 4, 4, 5, 5]


def test_decoded_outputs_are_taken_as_they_are(make_contract, decoded) -> None:
    result = result_from_frames(decoded, make_contract())
    assert np.array_equal(result.boxes, decoded["boxes"])
    assert np.array_equal(result.trajectories_m, decoded["trajectories"])
    assert result.labels.tolist() == [0, 9, 3, 3, 1]
    strong = result.above(0.5)
    assert strong.labels.tolist() == [0, 9, 3]
    assert strong.trajectories_m.shape == (3, 2, 3, 2)


def test_the_document_of_a_result(make_contract, decoded) -> None:
    contract = make_contract()
    document = result_from_frames(decoded, contract).document()
    assert [box["class"] for box in document["boxes"]] == ["car", "traffic_cone", "bus", "bus", "truck"]
    best = int(decoded["trajectory_probabilities"][0].argmax())
    assert np.allclose(document["boxes"][0]["trajectory_m"], decoded["trajectories"][0, best], atol=5e-4)
    assert list(document["plans_m"]) == ["right", "left", "straight"]
    assert 0.3 < document["map_share"]["drivable"] < 0.7
    empty = result_from_frames(decoded, contract).above(2.0)
    assert empty.document()["boxes"] == []


@pytest.mark.parametrize("name", ["boxes", "plans", "labels"])
def test_a_missing_output(make_contract, decoded, name: str) -> None:
    del decoded[name]
    with pytest.raises(ContractError, match=f"lack '{name}'"):
        result_from_frames(decoded, make_contract())


@pytest.mark.parametrize("agent", [-1, 2400])
def test_agents_outside_the_heatmap(make_contract, dense, agent: int) -> None:
    dense["agents"][0, 2] = agent
    with pytest.raises(ContractError, match="2400 entries"):
        result_from_dense(dense, make_contract(io="tensor"))


def test_peaks_by_hand() -> None:
    """Two separate peaks, a plateau of two equal neighbours (both count), a corner."""
    heatmap = np.full((2, 4, 5), -9, np.float32)
    heatmap[0, 1, 1], heatmap[0, 1, 2] = 3, 2  # the second is beside the first: no peak
    heatmap[0, 3, 3] = heatmap[0, 3, 4] = 1
    heatmap[1, 0, 4] = 4
    scores, cells = peaks(heatmap, 4)
    assert cells.tolist() == [24, 6, 18, 19]
    assert np.allclose(scores, 1 / (1 + np.exp([-4, -3, -1, -1])))
    assert cells.dtype == np.int32


def test_peaks_equal_a_loop(rng: np.random.Generator) -> None:
    heatmap = rng.integers(-3, 4, (3, 9, 7)).astype(np.float32)  # whole numbers: many ties and plateaus
    found = []
    for c, y, x in np.ndindex(heatmap.shape):
        neighbours = heatmap[c, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        if heatmap[c, y, x] == neighbours.max():
            found.append((-heatmap[c, y, x], c * 63 + y * 7 + x))
    assert len(found) > 20
    scores, cells = peaks(heatmap, 20)
    assert cells.tolist() == [cell for _, cell in sorted(found)[:20]]
    assert np.array_equal(scores, sigmoid(heatmap.reshape(-1)[cells]))


def test_fewer_peaks_than_asked_for() -> None:
    """Cells that are no peak follow with score 0, in order of their index."""
    heatmap = np.zeros((1, 2, 2), np.float32)
    heatmap[0, 1, 0] = 2
    scores, cells = peaks(heatmap, 3)
    assert cells.tolist() == [2, 0, 1]
    assert scores[1:].tolist() == [0, 0]
    assert len(peaks(heatmap, 100)[0]) == 4


def test_unlike_logits_of_equal_probability() -> None:
    """In float32 the sigmoids of 20 and 21 are both 1; the higher logit is the peak all the same."""
    heatmap = np.array([[[20, 21, 20, 20]]], np.float32)
    assert sigmoid(heatmap).tolist() == [[[1, 1, 1, 1]]]
    assert peaks(heatmap, 2)[1].tolist() == [1, 3]


def test_sizes_of_an_untrained_network_stay_finite(make_contract, dense) -> None:
    dense["box_codes"][:, :, 3:6] = 1e4
    boxes = result_from_dense(dense, make_contract(io="tensor")).boxes
    assert np.isfinite(boxes).all()
    assert np.allclose(boxes[:, 3:6], np.exp(LOG_SIZE_RANGE[1]))


def test_sigmoid_and_softmax_do_not_overflow() -> None:
    assert sigmoid(np.array([-1e4, 0, 1e4], np.float32)).tolist() == [0, 0.5, 1]
    assert softmax(np.array([[1e4, 0], [-1e4, -1e4]], np.float32)).tolist() == [[1, 0], [0.5, 0.5]]
