"""kill -9 at any moment of `export` and `build`: the old files or the new ones, or a set that the loader refuses.

A `.part` file may stay behind after kill -9, hidden, under a name that no later run takes; a later run neither
reads nor minds it.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import bevdeploy
from bevdeploy.errors import ContractError, EngineError
from bevdeploy.geometry import CameraRig
from bevdeploy.runtime.contract import contract_path, load_contract
from bevdeploy.runtime.manifest import check_manifest, load_manifest, manifest_path

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytest.importorskip("torch")

ROOT = Path(bevdeploy.__file__).resolve().parents[1]
HERE = Path(__file__).resolve().parent
EXPORT_MOMENTS = 6
BUILD_MOMENTS = 4
COMMAND_S = 300


def environment() -> dict[str, str]:
    """For processes of this checkout; one thread, so that two runs take the same time."""
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", "OMP_NUM_THREADS": "1"}


def killed_at(command: list[str], moment_s: float, folder: Path, at_part: bool = False) -> float:
    """Seconds after which a command got SIGKILL: at a moment, or as soon as it has begun to write a file."""
    process = subprocess.Popen(
        command, env=environment(), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    before = set(folder.glob(".*.part"))
    start = time.monotonic()
    while process.poll() is None and time.monotonic() - start < (COMMAND_S if at_part else moment_s):
        if at_part and set(folder.glob(".*.part")) - before:
            break
        time.sleep(0.001 if at_part else 0.01)
    process.send_signal(signal.SIGKILL)
    lived_s = time.monotonic() - start
    _, shown = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL), shown
    assert "Traceback" not in shown
    return lived_s


def finished(command: list[str], folder: Path) -> float:
    """Seconds of a command that must succeed."""
    start = time.monotonic()
    done = subprocess.run(command, env=environment(), cwd=folder, capture_output=True, text=True, timeout=COMMAND_S)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - start


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that is not a hidden leftover."""
    files = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def export_outcome(graph: Path, rig: CameraRig, old: dict[str, str], new: dict[str, str] | None = None) -> str:
    """Which set lies there; whatever is neither the old nor a new one must be refused by name."""
    from bevdeploy.runtime.onnx_runner import OnnxRunner
    from bevdeploy.runtime.pipeline import Pipeline

    assert set(digests(graph.parent)) <= set(old) | set(new or {})
    try:
        runner = OnnxRunner.open(graph, threads=1)
    except (ContractError, EngineError) as error:
        assert "export" in str(error) and graph.name.split(".")[0] in str(error)
        assert isinstance(error, ContractError), "a torn ONNX file"
        return "refused"
    assert runner.contract is not None
    Pipeline(runner, runner.contract, rig)
    now = digests(graph.parent)
    parity = now.get("s.parity.json")
    for name, wanted in (("old", old), ("new", new)):
        if wanted is not None and now[graph.name] == wanted[graph.name]:
            assert now["s.contract.json"] == wanted["s.contract.json"]
            assert parity in (None, wanted["s.parity.json"]), "the parity report of other weights"
            return name if parity else f"{name} without its parity report"
    assert new is None, "neither the old graph nor the new one"
    json.loads((graph.parent / "s.parity.json").read_text())
    return "new"


