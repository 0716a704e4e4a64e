"""From frames and a rig to a result, around any runner."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.errors import ContractError, FrameSourceError, TableOverflowError
from bevdeploy.geometry import Camera, CameraRig, TableSizes, surround_rig, tables_from_rig
from bevdeploy.runtime import FakeRunner, Pipeline
from bevdeploy.runtime.preprocess import images_from_frames


class Recorder:
    """Keeps the feeds, returns the same outputs."""

    def __init__(self, outputs: dict[str, np.ndarray]) -> None:
        self.outputs = outputs
        self.feeds: list[dict[str, np.ndarray]] = []

    def __call__(self, feeds) -> dict[str, np.ndarray]:
        self.feeds.append(dict(feeds))
        return self.outputs


def shifted(rig: CameraRig) -> CameraRig:
    """The same cameras, each moved 1 m to the left."""
    cameras = []
    for camera in rig.cameras:
        ego_from_cam = camera.ego_from_cam.copy()
        ego_from_cam[1, 3] += 1.0
        cameras.append(Camera(camera.name, camera.width_px, camera.height_px, camera.K, ego_from_cam))
    return CameraRig(tuple(cameras))


def test_frames_go_in_as_they_are(make_contract, small_rig, frames, decoded) -> None:
    contract, recorder = make_contract(), Recorder(decoded)
    result = Pipeline(FakeRunner(recorder), contract, small_rig).infer(frames)
    (feeds,) = recorder.feeds
    contract.check_inputs(feeds)
    assert np.array_equal(feeds["frames"], frames)
    for name, table in tables_from_rig(small_rig, contract.geometry, contract.table_sizes).arrays().items():
        assert np.array_equal(feeds[name], table)
    assert np.array_equal(result.boxes, decoded["boxes"])


def test_the_host_preprocesses_for_a_tensor_graph(make_contract, small_rig, frames, dense) -> None:
    contract, recorder = make_contract(io="tensor"), Recorder(dense)
    result = Pipeline(FakeRunner(recorder), contract, small_rig).infer(frames)
    contract.check_inputs(recorder.feeds[0])
    expected = images_from_frames(frames, (16, 32), contract.preprocessing)
    assert np.array_equal(recorder.feeds[0]["images"], expected)
    assert result.labels.tolist() == [0, 1, 1, 9, 4]


def test_cameras_of_a_tensor_graph_may_differ_in_size(make_contract, small_rig, frames, dense) -> None:
    first, *rest = small_rig.cameras
    K = first.K * [[2.0], [2.0], [1.0]]
    rig = CameraRig((Camera(first.name, 128, 72, K, first.ego_from_cam), *rest))
    larger = [frames[0].repeat(2, 0).repeat(2, 1), *frames[1:]]
    recorder = Recorder(dense)
    Pipeline(FakeRunner(recorder), make_contract(io="tensor"), rig).infer(larger)
    assert recorder.feeds[0]["images"].shape == (1, 6, 3, 16, 32)


def test_a_missing_camera(make_contract, small_rig, frames, decoded) -> None:
    pipeline = Pipeline(FakeRunner(Recorder(decoded)), make_contract(), small_rig)
    for wrong in (frames[:5], [], [*frames, frames[0]]):
        with pytest.raises(FrameSourceError, match=rf"{len(wrong)} images for 6 cameras.*CAM_FRONT_LEFT"):
            pipeline.infer(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((36, 65, 3), np.uint8),
        np.zeros((64, 36, 3), np.uint8),
        np.zeros((36, 64), np.uint8),
        np.zeros((36, 64, 4), np.uint8),
        np.zeros((36, 64, 3), np.float32),
    ],
)
@pytest.mark.parametrize("io", ["frames", "tensor"])
def test_a_frame_of_another_size(make_contract, small_rig, frames, decoded, io: str, wrong: np.ndarray) -> None:
    pipeline = Pipeline(FakeRunner(Recorder(decoded)), make_contract(io=io), small_rig)
    frames[2] = wrong
    with pytest.raises(FrameSourceError, match="CAM_FRONT_RIGHT: expected uint8 RGB 64 x 36 px"):
        pipeline.infer(frames)


def test_cameras_in_another_order(make_contract, small_rig, decoded) -> None:
    swapped = CameraRig((*small_rig.cameras[1::-1], *small_rig.cameras[2:]))
    with pytest.raises(ContractError, match="in this order"):
        Pipeline(FakeRunner(Recorder(decoded)), make_contract(), swapped)
    with pytest.raises(ContractError, match="in this order"):
        Pipeline(FakeRunner(Recorder(decoded)), make_contract(), CameraRig(small_rig.cameras[:5]))


def test_a_rig_of_other_images(make_contract, decoded) -> None:
    with pytest.raises(ContractError, match="64 x 36 px, the rig's are 128 x 72 px"):
        Pipeline(FakeRunner(Recorder(decoded)), make_contract(), surround_rig(128, 72))


def test_another_rig_than_the_baked_one(make_contract, small_rig, frames, decoded) -> None:
    contract = make_contract(geometry_mode="baked", rig_digest=small_rig.digest())
    recorder = Recorder(decoded)
    pipeline = Pipeline(FakeRunner(recorder), contract, small_rig)
    pipeline.infer(frames)
    assert list(recorder.feeds[0]) == ["frames"]
    with pytest.raises(ContractError, match="another rig is baked"):
        pipeline.recalibrate(shifted(small_rig))


def test_a_new_calibration_swaps_the_tables(make_contract, small_rig, frames, decoded) -> None:
    contract, recorder = make_contract(), Recorder(decoded)
    pipeline = Pipeline(FakeRunner(recorder), contract, small_rig)
    pipeline.infer(frames)
    pipeline.recalibrate(shifted(small_rig))
    pipeline.infer(frames)
    first, second = recorder.feeds
    expected = tables_from_rig(shifted(small_rig), contract.geometry, contract.table_sizes)
    assert not np.array_equal(first["cell_row"], second["cell_row"])
    assert np.array_equal(second["cell_row"], expected.cell_row)
    assert pipeline.rig.digest() == shifted(small_rig).digest()


def test_a_refused_calibration_leaves_the_old_one(make_contract, small_rig, frames, decoded) -> None:
    exact = tables_from_rig(small_rig, make_contract().geometry)
    sizes = TableSizes(len(exact.row_depth), len(exact.sum1), len(exact.sum2))
    recorder = Recorder(decoded)
    pipeline = Pipeline(FakeRunner(recorder), make_contract(table_sizes=sizes), small_rig)
    moved = []
    for camera in small_rig.cameras:
        ego_from_cam = camera.ego_from_cam.copy()
        ego_from_cam[:2, 3] *= -3.0
        moved.append(Camera(camera.name, camera.width_px, camera.height_px, camera.K, ego_from_cam))
    with pytest.raises(TableOverflowError, match="--table-headroom"):
        pipeline.recalibrate(CameraRig(tuple(moved)))
    assert pipeline.rig is small_rig
    pipeline.infer(frames)
    assert np.array_equal(recorder.feeds[0]["cell_row"], exact.cell_row)


def test_stage_times(make_contract, small_rig, frames, decoded) -> None:
    """A clock that advances by 1, 2, 4 s between its readings."""
    readings = iter([0.0, 1.0, 3.0, 7.0])
    pipeline = Pipeline(FakeRunner(Recorder(decoded)), make_contract(), small_rig, clock=lambda: next(readings))
    pipeline.infer(frames)
    times = pipeline.last_times
    assert (times.preprocess_ms, times.network_ms, times.postprocess_ms) == (1000.0, 2000.0, 4000.0)
    assert times.total_ms == 7000.0


def test_what_a_fake_runner_says(decoded) -> None:
    runner = FakeRunner(Recorder(decoded))
    assert runner.info().device == "cpu"
    assert runner.profile({}, 3) == []
