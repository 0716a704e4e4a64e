"""Real plans of the small student from TensorRT-RTX, which builds without a GPU; refusals; the ONNX file's variants."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.engines.gpu import Gpu, gpu
from bevdeploy.engines.onnx_variant import onnx_metadata, pool_nodes, without_pool_body
from bevdeploy.engines.target import EngineTarget, load_target
from bevdeploy.engines.tensorrt_build import build_plan, check_builder
from bevdeploy.errors import ContractError, EngineError, MissingDependencyError
from bevdeploy.runtime import Contract, TensorSpec
from bevdeploy.runtime.contract import CONTRACT_DIGEST_KEY
from bevdeploy.runtime.tensorrt_library import TensorRTLibrary, tensorrt_library

onnx = pytest.importorskip("onnx")

Export = tuple[bytes, Contract]
ORIN = Gpu("Orin", 87, "12.6")


@pytest.fixture(scope="module")
def export_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Export]:
    """The small student, exported without parity: the serialised model and its contract."""
    pytest.importorskip("torch")
    from bevdeploy.export import graph_of_student, load_recipe
    from bevdeploy.geometry import surround_rig
    from bevdeploy.jobs.init_checkpoint import init_checkpoint
    from bevdeploy.models import load_checkpoint

    path = tmp_path_factory.mktemp("build") / "small.pth"
    init_checkpoint("tinybev_r18_small", path, {})
    student, exports = load_checkpoint(path), dict[tuple[str, str], Export]()

    def export(io: Any, geometry_mode: Any) -> Export:
        if (io, geometry_mode) not in exports:
            recipe = load_recipe(student.spec.name)
            graph = graph_of_student(student, recipe, surround_rig(), io, geometry_mode)
            exports[io, geometry_mode] = (graph.model.SerializeToString(), graph.contract)
        return exports[io, geometry_mode]

    return export


@pytest.fixture(scope="module")
def rtx() -> TensorRTLibrary:
    pytest.importorskip("tensorrt_rtx")
    return tensorrt_library("tensorrt_rtx")


@pytest.fixture
def target() -> EngineTarget:
    return load_target("rtx")


def model_of(*nodes: Any) -> bytes:
    """A graph from `x` to `y`, [2, 3] float32."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    x, y = (helper.make_tensor_value_info(name, kind, (2, 3)) for name in "xy")
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("mine", 1)]
    graph = helper.make_graph(list(nodes), "g", [x], [y])
    content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return content


@pytest.fixture
def tiny_contract(export_of: Callable[[str, str], Export]) -> Contract:
    """A contract of `model_of`."""
    spec = TensorSpec("x", (2, 3), "float32", "1", "")
    return replace(export_of("frames", "runtime")[1], inputs=(spec,), outputs=(replace(spec, name="y"),))


@pytest.mark.slow
@pytest.mark.parametrize(("io", "geometry_mode"), [("frames", "runtime"), ("tensor", "baked")])
def test_the_student_becomes_a_plan(
    io: str,
    geometry_mode: str,
    export_of: Callable[[str, str], Export],
    rtx: TensorRTLibrary,
    target: EngineTarget,
) -> None:
    model, contract = export_of(io, geometry_mode)
    stages: list[str] = []
    check_builder(target, rtx, None)
    built = build_plan(model, contract, target, rtx, advance=stages.append)
    assert len(built.content) > len(model) / 2, "a plan holds the weights"
    assert built.layers > 500
    assert (built.flags, built.compute_capabilities, built.timing_cache) == (("strongly_typed",), (), None)
    assert stages[0] == "parsing" and any(stage.startswith("building: ") for stage in stages)


def test_ctrl_c_ends_a_build(
    export_of: Callable[[str, str], Export], rtx: TensorRTLibrary, target: EngineTarget
) -> None:
    """The interrupt is raised where a signal would be seen; the builder must give up instead of ending its work."""

    def interrupt(stage: str) -> None:
        if stage.startswith("building"):
            raise KeyboardInterrupt

    model, contract = export_of("frames", "runtime")
    with pytest.raises(KeyboardInterrupt):
        build_plan(model, contract, target, rtx, advance=interrupt)


def test_the_types_of_the_graph_are_those_of_the_plan(
    tiny_contract: Contract, rtx: TensorRTLibrary, target: EngineTarget
) -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"], "relu")
    built = build_plan(model_of(node), tiny_contract, replace(target, sm=89, workspace_mib=64), rtx, tf32=True)
    assert built.flags == ("strongly_typed", "tf32", "workspace_mib=64")
    assert built.compute_capabilities == (89,)