@pytest.mark.slow
def test_export_killed_at_random_moments(
    exported: Any, checkpoints: tuple[Path, Path], rig: CameraRig, tmp_path: Path
) -> None:
    """The new export has other weights and larger tables than the old one: their graphs and contracts differ."""
    rig.save(tmp_path / "rig.json")
    out = tmp_path / "out"
    shutil.copytree(exported.onnx.parent, out)
    graph, old = out / "s.onnx", digests(out)
    assert set(old) == {"s.onnx", "s.contract.json", "s.parity.json"}
    command = [
        sys.executable, "-m", "bevdeploy", "export", str(checkpoints[1]), "--builder", "tiny_student:tiny",
        "--rig", str(tmp_path / "rig.json"), "-o", str(graph), "--table-headroom", "2.0",
    ]  # fmt: skip
    # as it begins to write, which is near its end and says how long it takes; then anywhere
    whole_s = killed_at(command, COMMAND_S, out, at_part=True)
    outcomes = Counter([export_outcome(graph, rig, old)])
    rng, moments = random.Random(5), EXPORT_MOMENTS - 1
    for k in range(moments):
        killed_at(command, whole_s * rng.uniform(k / moments, (k + 1) / moments), out)
        outcomes[export_outcome(graph, rig, old)] += 1
    left = sorted(out.glob(".*.part"))
    finished(command, out)
    assert export_outcome(graph, rig, old) == "new"
    assert digests(out)["s.onnx"] != old["s.onnx"]
    assert sorted(out.glob(".*.part")) == left, "the leftovers of before are ignored, none is added"
    print(f"\nexport: {whole_s:.1f} s, {dict(outcomes)}, {len(left)} .part left")


WRITER = """
import os, pathlib, signal, sys
import onnx
import bevdeploy.export.onnx_export as onnx_export
from bevdeploy.runtime.contract import contract_path, load_contract

class Report:  # the parity report of the new graph
    def document(self):
        return {"of": "the new graph"}

def written(target, calls):
    seen = 0
    def counted(real):
        def call(*arguments, **options):
            nonlocal seen
            if seen == calls:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1
            return real(*arguments, **options)
        return call
    for name in ("replace", "unlink", "chmod"):
        setattr(pathlib.Path, name, counted(getattr(pathlib.Path, name)))
    onnx_export.write_export(graph, Report(), target)

source = pathlib.Path(sys.argv[1])
model = onnx.load(source)
contract = load_contract(contract_path(source))
graph = onnx_export.StudentGraph(None, "fp32", contract, contract, model, model)
for calls, folder in enumerate(sys.argv[2:]):
    child = os.fork()
    if child == 0:
        written(pathlib.Path(folder, "s.onnx"), calls if len(sys.argv) > 3 else -1)
        os._exit(0)
    print(os.waitpid(child, 0)[1])
"""
"""Writes an export into each folder, in a process that kills itself before its n-th call that changes the n-th folder:
every moment, not a lucky one. A single folder is written to the end."""
MOMENTS = 20
"""More than a whole write has."""


