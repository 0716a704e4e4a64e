"""Damaged files of every kind: each loads into something sane, or is refused with one clear error, and none runs code.

A failure names its seed and its damage: `-k KIND` with that seed in SEEDS replays the case alone.
"""

from __future__ import annotations

import copyreg
import io
import json
import math
import os
import pickle
import random
import resource
import signal
import sys
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bevdeploy.engines.target import load_target
from bevdeploy.errors import BevDeployError
from bevdeploy.geometry import CameraRig, load_rig
from bevdeploy.geometry.pool_tables import tables_from_rig
from bevdeploy.paths import data_dir
from bevdeploy.runtime import Pipeline, load_contract
from bevdeploy.runtime.contract import contract_path
from bevdeploy.runtime.manifest import EngineManifest, check_manifest, load_manifest

BUILDER = "tiny_student:tiny"
CASES = {"contract": 500, "manifest": 400, "recipe": 320, "target": 320, "rig": 500, "checkpoint": 280, "onnx": 220}
"""Mutations of the default run, 2,540 in total."""
CASE_S = 30
"""A case that takes longer hangs."""
MEMORY_MIB = 700
"""The peak may grow by this much over all cases of a kind: torch and ONNX Runtime themselves take some hundred."""
MESSAGE_LETTERS = 10_000
PLAN = b"the bytes of a plan"

Load = Callable[[Path], Any]


@dataclass
class Guard:
    """What code must not do while a file is read: start something, write, connect."""

    on: bool = False
    seen: tuple[str, ...] = ()

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        if writes or event.startswith(("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.remove", "os.rename")):
            self.seen += (f"{event} {arguments!r:.200}",)
        elif event.startswith(("subprocess.", "socket.connect", "shutil.", "ctypes.dlopen", "webbrowser.")):
            self.seen += (f"{event} {arguments!r:.200}",)

    @contextmanager
    def watching(self) -> Iterator[None]:
        self.on = True
        try:
            yield
        finally:
            self.on = False


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    """An audit hook cannot be removed, only switched off."""
    made = Guard()
    sys.addaudithook(made)
    yield made
    made.on = False


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    def late(number: int, frame: Any) -> None:
        raise TimeoutError(f"hangs for {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def wrong_message(error: BevDeployError, path: Path) -> str | None:
    """What is wrong with a message that should be one block, name the file and suit any terminal."""
    text = str(error)
    if not text or text.strip() != text:
        return f"an empty message, or one with blank ends: {text[:300]!r}"
    if path.name.split(".")[0] not in text:
        return f"the file is not named: {text[:300]!r}"
    if "\n\n" in text:
        return f"more than one block: {text[:300]!r}"
    if not all(letter.isprintable() or letter == "\n" for letter in text):
        return f"control characters: {text[:300]!r}"
    return f"{len(text)} characters: {text[:300]!r}" if len(text) > MESSAGE_LETTERS else None


def fuzzed(
    kind: str, mutants: Callable[[random.Random], tuple[str, bytes]], path: Path, load: Load, guard: Guard
) -> Counter[str]:
    """How often each outcome came; raises at the first that is neither a sane object nor a BevDeployError."""
    outcomes: Counter[str] = Counter()
    failed: list[str] = []
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for case in range(CASES[kind]):
        seed = f"{kind} {case}"
        words, content = mutants(random.Random(seed))
        path.write_bytes(content)
        guard.seen = ()
        wrong = None
        try:
            with limited(CASE_S), guard.watching():
                load(path)
            outcomes["loads"] += 1
        except BevDeployError as error:
            outcomes[type(error).__name__] += 1
            wrong = wrong_message(error, path)
        except Exception as error:
            wrong = "".join(traceback.format_exception(error)[-4:])
        if wrong or guard.seen:
            failed.append(f"seed {seed!r} ({words[:300]}): {wrong or guard.seen}")
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kib) / 1024
    print(f"\n{kind}: {dict(outcomes)}, peak + {grown_mib:.0f} MiB")
    assert not failed, f"{len(failed)} of {CASES[kind]} cases:\n" + "\n".join(failed[:8])
    assert grown_mib < MEMORY_MIB, f"the peak of memory grew by {grown_mib:.0f} MiB"
    assert sum(outcomes.values()) == CASES[kind]
    assert CASES[kind] - outcomes["loads"] > CASES[kind] // 4, f"hardly anything was damaged: {outcomes}"
    return outcomes