def test_refused_nodes_are_listed_by_name(tiny_contract: Contract, rtx: TensorRTLibrary, target: EngineTarget) -> None:
    make = onnx.helper.make_node
    model = model_of(
        make("Relu", ["x"], ["a"], "fine"),
        make("Mystery", ["a"], ["b"], "encoder/mystery", domain="mine"),
        make("Riddle", ["b"], ["y"], "decoder/riddle", domain="mine"),
    )
    with pytest.raises(EngineError) as refused:
        build_plan(model, tiny_contract, target, rtx)
    lines = str(refused.value).splitlines()
    assert lines[0] == f"the ONNX parser of TensorRT-RTX {rtx.version} refuses the graph:"
    assert any(line.startswith("  encoder/mystery (Mystery): ") for line in lines[1:])


def test_a_graph_whose_tensors_are_not_the_contracts(
    tiny_contract: Contract, rtx: TensorRTLibrary, target: EngineTarget
) -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"], "relu")
    wide = replace(tiny_contract, inputs=(replace(tiny_contract.inputs[0], shape=(2, 4)),))
    with pytest.raises(ContractError, match=r"x: \('float32', \(2, 3\)\), the contract has \('float32', \(2, 4\)\)"):
        build_plan(model_of(node), wide, target, rtx)
    other = replace(tiny_contract, outputs=(replace(tiny_contract.outputs[0], name="z"),))
    with pytest.raises(ContractError, match=r"z: none, the contract has .*\n  y: .*, the contract has none"):
        build_plan(model_of(node), other, target, rtx)


def test_bytes_that_are_no_model(tiny_contract: Contract, rtx: TensorRTLibrary, target: EngineTarget) -> None:
    with pytest.raises(EngineError, match="Failed to parse the ONNX model"):
        build_plan(b"abc" * 50, tiny_contract, target, rtx)


@pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX:DeprecationWarning")
def test_what_tensorrt_adds_runs_through_the_same_interface(tiny_contract: Contract, rtx: TensorRTLibrary) -> None:
    """TensorRT-RTX has TensorRT's timing cache as calls that do nothing: they are called as TensorRT wants them."""
    as_tensorrt = TensorRTLibrary("tensorrt", "10.3.0", rtx.module)
    orin = load_target("orin-agx-64gb")
    check_builder(orin, as_tensorrt, ORIN)
    node = onnx.helper.make_node("Relu", ["x"], ["y"], "relu")
    built = build_plan(model_of(node), tiny_contract, orin, as_tensorrt, ORIN)
    assert built.timing_cache
    assert (built.compute_capabilities, built.flags) == ((87,), ("strongly_typed", "workspace_mib=4096"))
    again = build_plan(model_of(node), tiny_contract, orin, as_tensorrt, ORIN, timing_cache=built.timing_cache)
    assert again.content


@pytest.mark.parametrize(
    ("name", "backend", "version", "device", "message"),
    [
        ("orin-agx-64gb", "tensorrt", "11.4.1", ORIN, "TensorRT 11.4.1 is installed, .* takes 10.3 to 10.16"),
        ("orin-agx-64gb", "tensorrt", "10.2.0", ORIN, "TensorRT 10.2.0 is installed, .* takes 10.3 to 10.16"),
        ("x86-dev", "tensorrt", "8.6.1", ORIN, "takes 10.3 and later"),
        ("orin-agx-64gb", "tensorrt", "10.3.0", None, "no NVIDIA driver; run this command on the Jetson AGX Orin"),
        ("orin-agx-64gb", "tensorrt", "10.3.0", Gpu("H", 90, "13.0"), "compute capability 87, the H here is 90"),
    ],
)
def test_machines_that_cannot_build_for_a_target(
    name: str, backend: Any, version: str, device: Gpu | None, message: str
) -> None:
    with pytest.raises(EngineError, match=message):
        check_builder(load_target(name), TensorRTLibrary(backend, version, None), device)


@pytest.mark.parametrize("version", ["10.3.0", "10.16.2.10", "10.13.3.9"])
def test_versions_within_the_range(version: str) -> None:
    check_builder(load_target("orin-nx-16gb"), TensorRTLibrary("tensorrt", version, None), ORIN)


@pytest.mark.parametrize("sm", [87, 90, 110])
def test_rtx_serves_desktop_cards_only(sm: int, rtx: TensorRTLibrary, target: EngineTarget) -> None:
    with pytest.raises(EngineError, match=rf"capability {sm}; TensorRT-RTX .* serves only desktop cards \(75, .*120"):
        check_builder(replace(target, sm=sm), rtx, None)
    for served in (75, 86, 89, 120):
        check_builder(replace(target, sm=served), rtx, None)


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(MissingDependencyError, match=r"TensorRT cannot .* pip install 'bevdeploy\[tensorrt\]'"):
        tensorrt_library("tensorrt", tmp_path)
    with pytest.raises(MissingDependencyError, match=r"TensorRT-RTX cannot .* pip install 'bevdeploy\[rtx\]'"):
        tensorrt_library("tensorrt_rtx", tmp_path)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text("# R36 (release), REVISION: 4.3\n")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(MissingDependencyError, match="sudo apt-get install tensorrt python3-libnvinfer"):
        tensorrt_library("tensorrt", tmp_path)
    with pytest.raises(MissingDependencyError, match="no Jetson"):
        tensorrt_library("tensorrt_rtx", tmp_path)