@pytest.mark.slow
@pytest.mark.parametrize("contracts", ["another contract", "the same contract"])
def test_export_killed_between_its_files(exported: Any, rig: CameraRig, tmp_path: Path, contracts: str) -> None:
    from dataclasses import replace

    import onnx

    from bevdeploy.runtime.contract import CONTRACT_DIGEST_KEY

    # the new export: other weights, and with them a contract that is the old one's or not
    new_at, old_at = tmp_path / "new", tmp_path / "old"
    for folder in (new_at, old_at):
        folder.mkdir()
    shutil.copytree(exported.onnx.parent, old_at, dirs_exist_ok=True)
    model, contract = onnx.ModelProto(), exported.graph.contract
    model.CopyFrom(exported.graph.model)
    model.producer_name = "the new graph"
    if contracts == "another contract":
        contract = replace(contract, student="tinybev_r18_other")
        for entry in model.metadata_props:
            if entry.key == CONTRACT_DIGEST_KEY:
                entry.value = contract.digest()
    onnx.save(model, new_at / "s.onnx")
    contract.save(new_at / "s.contract.json")

    def written(*folders: Path) -> list[int]:
        """Wait statuses of a writer for each folder: 9 is SIGKILL."""
        command = [sys.executable, "-c", WRITER, str(new_at / "s.onnx"), *map(str, folders)]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=COMMAND_S)
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
        return [int(status) for status in done.stdout.split()]

    folders = [tmp_path / f"at{n}" for n in range(MOMENTS)]
    for folder in folders:
        shutil.copytree(old_at, folder)
    statuses = written(*folders)
    calls = statuses.count(signal.SIGKILL)
    assert calls >= 7 and statuses == [signal.SIGKILL] * calls + [0] * (MOMENTS - calls), statuses
    old, new = digests(old_at), digests(folders[-1])
    assert set(new) == set(old) and new["s.onnx"] != old["s.onnx"]
    outcomes = [export_outcome(folder / "s.onnx", rig, old, new) for folder in folders[: calls + 1]]
    assert outcomes[0] == "old" and outcomes[-1] == "new", outcomes
    assert ("refused" in outcomes) == (contracts == "another contract"), outcomes
    torn = folders[calls // 2]
    assert list(torn.glob(".*.part"))
    assert written(torn) == [0]
    assert export_outcome(torn / "s.onnx", rig, old, new) == "new"
    assert digests(torn) == new
    print(f"\n{contracts}: {outcomes}")


@pytest.mark.slow
def test_build_killed_at_random_moments(exported: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    graph = tmp_path / "s.onnx"
    shutil.copytree(exported.onnx.parent, tmp_path, dirs_exist_ok=True)
    plan = tmp_path / "s.rtx.fp32.plan"
    command = [sys.executable, "-m", "bevdeploy", "build", str(graph), "-t", "rtx"]
    whole_s = finished(command, tmp_path)
    before = hashlib.sha256(plan.read_bytes()).hexdigest()
    contract = load_contract(contract_path(plan))
    rng = random.Random(6)
    outcomes: Counter[str] = Counter()

    def state() -> str:
        """`old` or `new`, or `refused`: plan and manifest of two builds."""
        nonlocal before
        content = plan.read_bytes()
        now = hashlib.sha256(content).hexdigest()
        manifest = load_manifest(manifest_path(plan))
        try:
            check_manifest(
                manifest, plan, content, backend="tensorrt_rtx", library_version=manifest.library_version, sm=None,
                contract_digest=contract.digest(),
            )  # fmt: skip
        except EngineError as error:
            assert "bevdeploy build" in str(error) and now == before, str(error)
            return "refused"
        assert manifest.plan_sha256 == now
        was, before = before, now
        return "old" if now == was else "new"

    assert state() == "old"
    for k in range(BUILD_MOMENTS):
        moment_s = whole_s * rng.uniform(k / BUILD_MOMENTS, (k + 1) / BUILD_MOMENTS)
        killed_at(command, moment_s, tmp_path, at_part=k == BUILD_MOMENTS - 1)
        outcomes[state()] += 1
    left = sorted(tmp_path.glob(".*.part"))
    finished(command, tmp_path)
    assert state() in ("old", "new")
    assert sorted(tmp_path.glob(".*.part")) == left
    print(f"\nbuild: {whole_s:.1f} s, {dict(outcomes)}, {len(left)} .part left")


def test_a_plan_with_the_manifest_of_another_build_is_refused(tmp_path: Path) -> None:
    """The one mixed set that a kill between two renames can leave."""
    from bevdeploy.runtime.manifest import EngineManifest

    plan = tmp_path / "s.rtx.fp32.plan"
    plan.write_bytes(b"old")
    digest = hashlib.sha256(b"new").hexdigest()
    EngineManifest(
        plan.name, digest, "s.onnx", digest, digest, None, "rtx", "tensorrt_rtx", "1.7.1", None, (), "native", None,
        "fp32", (), "0.1.0",
    ).save(manifest_path(plan))  # fmt: skip
    manifest = load_manifest(manifest_path(plan))
    with pytest.raises(EngineError, match=r"s\.rtx\.fp32\.plan: .*(?s:.*)bevdeploy build"):
        check_manifest(manifest, plan, b"old", backend="tensorrt_rtx", library_version="1.7.1", sm=86)
    check_manifest(manifest, plan, b"new", backend="tensorrt_rtx", library_version="1.7.1", sm=86)