def test_enough_of_them() -> None:
    assert sum(CASES.values()) >= 2000


def test_a_message_suits_any_terminal() -> None:
    """What a hostile file can put into it: escapes, surrogates, blank lines, a megabyte."""
    text = str(BevDeployError("s.onnx: \x1b[2J\ud800\u202e 車 é\n\n  \nnext\r" + "x" * 10**6))
    assert text.startswith("s.onnx: \\x1b[2J\\ud800\\u202e 車 é\nnext\\rx")
    assert text.endswith("x ... " + "x" * 1000)
    assert len(text) < 7000 and wrong_message(BevDeployError(text), Path("s.onnx")) is None
    text.encode("utf-8")
    assert str(BevDeployError("two lines:\n  the second")) == "two lines:\n  the second"


def test_contract(exported: Any, mutation: ModuleType, tmp_path: Path, guard: Guard) -> None:
    """One that still loads is the graph's own, or its digest refuses it."""
    content = contract_path(exported.onnx).read_bytes()
    own = exported.graph.contract.digest()
    loaded = []

    def load(path: Path) -> None:
        contract = load_contract(path)
        digest = contract.digest()
        loaded.append(digest == own)
        if digest == own:
            assert contract == exported.graph.contract

    fuzzed("contract", lambda rng: mutation.damaged_json(rng, content), tmp_path / "s.contract.json", load, guard)
    assert any(loaded) and not all(loaded)


def test_manifest(mutation: ModuleType, tmp_path: Path, guard: Guard) -> None:
    digest = "0123456789abcdef" * 4
    good = EngineManifest(
        "s.rtx.fp16.plan", digest, "s.fp16.onnx", digest, digest, None, "rtx", "tensorrt_rtx", "1.7.1", None, (80, 86),
        "native", None, "fp16", ("strongly_typed", "workspace_mib=4096"), "0.1.0",
    )  # fmt: skip

    def load(path: Path) -> None:
        manifest = load_manifest(path)
        assert load_manifest(path) == manifest
        json.dumps(manifest.document(), allow_nan=False)
        assert manifest.rebuild_command(path).startswith("bevdeploy build ")
        # no change makes a manifest fit other bytes than those whose digest it holds
        check_manifest(manifest, path, PLAN, backend="tensorrt_rtx", library_version="1.7.1", sm=86)

    content = good.text().encode()
    outcomes = fuzzed(
        "manifest", lambda rng: mutation.damaged_json(rng, content), tmp_path / "s.plan.manifest.json", load, guard
    )
    assert not outcomes["loads"]


def test_recipe(mutation: ModuleType, tmp_path: Path, guard: Guard) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("torch")
    from bevdeploy.export import load_recipe

    content = (data_dir("export") / "tinybev_r18_small.toml").read_bytes()

    def load(path: Path) -> None:
        recipe = load_recipe(path)
        assert 18 <= recipe.opset <= 20 and 1 <= recipe.table_headroom <= 8 and recipe.student.strip()
        for gates in recipe.gates.values():
            assert all(0 < float(value) < math.inf for value in vars(gates).values())

    fuzzed("recipe", lambda rng: mutation.damaged_toml(rng, content), tmp_path / "r.toml", load, guard)


