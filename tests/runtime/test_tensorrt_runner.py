"""What is particular to plans: refusals before anything is loaded, memory, stages, failures of the library and of CUDA.

`test_runner_interface.py` holds what every runner does.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.errors import BevDeployError, ContractError, EngineError, MissingDependencyError
from bevdeploy.geometry.pool_tables import TABLE_NAMES
from bevdeploy.runtime import Contract, Pipeline, TensorSpec
from bevdeploy.runtime.tensorrt_runner import TensorRTRunner

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

MB = 1e6


@pytest.fixture
def feeds(table_contract: Contract, small_rig, frames) -> dict[str, np.ndarray]:
    return Pipeline(None, table_contract, small_rig).feeds(frames)  # type: ignore[arg-type]


def refusal(path: Path, kind: type[BevDeployError] = EngineError) -> str:
    with pytest.raises(BevDeployError) as caught:
        TensorRTRunner.open(path)
    assert type(caught.value) is kind, caught.value
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"library_version": "10.16.2"}, "TensorRT version: built with 10.16.2, here 10.3.0"),
        ({"compute_capabilities": (110,)}, "compute capability: built with 110, here 87"),
        ({"contract_digest": "ab" * 32}, "contract: built with abababababab, here "),
        ({"plan_sha256": "cd" * 32}, "the manifest is of a plan cdcdcdcdcdcd"),
        ({"pool": "plugin", "plugin_sha256": "ef" * 32}, "plugin library: built with efefefefefef, here none"),
    ],
)
def test_a_foreign_plan_is_refused_before_it_is_loaded(plan_maker, changes: dict, reason: str) -> None:
    gpu, _ = plan_maker.machine()
    path = plan_maker.plan(**changes)
    message = refusal(path)
    assert message.startswith(str(path)) and reason in message
    assert f"bevdeploy build {path.with_name('s.fp16.onnx')} -t orin-agx-64gb" in message
    assert not {"Runtime", "deserialize"} & set(gpu.calls)
    assert gpu.held() == {}


def test_another_rig_than_the_baked_one(plan_maker, table_contract: Contract) -> None:
    gpu, _ = plan_maker.machine()
    baked = replace(table_contract, rig_digest="12" * 32)
    assert "baked rig: built with 343434343434, here 121212121212" in refusal(
        plan_maker.plan(baked, rig_digest="34" * 32)
    )
    assert "deserialize" not in gpu.calls


def test_a_plan_of_many_cards(plan_maker) -> None:
    plan_maker.machine("tensorrt_rtx", "1.7.1.116", sm=(12, 0))
    path = plan_maker.plan(backend="tensorrt_rtx", library_version="1.7.1.116", compute_capabilities=())
    with TensorRTRunner.open(path) as runner:
        info = runner.info()
    assert (info.backend, info.device, info.precision, info.threads) == ("tensorrt_rtx", "Fake GPU", "fp16", None)
    assert info.versions["tensorrt_rtx"] == "1.7.1.116" and info.versions["cuda_driver"] == "12.6"


def test_files_that_are_missing(plan_maker, tmp_path: Path) -> None:
    plan_maker.machine()
    assert "no such plan" in refusal(tmp_path / "absent.plan") and "bevdeploy build" in refusal(
        tmp_path / "absent.plan"
    )
    assert "cannot be read" in refusal(tmp_path)
    path = plan_maker.plan()
    path.with_name("s.contract.json").unlink()
    assert "s.contract.json: missing" in refusal(path, ContractError)
    assert TensorRTRunner.open(path, plan_maker.contract).contract == plan_maker.contract
    path.with_name("s.orin-agx-64gb.fp16.plan.manifest.json").unlink()
    assert "manifest.json: missing" in refusal(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: {"outputs": c.outputs[:-1]}, "output names are"),
        (lambda c: {"inputs": c.inputs[:-1]}, "input names are"),
        (
            lambda c: {"inputs": (TensorSpec("frames", (6, 36, 65, 3), "uint8", "", ""), *c.inputs[1:])},
            r"input frames is uint8 (6, 36, 64, 3), the contract has uint8 (6, 36, 65, 3)",
        ),
        (
            lambda c: {"outputs": (replace(c.outputs[0], dtype="float16"), *c.outputs[1:])},
            "output boxes is float32 (5, 9), the contract has float16 (5, 9)",
        ),
    ],
)
def test_a_plan_that_contradicts_its_contract(plan_maker, table_contract: Contract, change: Any, message: str) -> None:
    gpu, library = plan_maker.machine()
    path = plan_maker.plan(replace(table_contract, **change(table_contract)))
    assert message in refusal(path, ContractError)
    gc.collect()
    assert gpu.held() == {} and not library.alive


def test_a_plan_that_the_library_does_not_load(plan_maker) -> None:
    plan_maker.machine()
    path = plan_maker.plan(content=b"a plan of another world")
    message = refusal(path)
    assert "does not load it (Error Code 1: Serialization (magicTag failed))" in message
    assert "build it again: bevdeploy build" in message


def test_memory_that_does_not_suffice(plan_maker) -> None:
    gpu, library = plan_maker.machine(memory_bytes=30_000)
    assert "cannot be loaded (cuMemAlloc failed: out of memory)" in refusal(plan_maker.plan())
    gc.collect()
    assert not gpu.memory and not gpu.contexts and not library.alive


def test_no_execution_context(plan_maker) -> None:
    gpu, library = plan_maker.machine()
    library.no_memory = True
    assert "no execution context (Error Code 2: OutOfMemory" in refusal(plan_maker.plan())
    gc.collect()
    assert gpu.held() == {}


def test_buffers_are_made_once(plan_maker, feeds) -> None:
    gpu, _ = plan_maker.machine()
    runner = TensorRTRunner.open(plan_maker.plan())
    held = gpu.held()
    tensors = len(plan_maker.contract.inputs) + len(plan_maker.contract.outputs)
    assert held["device allocations"] == held["pinned allocations"] == tensors
    for _ in range(3):
        runner.run(feeds)
    assert gpu.held() == held and "contexts" not in held
    runner.close()
    runner.close()
    assert gpu.held() == {}


def test_one_wait_per_frame_and_tables_only_when_they_change(plan_maker, feeds) -> None:
    gpu, _ = plan_maker.machine()
    runner = TensorRTRunner.open(plan_maker.plan())
    sizes = {name: array.nbytes for name, array in feeds.items()}
    outputs = len(plan_maker.contract.outputs)

    def uploads(feeds: dict[str, np.ndarray]) -> list[int]:
        gpu.calls.clear()
        runner.run(feeds)
        kinds = [call.split(" ")[0] for call in gpu.calls]
        copies = [int(call.split(" ")[1]) for call in gpu.calls if call.startswith("htod")]
        assert kinds == ["htod"] * len(copies) + ["execute"] + ["dtoh"] * outputs + ["synchronize"]
        return copies

    assert uploads(feeds) == list(sizes.values())
    assert uploads(feeds) == [sizes["frames"]]
    assert uploads({**feeds, "sum1": feeds["sum1"].copy()}) == [sizes["frames"]]
    changed = feeds["sum1"] + 1
    assert uploads({**feeds, "sum1": changed}) == [sizes["frames"], sizes["sum1"]]
    assert uploads(feeds) == [sizes["frames"], sizes["sum1"]]


def test_a_table_that_cannot_be_written_to_is_not_read_again(plan_maker, feeds, monkeypatch) -> None:
    plan_maker.machine()
    runner = TensorRTRunner.open(plan_maker.plan())
    for name in TABLE_NAMES:
        feeds[name] = feeds[name].copy()  # a view's memory can be written to through the array that it is a view of
        feeds[name].flags.writeable = False
    runner.run(feeds)
    compared = []
    monkeypatch.setattr(np, "array_equal", lambda a, b: compared.append(a) or True)
    runner.run(feeds)
    assert not compared
    runner.run({**feeds, "sum1": feeds["sum1"][:]})
    assert len(compared) == 1
    other = feeds["sum1"].copy()
    other.flags.writeable = False
    for _ in range(2):
        runner.run({**feeds, "sum1": other})
    assert len(compared) == 2, "known by its own identity from its first comparison on"


def test_stages_by_the_clock_of_the_gpu(plan_maker, feeds) -> None:
    plan_maker.machine()
    runner = TensorRTRunner.open(plan_maker.plan())
    assert runner.last_stages_ms == {}
    outputs = runner.run(feeds)
    stages_ms = runner.last_stages_ms
    assert list(stages_ms) == ["staging", "upload", "compute", "download"]
    assert stages_ms["upload"] == pytest.approx(sum(array.nbytes for array in feeds.values()) / MB)
    assert stages_ms["compute"] == 5.0
    assert stages_ms["download"] == pytest.approx(sum(array.nbytes for array in outputs.values()) / MB)
    assert stages_ms["staging"] > 0
    runner.run(feeds)
    assert runner.last_stages_ms["upload"] == pytest.approx(feeds["frames"].nbytes / MB)


def test_a_network_that_is_refused(plan_maker, feeds) -> None:
    gpu, library = plan_maker.machine()
    runner = TensorRTRunner.open(plan_maker.plan())
    expected = runner.run(feeds)
    library.refuse_enqueue = True
    changed = {**feeds, "cell_row": feeds["cell_row"] * 0}
    with pytest.raises(EngineError, match=r"s\.orin-agx-64gb\.fp16\.plan: TensorRT could not run it \(Error Code 3"):
        runner.run(changed)
    library.refuse_enqueue = False
    assert all(np.array_equal(array, expected[name]) for name, array in runner.run(feeds).items())
    assert not np.array_equal(runner.run(changed)["plans"], expected["plans"])
    assert not gpu.contexts


def test_a_fault_of_cuda(plan_maker, feeds) -> None:
    gpu, _ = plan_maker.machine()
    runner = TensorRTRunner.open(plan_maker.plan())
    gpu.fault = sys.modules["pycuda.driver"].LogicError("cuStreamSynchronize failed: an illegal memory access")
    with pytest.raises(EngineError, match=r"cannot be run \(cuStreamSynchronize failed: an illegal memory access"):
        runner.run(feeds)
    assert not gpu.contexts


def test_ctrl_c_leaves_no_table_half_known(plan_maker, feeds) -> None:
    gpu, _ = plan_maker.machine()
    runner = TensorRTRunner.open(plan_maker.plan())
    before = runner.run(feeds)
    changed = {**feeds, "cell_row": feeds["cell_row"] * 0}
    gpu.fault = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        runner.run(changed)
    gpu.streams[runner._session._stream.handle].queue.clear()  # type: ignore[union-attr]  # nothing of it was done
    assert not np.array_equal(runner.run(changed)["plans"], before["plans"])


def test_a_closed_runner(plan_maker, feeds) -> None:
    plan_maker.machine()
    with TensorRTRunner.open(plan_maker.plan()) as runner:
        runner.run(feeds)
    for act in (lambda: runner.run(feeds), lambda: runner.profile(feeds, 1), runner.info):
        with pytest.raises(EngineError, match=r"the runner is closed; open it again"):
            act()


def test_two_threads_at_once(plan_maker, feeds, monkeypatch) -> None:
    plan_maker.machine()
    runner = TensorRTRunner.open(plan_maker.plan())
    inside, go_on = threading.Event(), threading.Event()
    session = runner._session
    assert session is not None
    frame = session.frame

    def slow(feeds: Any) -> Any:
        inside.set()
        assert go_on.wait(10)
        return frame(feeds)

    monkeypatch.setattr(session, "frame", slow)
    first = threading.Thread(target=runner.run, args=(feeds,))
    first.start()
    assert inside.wait(10)
    for act in (lambda: runner.run(feeds), runner.close):
        with pytest.raises(EngineError, match="another thread is using this runner"):
            act()
    go_on.set()
    first.join()
    assert runner.run(feeds)


def test_a_runner_that_is_dropped_gives_everything_back(plan_maker, feeds) -> None:
    gpu, library = plan_maker.machine()
    runner = TensorRTRunner.open(plan_maker.plan())
    runner.run(feeds)
    del runner
    gc.collect()
    assert gpu.held() == {} and not library.alive


def test_layers_have_a_context_of_their_own(plan_maker, feeds) -> None:
    """Times of the fake: layer n takes 0.25 ms * (n + 1); without detailed verbosity a plan knows no kinds."""
    gpu, library = plan_maker.machine()
    runner = TensorRTRunner.open(plan_maker.plan())
    held, alive = gpu.held(), len(library.alive)
    layers = runner.profile(feeds, 4)
    assert [layer.mean_ms for layer in layers] == [0.25 * (n + 1) for n in reversed(range(len(layers)))]
    assert {layer.kind for layer in layers} == {"layer"} and layers[-1].name == "grey"
    assert (gpu.held(), len(library.alive)) == (held, alive)
    gpu.calls.clear()
    runner.run(feeds)
    assert gpu.calls.count("synchronize") == 1, "the profiler is still attached"


@pytest.mark.parametrize("missing", ["tensorrt", "pycuda", "pycuda.driver"])
def test_a_machine_that_lacks_something(plan_maker, monkeypatch, missing: str) -> None:
    plan_maker.machine()
    monkeypatch.setitem(sys.modules, missing, None)
    path = plan_maker.plan()
    kind = EngineError if missing == "pycuda.driver" else MissingDependencyError
    message = refusal(path, kind)
    assert "\n" not in message
    expected = {
        "tensorrt": "pip install 'bevdeploy[tensorrt]'",
        "pycuda": "pip install 'bevdeploy[pycuda]'",
        "pycuda.driver": "needs NVIDIA's driver",
    }
    assert expected[missing] in message


def test_a_machine_without_a_gpu(plan_maker, monkeypatch) -> None:
    plan_maker.machine()
    driver = sys.modules["pycuda.driver"]

    def init(flags: int = 0) -> None:
        raise driver.LogicError("cuInit failed: no CUDA-capable device is detected")

    monkeypatch.setattr(driver, "init", init)
    message = refusal(plan_maker.plan())
    assert message.endswith("CUDA finds none here (cuInit failed: no CUDA-capable device is detected)")


def test_a_foreign_plan_is_refused_even_where_nothing_is_installed(plan_maker, monkeypatch) -> None:
    for name in ("tensorrt", "pycuda"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "Build it here: bevdeploy build" in refusal(plan_maker.plan(contract_digest="ab" * 32))


def test_another_version_is_told_where_there_is_no_gpu(plan_maker, monkeypatch) -> None:
    plan_maker.machine(version="11.1.0.106")
    monkeypatch.setitem(sys.modules, "pycuda", None)
    assert "TensorRT version: built with 10.3.0, here 11.1.0.106" in refusal(plan_maker.plan())


def test_the_room_imports_without_the_libraries() -> None:
    program = (
        "import sys\n"
        "for name in ('tensorrt', 'tensorrt_rtx', 'pycuda', 'torch', 'onnxruntime'): sys.modules[name] = None\n"
        "import bevdeploy.runtime.tensorrt_runner\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


def test_the_fake_has_no_name_that_is_not_documented(fakes) -> None:
    pycuda, tensorrt = fakes
    module = tensorrt.tensorrt_module(pycuda.FakeGpu(), "10.3.0")
    for name, documented in tensorrt.DOCUMENTED.items():
        public = {each for each in vars(getattr(module, name)) if not each.startswith("_")}
        assert public - documented <= {"Severity", *module.ILogger.Severity.__members__}


@pytest.mark.parametrize("library", ["tensorrt", "tensorrt_rtx"])
def test_the_real_library_has_every_name_of_the_fake(fakes, library: str) -> None:
    pycuda, tensorrt = fakes
    real = pytest.importorskip(library)
    module = tensorrt.tensorrt_module(pycuda.FakeGpu(), real.__version__)
    for name in ("TensorIOMode", "TensorLocation", "LayerInformationFormat"):
        assert set(getattr(module, name).__members__) <= set(getattr(real, name).__members__)
    for name, documented in tensorrt.DOCUMENTED.items():
        assert {each for each in documented if not hasattr(getattr(real, name), each)} == set()
    for dtype in (each for each in module.DataType if each.name != "BF16"):
        assert np.dtype(real.nptype(getattr(real.DataType, dtype.name))) == np.dtype(module.nptype(dtype))
    assert real.ILogger.ERROR <= real.ILogger.ERROR < real.ILogger.WARNING
