"""One interface: the same tests for every runner, through the pipeline, on a graph that looks where the tables point.

ONNX Runtime runs for real. TensorRT and TensorRT-RTX are fakes that compute with ONNX Runtime, so that a table that was
not copied, copied too late, or an output that was read too early makes a difference in the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.errors import ContractError, EngineError
from bevdeploy.geometry import Camera, CameraRig
from bevdeploy.runtime import BevResult, Contract, OnnxRunner, Pipeline
from bevdeploy.runtime.tensorrt_runner import TensorRTRunner

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

KINDS = ["onnxruntime ", "tensorrt 10.3.0", "tensorrt 11.1.0.106", "tensorrt_rtx 1.7.1.116"]


@pytest.fixture(params=KINDS)
def runner(request: pytest.FixtureRequest, plan_maker: Any, tmp_path: Path) -> Iterator[Any]:
    backend, version = request.param.split(" ")
    if backend == "onnxruntime":
        path = tmp_path / "s.fp32.onnx"
        path.write_bytes(plan_maker.graph)
        plan_maker.contract.save(tmp_path / "s.contract.json")
        yield OnnxRunner.open(path, threads=1)
        return
    gpu, library = plan_maker.machine(backend, version, detailed=True)
    opened = TensorRTRunner.open(plan_maker.plan(backend=backend, library_version=version))
    yield opened
    opened.close()
    assert gpu.held() == {}
    assert not library.alive


@pytest.fixture
def moved(small_rig: CameraRig) -> CameraRig:
    """Another car: the same cameras, 1 m further left and 2 m further ahead."""
    cameras = []
    for camera in small_rig.cameras:
        ego_from_cam = camera.ego_from_cam.copy()
        ego_from_cam[:2, 3] += (2.0, 1.0)
        cameras.append(Camera(camera.name, camera.width_px, camera.height_px, camera.K, ego_from_cam))
    return CameraRig(tuple(cameras))


class Reference:
    """ONNX Runtime on the graph in memory, a new session for each frame."""

    def __init__(self, graph: bytes, contract: Contract) -> None:
        self.graph, self.contract = graph, contract

    def infer(self, rig: CameraRig, frames: list[np.ndarray]) -> BevResult:
        runner = OnnxRunner.from_bytes(self.graph, self.contract, threads=1)
        return Pipeline(runner, self.contract, rig).infer(frames)


@pytest.fixture
def reference(table_graph: bytes, table_contract: Contract) -> Reference:
    return Reference(table_graph, table_contract)


def same(a: BevResult, b: BevResult) -> bool:
    names = [name for name in vars(a) if name != "tasks"]
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


class TestEveryRunner:
    def test_frames_one_after_the_other(self, runner: Any, reference: Reference, small_rig, frames) -> None:
        pipeline = Pipeline(runner, runner.contract, small_rig)
        for shift in (0, 1, 2, 2, 0):
            rolled = frames[shift:] + frames[:shift]
            assert same(pipeline.infer(rolled), reference.infer(small_rig, rolled))

    def test_two_cars_with_one_file(self, runner: Any, reference: Reference, small_rig, moved, frames) -> None:
        pipeline = Pipeline(runner, runner.contract, small_rig)
        first = pipeline.infer(frames)
        pipeline.recalibrate(moved)
        second = pipeline.infer(frames)
        pipeline.recalibrate(small_rig)
        third = pipeline.infer(frames)
        assert same(second, reference.infer(moved, frames))
        assert same(first, reference.infer(small_rig, frames)) and same(first, third)
        assert not same(first, second)

    def test_tables_that_are_changed_in_place(self, runner: Any, reference: Reference, small_rig, frames) -> None:
        feeds = Pipeline(runner, runner.contract, small_rig).feeds(frames)
        feeds["row_depth"] = feeds["row_depth"].copy()
        before = runner.run(feeds)
        feeds["row_depth"][:] = 0
        after = runner.run(feeds)
        again = OnnxRunner.from_bytes(reference.graph, threads=1).run(feeds)
        assert not np.array_equal(before["plans"], after["plans"])
        assert all(np.array_equal(after[name], again[name]) for name in again)

    def test_an_outcome_is_not_overwritten_by_the_next(self, runner: Any, small_rig, frames) -> None:
        feeds = Pipeline(runner, runner.contract, small_rig).feeds(frames)
        first = runner.run(feeds)
        kept = {name: array.copy() for name, array in first.items()}
        runner.run({**feeds, "frames": 255 - feeds["frames"]})
        assert all(np.array_equal(first[name], kept[name]) for name in kept)

    def test_outputs_are_those_of_the_contract(self, runner: Any, small_rig, frames) -> None:
        outputs = runner.run(Pipeline(runner, runner.contract, small_rig).feeds(frames))
        found = {name: (array.dtype.name, array.shape) for name, array in outputs.items()}
        assert found == {spec.name: (spec.dtype, spec.shape) for spec in runner.contract.outputs}

    def test_images_of_any_memory_layout(self, runner: Any, small_rig, frames) -> None:
        feeds = Pipeline(runner, runner.contract, small_rig).feeds(frames)
        turned = feeds["frames"].transpose(0, 2, 1, 3).copy().transpose(0, 2, 1, 3)  # [N, Hraw, Wraw, 3], W before H
        assert not turned.flags.c_contiguous
        one, other = runner.run(feeds), runner.run({**feeds, "frames": turned})
        assert all(np.array_equal(one[name], other[name]) for name in one)

    def test_feeds_are_checked(self, runner: Any, small_rig, frames) -> None:
        feeds = Pipeline(runner, runner.contract, small_rig).feeds(frames)
        with pytest.raises(ContractError, match="takes the inputs"):
            runner.run({name: array for name, array in feeds.items() if name != "sum1"})
        with pytest.raises(ContractError, match="frames: expected uint8"):
            runner.run({**feeds, "frames": feeds["frames"].astype(np.float32)})
        with pytest.raises(ContractError, match=r"row_depth: expected int32"):
            runner.profile({**feeds, "row_depth": feeds["row_depth"][:-1]}, 1)

    def test_layers_longest_first(self, runner: Any, small_rig, frames) -> None:
        feeds = Pipeline(runner, runner.contract, small_rig).feeds(frames)
        layers = runner.profile(feeds, 3)
        times_ms = [layer.mean_ms for layer in layers]
        assert times_ms == sorted(times_ms, reverse=True) and times_ms[0] > 0
        assert {"Gather", "ReduceMean"} <= {layer.kind for layer in layers}
        with pytest.raises(EngineError, match="at least 1 frame"):
            runner.profile(feeds, 0)

    def test_what_computes(self, runner: Any, request: pytest.FixtureRequest) -> None:
        info = runner.info()
        assert info.backend == request.node.callspec.params["runner"].split(" ")[0]
        assert info.versions[info.backend] and info.precision in ("fp32", "fp16") and info.device