def test_target(mutation: ModuleType, tmp_path: Path, guard: Guard) -> None:
    contents = [path.read_bytes() for path in sorted(data_dir("engines").glob("*.toml"))]

    def load(path: Path) -> None:
        target = load_target(path)
        json.dumps(target.document(), allow_nan=False)
        assert all(0 <= value < math.inf for value in vars(target.budget).values())

    fuzzed("target", lambda rng: mutation.damaged_toml(rng, rng.choice(contents)), tmp_path / "t.toml", load, guard)


def test_rig(rig: CameraRig, exported: Any, mutation: ModuleType, tmp_path: Path, guard: Guard) -> None:
    """One that still loads has tables for the student, or its tables are refused."""
    rig.save(tmp_path / "rig.json")
    content = (tmp_path / "rig.json").read_bytes()
    contract = exported.graph.contract

    class Runner:
        contract = exported.graph.contract

    pipeline = Pipeline(Runner(), contract, rig)  # type: ignore[arg-type]  # it is not run

    def load(path: Path) -> None:
        loaded = load_rig(path)
        assert len(loaded.digest()) == 64
        for camera in loaded.cameras:
            assert np.isfinite(camera.K).all() and np.isfinite(camera.ego_from_cam).all()
        try:
            tables_from_rig(loaded, contract.geometry)
            pipeline.recalibrate(loaded)
        except BevDeployError as error:  # its message names cameras and sizes, the caller knows the file
            assert wrong_message(type(error)(f"{path.name}: {error}"), path) is None, str(error)[:500]

    fuzzed("rig", lambda rng: mutation.damaged_json(rng, content), tmp_path / "rig.json", load, guard)