def test_a_wheel_without_its_shared_libraries_is_missing_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tensorrt.py").write_text("import ctypes; ctypes.CDLL('libnvinfer.so.absent')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(MissingDependencyError, match=r"libnvinfer.so.absent: cannot open shared object file"):
        tensorrt_library("tensorrt", tmp_path)


def test_the_variant_lacks_the_pools_body_and_nothing_else(export_of: Callable[[str, str], Export]) -> None:
    model, contract = export_of("frames", "runtime")
    assert pool_nodes(model) == 1
    assert onnx_metadata(model)[CONTRACT_DIGEST_KEY] == contract.digest()
    stripped = without_pool_body(model)
    expected = onnx.load_from_string(model)
    assert [function.name for function in expected.functions] == ["BevPool"]
    del expected.functions[:]
    assert onnx.load_from_string(stripped) == expected
    assert pool_nodes(stripped) == 1
    assert without_pool_body(stripped) == stripped


def test_the_parser_asks_a_plugin_for_the_stripped_node(
    export_of: Callable[[str, str], Export], rtx: TensorRTLibrary, target: EngineTarget
) -> None:
    model, contract = export_of("frames", "runtime")
    with pytest.raises(EngineError, match=r"BevPool \(BevPool\): .*Plugin not found"):
        build_plan(without_pool_body(model), contract, target, rtx)


def test_functions_of_others_stay() -> None:
    helper = onnx.helper
    relu = helper.make_node("Relu", ["a"], ["b"])
    model = onnx.load_from_string(model_of(helper.make_node("BevPool", ["x"], ["y"], "pool", domain="bevdeploy")))
    opsets = [helper.make_opsetid("", 20)]
    for domain, name in (("mine", "BevPool"), ("bevdeploy", "Other"), ("bevdeploy", "BevPool")):
        model.functions.append(helper.make_function(domain, name, ["a"], ["b"], [relu], opsets))
    kept = onnx.load_from_string(without_pool_body(model.SerializeToString())).functions
    assert [(function.domain, function.name) for function in kept] == [("mine", "BevPool"), ("bevdeploy", "Other")]


def test_a_graph_without_the_node_has_nothing_for_a_plugin() -> None:
    with pytest.raises(EngineError, match=r"no bevdeploy::BevPool node .* --pool native"):
        without_pool_body(model_of(onnx.helper.make_node("Relu", ["x"], ["y"])))


def test_mutated_models_are_read_or_refused(rng: np.random.Generator) -> None:
    model = np.frombuffer(model_of(onnx.helper.make_node("BevPool", ["x"], ["y"], domain="bevdeploy")), np.uint8)
    refused = 0
    for _ in range(500):
        mutant = model.copy()
        mutant[rng.integers(0, len(mutant), 3)] = rng.integers(0, 256, 3)
        content = mutant[: rng.integers(1, len(mutant) + 1)].tobytes()
        try:
            onnx_metadata(content)
            without_pool_body(content)
        except EngineError:
            refused += 1
    assert 0 < refused < 500


def test_the_gpu_is_asked_of_the_driver(tmp_path: Path) -> None:
    """A driver library of our own that says Orin, CUDA 12.6; and one that has no device."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to make a driver library with")
    source = """
    #include <string.h>
    int cuInit(unsigned f) { return NO_DEVICE ? 100 : 0; }
    int cuDeviceGetCount(int *n) { *n = 1; return 0; }
    int cuDeviceGet(int *d, int n) { *d = 7; return 0; }
    int cuDeviceGetName(char *s, int n, int d) { strncpy(s, d == 7 ? "Orin" : "?", n); return 0; }
    int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : a == 76 ? 7 : -1; return 0; }
    int cuDriverGetVersion(int *v) { *v = 12060; return 0; }
    """
    (tmp_path / "driver.c").write_text(source)
    code = "from bevdeploy.engines.gpu import gpu; print(gpu())"
    for no_device, answer in ((0, str(ORIN)), (1, "None")):
        folder = tmp_path / str(no_device)
        folder.mkdir()
        library = [compiler, "-shared", "-fPIC", f"-DNO_DEVICE={no_device}", "-o", str(folder / "libcuda.so.1")]
        subprocess.run([*library, str(tmp_path / "driver.c")], check=True)
        shown = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": ":".join(sys.path)},
        )
        assert shown.stdout.strip() == answer, shown.stderr


def test_a_machine_without_a_driver_has_no_gpu() -> None:
    if shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a driver")
    assert gpu() is None
