"""The memory between frames: which state a frame is fed with, and when everything is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bevdeploy.errors import ContractError, FrameSourceError
from bevdeploy.geometry import CameraRig
from bevdeploy.geometry.frames import compose
from bevdeploy.geometry.plane_motion import STANDING_STILL
from bevdeploy.runtime import BevMemory, Contract, FakeRunner, Moment, Pipeline, StateSpec, TensorSpec

STATE = StateSpec("bev_state", "previous_bev", "previous_from_current", 0.5, 1.0)
SHAPE = (1, 2, 12, 20)


@pytest.fixture
def contract(make_contract: Callable[..., Contract]) -> Contract:
    plain = make_contract()
    inputs = (
        TensorSpec("previous_bev", SHAPE, "float32", "feature", ""),
        TensorSpec("previous_from_current", (1, 2, 3), "float32", "1, m", ""),
    )
    outputs = (TensorSpec("bev_state", SHAPE, "float32", "feature", ""),)
    return make_contract(inputs=plain.inputs + inputs, outputs=plain.outputs + outputs, state=(STATE,))


def moment(time_s: float, x_m: float = 0.0, y_m: float = 0.0, yaw: float = 0.0, scene: str = "") -> Moment:
    rotation = [[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]
    return Moment(time_s, compose(rotation, [x_m, y_m, 0]), scene)


def states_fed(memory: BevMemory, moments: list[Moment | None]) -> list[float]:
    """For each moment the number of the frame, from 1, whose state it is fed with; 0 for none."""
    fed = []
    for number, each in enumerate(moments, 1):
        fed.append(float(memory.feeds(each)["previous_bev"].reshape(-1)[0]))
        memory.keep(each, {"bev_state": np.full(SHAPE, number, np.float32)})
    return fed


def test_keyframes_are_fed_with_the_one_before(contract: Contract) -> None:
    memory = BevMemory(contract)
    assert states_fed(memory, [moment(0.5 * n, 4.0 * n) for n in range(4)]) == [0, 1, 2, 3]
    assert memory.age_s == pytest.approx(0.5)


def test_the_motion_is_the_egos_own(contract: Contract) -> None:
    """10 m ahead and turned left: what lies ahead now lay to the left, beyond where the vehicle stands."""
    memory = BevMemory(contract)
    assert np.array_equal(memory.feeds(moment(0))["previous_from_current"], STANDING_STILL[None])
    memory.keep(moment(0, 5, 5), {"bev_state": np.ones(SHAPE, np.float32)})
    motion = memory.feeds(moment(0.5, 15, 5, np.pi / 2))["previous_from_current"]
    np.testing.assert_allclose(motion, [[[0, -1, 10], [1, 0, 0]]], atol=1e-6)
    np.testing.assert_allclose(motion[0] @ [3, 0, 1], [10, 3], atol=1e-6)


def test_a_faster_camera_is_fed_with_what_is_half_a_second_old(contract: Contract) -> None:
    """At 10 Hz, frame 1 serves as soon as it is 0.25 s old, and from 0.5 s on always the fifth frame before."""
    fed = states_fed(BevMemory(contract), [moment(0.1 * n) for n in range(12)])
    assert fed == [0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 7]


def test_a_very_fast_camera_fills_no_memory(contract: Contract) -> None:
    memory = BevMemory(contract)
    fed = states_fed(memory, [moment(n / 60) for n in range(300)])
    assert len(memory._past) <= 15
    ages_s = [(number - before) / 60 for number, before in enumerate(fed, 1) if before]
    assert max(abs(age_s - 0.5) for age_s in ages_s[30:]) < 0.06


@pytest.mark.parametrize(
    ("times_s", "fed"),
    [
        ([0.0, 0.5, 1.6, 2.1], [0, 1, 0, 3]),  # a gap of more than a second
        ([0.0, 1.0], [0, 1]),  # one keyframe is missing
        ([5.0, 5.5, 0.0, 0.5], [0, 1, 0, 3]),  # a clock that begins anew
        ([1.0, 1.0], [0, 0]),  # the same frame twice
    ],
)
def test_gaps_and_clocks(contract: Contract, times_s: list[float], fed: list[float]) -> None:
    assert states_fed(BevMemory(contract), [moment(time_s) for time_s in times_s]) == fed


def test_another_scene_begins_anew(contract: Contract) -> None:
    moments = [moment(0.0, scene="a"), moment(0.5, scene="a"), moment(1.0, scene="b"), moment(1.5, scene="b")]
    assert states_fed(BevMemory(contract), moments) == [0, 1, 0, 3]


def test_frames_without_a_moment_are_first_ones_and_are_not_remembered(contract: Contract) -> None:
    memory = BevMemory(contract)
    assert states_fed(memory, [None, None, moment(0.0), None, moment(0.5)]) == [0, 0, 0, 0, 3]
    memory.forget()
    assert states_fed(memory, [moment(1.0)]) == [0]


def test_a_pipeline_feeds_back_what_its_runner_said(
    contract: Contract, small_rig: CameraRig, frames: list[np.ndarray], decoded: dict[str, np.ndarray]
) -> None:
    seen: list[dict[str, Any]] = []

    def graph(feeds: Any) -> dict[str, Any]:
        contract.check_inputs(feeds)
        seen.append(dict(feeds))
        return {**decoded, "bev_state": np.full(SHAPE, len(seen), np.float32)}

    pipeline = Pipeline(FakeRunner(graph), contract, small_rig)
    for n in range(3):
        pipeline.infer(frames, moment=moment(0.5 * n, 2.0 * n))
    pipeline.infer(frames)
    assert [float(feeds["previous_bev"].max()) for feeds in seen] == [0, 1, 2, 0]
    assert [float(feeds["previous_from_current"][0, 0, 2]) for feeds in seen] == [0, 2, 2, 0]
    pipeline.recalibrate(small_rig)  # rigs change with every keyframe where they carry the ego motion
    pipeline.infer(frames, moment=moment(1.5, 6.0))
    assert float(seen[-1]["previous_bev"].max()) == 3


def test_students_of_single_frames_remember_nothing(
    make_contract: Callable[..., Contract], small_rig: CameraRig, frames: list[np.ndarray]
) -> None:
    pipeline = Pipeline(FakeRunner(lambda feeds: {}), make_contract(), small_rig)
    assert pipeline.memory is None
    assert "state" not in pipeline.contract.document()
    assert "previous_bev" not in pipeline.feeds(frames, moment=moment(0))


def test_a_state_that_leads_nowhere_is_refused(contract: Contract, make_contract: Callable[..., Contract]) -> None:
    torn = make_contract(state=(STATE,))
    with pytest.raises(ContractError, match="no such output and input"):
        BevMemory(torn)


def test_a_contract_with_state_is_read_back(contract: Contract, tmp_path: Any) -> None:
    from bevdeploy.runtime import load_contract

    contract.save(tmp_path / "s.contract.json")
    again = load_contract(tmp_path / "s.contract.json")
    assert again.state == (STATE,) and again.digest() == contract.digest()


@pytest.mark.parametrize("pose", [np.zeros((4, 4)), np.eye(3), 2 * np.eye(4), np.full((4, 4), np.nan)])
def test_a_pose_that_is_none_is_refused(pose: np.ndarray) -> None:
    with pytest.raises(FrameSourceError, match="rigid transform"):
        Moment(0.0, pose)


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(FrameSourceError, match="expected seconds"):
        Moment(float("nan"), np.eye(4))