@pytest.fixture(scope="module")
def readers(checkpoints: tuple[Path, Path]) -> Callable[[Path], Any]:
    """Reads a checkpoint of the tiny student; what is read has the shapes of one, and finite float weights."""
    import torch

    from bevdeploy.models import load_checkpoint

    want = {
        key: (value.shape, value.dtype) for key, value in load_checkpoint(checkpoints[0], BUILDER).state_dict().items()
    }

    def load(path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            state = load_checkpoint(path, BUILDER).state_dict()
        assert {key: (value.shape, value.dtype) for key, value in state.items()} == want
        for key, value in state.items():
            assert value.device.type == "cpu", key
            assert bool(torch.isfinite(value).all()), key

    return load


@pytest.mark.slow
def test_checkpoint(
    checkpoints: tuple[Path, Path], readers: Load, mutation: ModuleType, tmp_path: Path, guard: Guard
) -> None:
    content = checkpoints[0].read_bytes()

    def mutants(rng: random.Random) -> tuple[str, bytes]:
        return rng.choice((mutation.damaged_bytes, mutation.damaged_zip, mutation.damaged_zip))(rng, content)

    fuzzed("checkpoint", mutants, tmp_path / "tiny.pth", readers, guard)


def strange_weights() -> dict[str, Any]:
    """Tensors of the right shape, [8], that are no plain numbers."""
    import torch

    half = torch.zeros(8, dtype=torch.float64)
    half[3] = 1e300
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # quantised and sparse tensors are on their way out
        return {
            "float64 beyond float32": half,
            "complex": torch.zeros(8, dtype=torch.complex64),
            "sparse": torch.zeros(8).to_sparse(),
            "meta": torch.zeros(8, device="meta"),
            "quantised": torch.quantize_per_tensor(torch.zeros(8), 0.1, 0, torch.qint8),
            "float8": torch.zeros(8).to(torch.float8_e4m3fn),
            "float8 NaN": torch.full((8,), torch.nan).to(torch.float8_e4m3fn),
            "bool": torch.zeros(8, dtype=torch.bool),
            "uint16": torch.zeros(8, dtype=torch.uint16),
            "expanded": torch.zeros(1).expand(8),
            "parameter": torch.nn.Parameter(torch.zeros(8)),
            "half": torch.zeros(8, dtype=torch.float16),
            "negative": torch.zeros(8, dtype=torch.complex64).conj().imag,
            "list": [0.0] * 8,
            "huge": torch.zeros(1).expand(2**40),
        }


def test_strange_weights(checkpoints: tuple[Path, Path], readers: Load, tmp_path: Path) -> None:
    """Each is taken for the numbers it holds, or refused."""
    import torch

    outcomes: Counter[str] = Counter()
    document = torch.load(checkpoints[0], weights_only=True)
    key = next(key for key, value in document["weights"].items() if value.shape == (8,) and key.endswith("bias"))
    for name, tensor in strange_weights().items():
        path = tmp_path / "tiny.pth"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.save({**document, "weights": {**document["weights"], key: tensor}}, path)
        try:
            readers(path)
            outcomes["loads"] += 1
        except BevDeployError as error:
            assert wrong_message(error, path) is None, f"{name}: {error}"
            outcomes["CheckpointError"] += 1
        except Exception as error:
            raise AssertionError(f"{name}: {type(error).__name__}: {error}") from error
    assert outcomes["loads"] >= 4 and outcomes["CheckpointError"] >= 6, outcomes


@pytest.mark.parametrize(
    "arguments",
    [
        {"image_height_px": 2**62},
        {"image_height_px": 10**400},
        {"image_height_px": -5},
        {"image_width_px": 0},
        {"image_width_px": True},
        {"cell_m": float("nan")},
        {"cell_m": float("inf")},
        {"cell_m": -1.6},
        {"cell_m": -0.0},
        {"cell_m": 0.026},
        {"cell_m": 1e300},
        {"cell_m": 10**400},
        {"ego_state": 1},
        {"\ud800": 1},
        {"x" * 100_000: 1},
    ],
)
def test_arguments_of_a_named_student(
    arguments: dict[str, Any], checkpoints: tuple[Path, Path], tmp_path: Path
) -> None:
    """Refused, at the latest because the weights do not fit, and before memory is asked for."""
    import torch

    from bevdeploy.errors import CheckpointError
    from bevdeploy.models import load_checkpoint

    path = tmp_path / "tiny.pth"
    document = torch.load(checkpoints[0], weights_only=True)
    torch.save({**document, "arguments": arguments}, path)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with limited(CASE_S), pytest.raises(CheckpointError) as refused:
        load_checkpoint(path)
    assert wrong_message(refused.value, path) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kib < 200 * 1024


def test_an_archive_that_unpacks_to_more_than_it_is(checkpoints: tuple[Path, Path], tmp_path: Path) -> None:
    """A quarter of a gigabyte of zeros, deflated to a megabyte."""
    from bevdeploy.errors import CheckpointError
    from bevdeploy.models import load_checkpoint

    path = tmp_path / "bomb.pth"
    with (
        zipfile.ZipFile(checkpoints[0]) as good,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bad,
    ):
        for info in good.infolist():
            with bad.open(info.filename, "w", force_zip64=True) as record:
                record.write(good.read(info))
                if info.filename.endswith("data/0"):
                    for _ in range(256):
                        record.write(bytes(2**20))
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with limited(CASE_S), pytest.raises(CheckpointError, match=r"bomb\.pth: damaged checkpoint: .* compressed"):
        load_checkpoint(path, BUILDER)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kib < 100 * 1024


def evil_pickles(marker: Path) -> dict[str, bytes]:
    """Programs of the pickle machine that create a file when they are run."""
    command = f"touch '{marker}'".encode()
    text = b"X" + len(command).to_bytes(4, "little") + command
    touch = f"open({str(marker)!r}, 'w').close()".encode()
    source = b"X" + len(touch).to_bytes(4, "little") + touch
    return {
        "GLOBAL REDUCE": b"\x80\x02cos\nsystem\n" + text + b"\x85R.",
        "GLOBAL posix": b"\x80\x02cposix\nsystem\n" + text + b"\x85R.",
        "INST": b"(" + text + b"ios\nsystem\n.",
        "OBJ": b"(cos\nsystem\n" + text + b"o.",
        "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93" + text + b"\x85R.",
        "exec": b"\x80\x02cbuiltins\nexec\n" + source + b"\x85R.",
        "eval": b"\x80\x02cbuiltins\neval\n" + source + b"\x85R.",
        "getattr": b"\x80\x02cbuiltins\ngetattr\n(cbuiltins\n__import__\n(X\x02\x00\x00\x00ostR"
        + b"X\x06\x00\x00\x00systemtR" + text + b"\x85R.",
        "map": b"\x80\x02cbuiltins\nlist\ncbuiltins\nmap\ncos\nsystem\n]" + text + b"a\x86R\x85R.",
        "BUILD state": b"\x80\x02ctypes\nSimpleNamespace\n)R}(X\x0c\x00\x00\x00__setstate__cos\nsystem\nub"
        + text + b"b.",
        "EXT1": b"\x80\x02\x82\xf0" + text + b"\x85R.",
        "EXT2": b"\x80\x02\x83\xf0\x00" + text + b"\x85R.",
        "in a list": b"\x80\x02](cos\nsystem\n" + text + b"\x85Re.",
        "protocol 0": b"cos\nsystem\n(S" + repr(command.decode()).encode() + b"\ntR.",
    }  # fmt: skip


@pytest.fixture
def extension() -> Iterator[None]:
    """Code 240 of pickle's extension registry is `os.system`, as some imported package might have left it."""
    module = os.system.__module__
    copyreg.add_extension(module, "system", 0xF0)
    yield
    copyreg.remove_extension(module, "system", 0xF0)
    copyreg._extension_cache.pop(0xF0, None)  # type: ignore[attr-defined]


EVIL = sorted(evil_pickles(Path("marker")))


@pytest.mark.parametrize("name", EVIL)
def test_no_code_is_executed(
    name: str, checkpoints: tuple[Path, Path], tmp_path: Path, guard: Guard, extension: None
) -> None:
    """As the whole file, as the pickle of a good archive, and behind the header of torch's old format."""
    from bevdeploy.errors import CheckpointError
    from bevdeploy.models import load_checkpoint
    from bevdeploy.models.checkpoint import checkpoint_note

    marker, path = tmp_path / "marker", tmp_path / "evil.pth"
    program = evil_pickles(marker)[name]
    archive = io.BytesIO()
    with zipfile.ZipFile(checkpoints[0]) as good, zipfile.ZipFile(archive, "w") as bad:
        for info in good.infolist():
            bad.writestr(info.filename, program if info.filename.endswith("data.pkl") else good.read(info))
    header = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
    legacy = header + pickle.dumps({"little_endian": True, "type_sizes": {}}, 2) + program
    for content in (program, archive.getvalue(), legacy):
        path.write_bytes(content)
        guard.seen = ()
        for read in (load_checkpoint, checkpoint_note, lambda path: load_checkpoint(path, BUILDER)):
            with guard.watching(), limited(CASE_S), pytest.raises(CheckpointError) as refused:
                read(path)
            assert wrong_message(refused.value, path) is None
        assert not guard.seen and not marker.exists()
    pickle.loads(program)  # the trap itself works: whoever reads the file carelessly springs it
    assert marker.exists()


@pytest.mark.slow
def test_onnx(
    exported: Any,
    rig: CameraRig,
    mutation: ModuleType,
    tmp_path: Path,
    guard: Guard,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A graph that still opens has its contract's inputs and outputs, and runs or says why not."""
    from bevdeploy.runtime.onnx_runner import OnnxRunner

    content = exported.onnx.read_bytes()
    path = tmp_path / "s.onnx"
    contract_path(path).write_bytes(contract_path(exported.onnx).read_bytes())
    noise = np.random.default_rng(3).integers(0, 256, (6, 64, 128, 3), dtype=np.uint8)

    def mutants(rng: random.Random) -> tuple[str, bytes]:
        return (mutation.damaged_bytes if rng.random() < 0.5 else damaged_graph)(rng, content)

    def load(path: Path) -> None:
        runner = OnnxRunner.open(path, threads=1)
        assert runner.contract is not None and runner.contract.digest() == exported.graph.contract.digest()
        try:
            result = Pipeline(runner, runner.contract, rig).infer(tuple(noise))
        except BevDeployError as error:
            assert wrong_message(error, path) is None, str(error)[:500]
        else:
            json.dumps(result.document())
            assert result.boxes.shape == (5, 9) and result.plans_m.shape == (3, 6, 2)

    fuzzed("onnx", mutants, path, load, guard)
    assert capfd.readouterr().err == "", "ONNX Runtime writes past the error message"


GRAPH_FAULTS = (
    "type", "domain", "input", "twice", "gone", "attribute", "dims", "kind", "raw", "external", "loop", "opset",
    "output", "shape", "metadata", "function",
)  # fmt: skip


def damaged_graph(rng: random.Random, content: bytes) -> tuple[str, bytes]:
    """One wrong place in a protobuf message that is still one."""
    import onnx

    model = onnx.ModelProto.FromString(content)
    graph = model.graph
    node, tensor = rng.choice(graph.node), rng.choice(graph.initializer)
    how = rng.choice(GRAPH_FAULTS)
    if how == "type":
        node.op_type = rng.choice(("Add", "If", "Loop", "Nonsense", "", "ConstantOfShape", "Reshape"))
    elif how == "domain":
        node.domain = rng.choice(("com.microsoft", "ai.onnx.ml", "車", "../x"))
    elif how == "input" and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice((node.output[0], "", "frames", "nobody"))
    elif how == "twice":
        graph.node.append(node)
    elif how == "gone":
        graph.node.remove(node)
    elif how == "attribute" and node.attribute:
        attribute = rng.choice(node.attribute)
        attribute.i, attribute.f = rng.choice((-1, 2**62, -(2**62))), rng.choice((math.nan, math.inf))
        for k in range(len(attribute.ints)):
            attribute.ints[k] = rng.choice((-1, 0, 2**31, 2**62, -(2**62)))
    elif how == "dims":
        tensor.dims[:] = rng.choice(([2**62], [-1], [2**31, 2**31], [0], [*tensor.dims, 2**40]))
    elif how == "kind":
        tensor.data_type = rng.choice((0, 1, 7, 8, 16, 99, -5))
    elif how == "raw":
        tensor.raw_data = rng.choice((b"", b"\xff" * len(tensor.raw_data), tensor.raw_data[:-1], bytes(9)))
    elif how == "external":
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.raw_data = b""
        where = rng.choice(("/etc/passwd", "../../../../etc/passwd", "nowhere", "s.contract.json", ""))
        tensor.external_data.add(key="location", value=where)
        tensor.external_data.add(key="length", value=rng.choice(("-1", "8", str(2**62), "x")))
    elif how == "loop":
        node.input[:] = node.output[:]
    elif how == "opset":
        model.opset_import[0].version = rng.choice((0, 1, 9999, -1))
    elif how == "output":
        rng.choice(graph.output).name = rng.choice(("", "x", node.output[0]))
    elif how == "shape":
        graph.input[0].type.tensor_type.shape.dim[0].dim_value = rng.choice((-1, 0, 2**62))
    elif how == "metadata":
        del model.metadata_props[:]
        model.metadata_props.add(key="bevdeploy.contract", value=rng.choice(("", "\x1b[2J", "0" * 64, "x" * 10**6)))
    elif how == "function" and model.functions:
        model.functions.append(model.functions[0])
    return f"{how} of {node.op_type} {node.name!r} or {tensor.name!r}", bytes(model.SerializeToString())
