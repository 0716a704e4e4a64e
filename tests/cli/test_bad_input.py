"""Bad input and bad luck: one clear error, no traceback, nothing half-written, earlier files as they were."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.geometry import CameraRig, surround_rig

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
image = pytest.importorskip("PIL.Image")

STUDENT = "tinybev_r18_small"
FORMAT = "bevdeploy.checkpoint/1"


class Code:
    """What a pickle runs when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.marker}'",)


def head(path: Path, size: int) -> bytes:
    return path.read_bytes()[:size]


# checkpoints ----------------------------------------------------------------------------------------------------------

CHECKPOINTS: dict[str, tuple[Callable[[Path, Path], Any], list[str]]] = {
    "pickle with code": (lambda path, good: path.write_bytes(pickle.dumps(Code(path.parent / "ran"))), ["refused"]),
    "torch file with code": (
        lambda path, good: torch.save({"format": FORMAT, "weights": Code(path.parent / "ran")}, path),
        ["refused"],
    ),
    "half of one": (lambda path, good: path.write_bytes(head(good, good.stat().st_size // 2)), ["truncated"]),
    "all but its end": (lambda path, good: path.write_bytes(head(good, good.stat().st_size - 9)), ["truncated"]),
    "random bytes": (lambda path, good: path.write_bytes(random.Random(1).randbytes(5000)), ["damaged"]),
    "text": (lambda path, good: path.write_text("hello"), []),
    "empty": (lambda path, good: path.write_bytes(b""), []),
    "a tensor": (lambda path, good: torch.save(torch.zeros(3), path), ["Tensor"]),
    "another's state dict": (lambda path, good: torch.save({"w": torch.zeros(3)}, path), ["bevdeploy init"]),
    "unknown student": (
        lambda path, good: torch.save({"format": FORMAT, "student": "x9", "arguments": {}, "weights": {}}, path),
        ["x9", STUDENT],
    ),
    "a folder": (lambda path, good: path.mkdir(), []),
    "nothing": (lambda path, good: None, ["no such file", "bevdeploy init"]),
}


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_checkpoints(
    tmp_path: Path, bevdeploy_cli: Any, checkpoint: Path, frames: Path, snapshot: Any, case: str
) -> None:
    make, words = CHECKPOINTS[case]
    bad = tmp_path / "bad.pth"
    make(bad, checkpoint)
    before = snapshot(tmp_path)
    out = tmp_path / "out"
    bevdeploy_cli("export", bad, "-o", out / "s.onnx").fails("CheckpointError", str(bad), *words)
    bevdeploy_cli("run", frames, "--engine", bad, "-o", out).fails("CheckpointError", str(bad), *words)
    bevdeploy_cli("bench", "--engine", bad).fails("CheckpointError", str(bad), *words)
    assert snapshot(tmp_path) == before
    assert not out.exists()
    assert not (tmp_path / "ran").exists()


# engines --------------------------------------------------------------------------------------------------------------


def foreign_graph(metadata: dict[str, str]) -> bytes:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "foreign",
        [helper.make_tensor_value_info("x", kind, [1, 3])],
        [helper.make_tensor_value_info("y", kind, [1, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata)
    return bytes(model.SerializeToString())


def damaged(change: Callable[[dict[str, Any]], Any]) -> Callable[[str], str]:
    def contract(text: str) -> str:
        document = json.loads(text)
        change(document)
        return json.dumps(document)

    return contract


def same(text: str) -> str:
    return text


# name: (ONNX bytes from the good file's, contract text from the good one's or None, kind of error, words in it)
ENGINES: dict[str, tuple[Callable[[bytes], bytes], Callable[[str], str] | None, str, list[str]]] = {
    "half": (lambda good: good[: len(good) // 2], same, "EngineError", ["e.onnx"]),
    "all but its end": (lambda good: good[:-9], same, "EngineError", ["e.onnx"]),
    "random": (lambda good: random.Random(2).randbytes(9999), same, "EngineError", ["e.onnx"]),
    "empty": (lambda good: b"", same, "EngineError", ["e.onnx"]),
    "text": (lambda good: b"<html>404</html>", same, "EngineError", ["e.onnx"]),
    "foreign": (lambda good: foreign_graph({}), same, "EngineError", ["e.onnx", "bevdeploy export"]),
    "another export's contract": (
        lambda good: foreign_graph({"bevdeploy.contract": "0" * 64}),
        same,
        "ContractError",
        ["e.onnx", "e.contract.json", "export again"],
    ),
    "no contract": (lambda good: good, None, "ContractError", ["e.contract.json", "bevdeploy export"]),
    "contract is text": (lambda good: good, lambda text: "not json", "ContractError", ["e.contract.json"]),
    "half a contract": (lambda good: good, lambda text: text[: len(text) // 2], "ContractError", ["e.contract.json"]),
    "deep contract": (lambda good: good, lambda text: "[" * 100_000, "ContractError", ["e.contract.json"]),
    "contract without cameras": (
        lambda good: good, damaged(lambda document: document.pop("cameras")), "ContractError", ["cameras"],
    ),
    "contract with swapped cameras": (
        lambda good: good, damaged(lambda document: document["cameras"].reverse()), "ContractError", ["export again"],
    ),
    "contract with an unknown key": (
        lambda good: good, damaged(lambda document: document.update(more=1)), "ContractError", ["more"],
    ),
    "contract with an unknown type": (
        lambda good: good, damaged(lambda document: document["inputs"][0].update(dtype="bogus")), "ContractError",
        ["e.contract.json", "export again"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ENGINES)
def test_engines(tmp_path: Path, bevdeploy_cli: Any, exported: Path, frames: Path, snapshot: Any, case: str) -> None:
    graph, contract, kind, words = ENGINES[case]
    engine = tmp_path / "e.onnx"
    engine.write_bytes(graph(exported.read_bytes()))
    if contract is not None:
        text = contract((exported.parent / "s.contract.json").read_text())
        (tmp_path / "e.contract.json").write_text(text)
    before = snapshot(tmp_path)
    bevdeploy_cli("run", frames, "--engine", engine, "-o", tmp_path / "out").fails(kind, *words)
    bevdeploy_cli("bench", "--engine", engine, "--json", tmp_path / "bench.json").fails(kind, *words)
    assert snapshot(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_engines_of_no_known_kind(tmp_path: Path, bevdeploy_cli: Any, frames: Path) -> None:
    (tmp_path / "x.engine").write_text("?")
    for name in ("x.onnx", "x.plan", "x.engine", "x"):
        engine = tmp_path / name
        bevdeploy_cli("run", frames, "--engine", engine, "-o", tmp_path / "out").fails("EngineError", str(engine))
        bevdeploy_cli("bench", "--engine", engine).fails("EngineError", str(engine))
    assert [path.name for path in tmp_path.iterdir()] == ["x.engine"]


# rigs -----------------------------------------------------------------------------------------------------------------


def camera_with(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["cameras"][2].update(values)


def at(key: str, row: int, column: int, value: float) -> Callable[[dict[str, Any]], Any]:
    def change(document: dict[str, Any]) -> None:
        document["cameras"][2][key][row][column] = value

    return change


RIGS: dict[str, tuple[Callable[[dict[str, Any]], Any], list[str]]] = {
    "NaN in K": (at("K", 0, 0, float("nan")), ["CAM_FRONT_RIGHT", "finite"]),
    "infinity in K": (at("K", 0, 2, float("inf")), ["CAM_FRONT_RIGHT", "finite"]),
    "NaN in the position": (at("ego_from_cam", 0, 3, float("nan")), ["CAM_FRONT_RIGHT", "finite"]),
    "negative focal length": (at("K", 1, 1, -5.0), ["CAM_FRONT_RIGHT", "focal"]),
    "no rotation": (at("ego_from_cam", 0, 0, 3.0), ["CAM_FRONT_RIGHT", "rotation"]),
    "no camera": (lambda document: document.update(cameras=[]), ["without cameras"]),
    "two of a name": (lambda document: document["cameras"][1].update(name="CAM_BACK"), ["CAM_BACK"]),
    "no width": (camera_with(width_px=0), ["CAM_FRONT_RIGHT"]),
    "text for numbers": (camera_with(K=[["a"]]), ["CAM_FRONT_RIGHT"]),
    "another format": (lambda document: document.update(format="rig/9"), ["docs/rig.md"]),
}


@pytest.mark.parametrize("case", RIGS)
def test_rig_files(
    tmp_path: Path, bevdeploy_cli: Any, checkpoint: Path, exported: Path, frames: Path, rig_320: CameraRig, case: str
) -> None:
    change, words = RIGS[case]
    path = tmp_path / "rig.json"
    rig_320.save(path)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    before = path.read_bytes()
    for arguments in (
        ("run", frames, "--engine", exported, "-o", tmp_path / "out"),
        ("export", checkpoint, "-o", tmp_path / "s.onnx"),
        ("bench", "--engine", exported),
    ):
        bevdeploy_cli(*arguments, "--rig", path).fails("GeometryError", str(path), *words)
    assert [each.name for each in tmp_path.iterdir()] == ["rig.json"]
    assert path.read_bytes() == before


def test_a_deep_rig_file(tmp_path: Path, bevdeploy_cli: Any, exported: Path, frames: Path) -> None:
    path = tmp_path / "rig.json"
    path.write_text('{"format": "bevdeploy.rig/1", "cameras": ' + "[" * 100_000)
    bevdeploy_cli("run", frames, "--engine", exported, "--rig", path, "-o", tmp_path / "out").fails(
        "GeometryError", str(path), "docs/rig.md"
    )


def test_rigs_that_do_not_fit_the_graph(
    tmp_path: Path, bevdeploy_cli: Any, exported: Path, frames: Path, rig_320: CameraRig, turned_rig: Any
) -> None:
    path, out = tmp_path / "rig.json", tmp_path / "out"
    for rig, folder, kind, words in (
        (turned_rig(rig_320, 20.0), frames, "TableOverflowError", ["--table-headroom", "bevdeploy export --rig"]),
        (surround_rig(640, 360), frames, "ContractError", ["320 x 180", "640 x 360", "--rig"]),
        (CameraRig(rig_320.cameras[:5]), frames, "ContractError", ["CAM_BACK_RIGHT"]),
        (CameraRig(rig_320.cameras[::-1]), frames, "ContractError", ["in this order"]),
    ):
        rig.save(path)
        done = bevdeploy_cli("run", folder, "--engine", exported, "--rig", path, "-o", out)
        done.fails(kind, str(exported), *words)
        assert not out.exists()


# frames ---------------------------------------------------------------------------------------------------------------


def last_of(folder: Path, camera: str) -> Path:
    return sorted((folder / camera).iterdir())[-1]


def resized(path: Path) -> None:
    with image.open(path) as picture:
        smaller = picture.resize((100, 50))
    smaller.save(path)


# name: (what happens to a copy of the folder, words of the error, whether the first frame set runs before it)
FRAMES: dict[str, tuple[Callable[[Path], Any], list[str], bool]] = {
    "another size": (lambda f: resized(last_of(f, "CAM_BACK")), ["100 x 50", "320 x 180", "CAM_BACK", "--rig"], True),
    "truncated": (
        lambda f: last_of(f, "CAM_BACK").write_bytes(head(last_of(f, "CAM_BACK"), 2000)), ["CAM_BACK", "again"], True,
    ),
    "no image": (lambda f: last_of(f, "CAM_BACK").write_text("hello"), ["CAM_BACK"], True),
    "no folder of a camera": (lambda f: shutil.rmtree(f / "CAM_BACK"), ["CAM_BACK"], False),
    "one frame missing": (lambda f: last_of(f, "CAM_FRONT").unlink(), ["CAM_FRONT", "synthetic-0-0001"], False),
    "no rig file": (lambda f: (f / "rig.json").unlink(), ["rig.json", "--rig"], False),
    "empty": (lambda f: [shutil.rmtree(f), f.mkdir()], ["rig.json"], False),
    "none": (lambda f: shutil.rmtree(f), ["no such folder"], False),
    "a file": (lambda f: [shutil.rmtree(f), f.write_text("x")], ["not a folder"], False),
}  # fmt: skip


@pytest.mark.parametrize("case", FRAMES)
def test_frames(tmp_path: Path, bevdeploy_cli: Any, exported: Path, frames: Path, snapshot: Any, case: str) -> None:
    change, words, starts = FRAMES[case]
    folder, out = tmp_path / "drive 1", tmp_path / "out"
    shutil.copytree(frames, folder)
    change(folder)
    out.mkdir()
    (out / "index.html").write_text("an earlier page")
    (out / "results.jsonl").write_text('{"token": "earlier"}\n')
    before = snapshot(out)
    done = bevdeploy_cli("run", folder, "--engine", exported, "-o", out, "--json", tmp_path / "r.json")
    done.fails("FrameSourceError", str(folder), *words)
    assert not (tmp_path / "r.json").exists()
    after = snapshot(out)
    if not starts:
        assert after == before
        return
    # What ran before the damaged frame stands, whole: its picture and its line. There is no page of half a run.
    assert set(after) == {"index.html", "results.jsonl", "synthetic-0-0000.png"}
    assert after["index.html"] == before["index.html"]
    assert [json.loads(line)["token"] for line in after["results.jsonl"].splitlines()] == ["synthetic-0-0000"]
    with image.open(out / "synthetic-0-0000.png") as picture:
        picture.load()


# places that cannot be written ----------------------------------------------------------------------------------------


def test_folders_that_are_none(
    tmp_path: Path, bevdeploy_cli: Any, checkpoint: Path, exported: Path, frames: Path, snapshot: Any
) -> None:
    (tmp_path / "file").write_text("mine")
    before = snapshot(tmp_path)
    for place in (tmp_path / "file", tmp_path / "file" / "deeper"):
        done = bevdeploy_cli("run", frames, "--engine", exported, "-o", place)
        done.fails("OutputError", str(place), "write elsewhere")
        bevdeploy_cli("init", STUDENT, "-o", place / "s.pth").fails("OutputError", str(place), "not a folder")
    bevdeploy_cli("init", STUDENT, "-o", tmp_path).fails("OutputError", str(tmp_path), "it is a folder")
    assert snapshot(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folders_of_others(tmp_path: Path, bevdeploy_cli: Any, exported: Path, frames: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    bevdeploy_cli("init", STUDENT, "-o", closed / "s.pth").fails("OutputError", str(closed), "you may not write")
    bevdeploy_cli("run", frames, "--engine", exported, "-o", closed / "o").fails("OutputError", str(closed))


def test_a_kernel_that_refuses(bevdeploy_cli: Any, exported: Path, frames: Path) -> None:
    """Where even root cannot write, and nothing tells so beforehand."""
    if not Path("/proc/self").exists():
        pytest.skip("no /proc on this system")
    done = bevdeploy_cli("run", frames, "--engine", exported, "-o", "/proc/bevdeploy-out", "--no-pictures")
    done.fails("OutputError", "/proc/bevdeploy-out/results.jsonl")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(
    small_disk: Path, bevdeploy_cli: Any, checkpoint: Path, exported: Path, frames: Path, snapshot: Any
) -> None:
    old = small_disk / "s.pth"
    old.write_bytes(b"earlier")
    done = bevdeploy_cli("init", STUDENT, "-o", old)
    done.fails("OutputError", str(old), "disk", "untouched")
    assert snapshot(small_disk) == {"s.pth": b"earlier"}
    out = small_disk / "run"
    (small_disk / "filler").write_bytes(bytes(1_200_000))
    done = bevdeploy_cli("run", frames, "--engine", exported, "-o", out)
    done.fails("OutputError", str(out))
    after = snapshot(small_disk)
    assert not [name for name in after if name.endswith(".part")]
    for name, content in after.items():
        if name.endswith(".png"):
            with image.open(small_disk / name) as picture:
                picture.load()
        if name.endswith(".jsonl"):
            assert all(json.loads(line) for line in content.splitlines())
    assert "run/index.html" not in after


def test_a_full_disk_for_the_export(small_disk: Path, exported: Path, snapshot: Any) -> None:
    """Graph, contract and report: all three or none."""
    from bevdeploy.errors import OutputError
    from bevdeploy.export import StudentGraph, write_export
    from bevdeploy.runtime.contract import load_contract
    from bevdeploy.runtime.parity import ParityReport

    contract = load_contract(exported.parent / "s.contract.json")
    model = onnx.load(str(exported))
    student: Any = None  # it is not written
    graph = StudentGraph(
        student=student, precision="fp32", contract=contract, reference=contract, model=model, opened=model
    )
    for name in ("s.onnx", "s.contract.json", "s.parity.json"):
        (small_disk / name).write_bytes(b"earlier")
    before = snapshot(small_disk)
    with pytest.raises(OutputError, match=r"s\.onnx.*No space left.*untouched"):
        write_export(graph, ParityReport("s.onnx", "PyTorch", ()), small_disk / "s.onnx")
    assert snapshot(small_disk) == before


def test_a_limit_on_file_sizes(tmp_path: Path, subprocess_environment: dict[str, str]) -> None:
    """What stands for a full disk without root: the system refuses to let a file grow."""
    resource = pytest.importorskip("resource")
    old = tmp_path / "s.pth"
    old.write_bytes(b"earlier")
    done = subprocess.run(
        [sys.executable, "-m", "bevdeploy", "init", STUDENT, "-o", str(old)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
        capture_output=True,
        text=True,
        env=subprocess_environment,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(f"OutputError: {old}: not written")
    assert "Traceback" not in done.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"s.pth": b"earlier"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_standard_output(exported: Path, frames: Path, tmp_path: Path, subprocess_environment: Any) -> None:
    """The files are there; only the words were lost, and the exit code says so."""
    command = [sys.executable, "-m", "bevdeploy", "run", str(frames), "--engine", str(exported), "--no-pictures"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*command, "-o", str(tmp_path)], stdout=full, stderr=subprocess.PIPE, text=True, env=subprocess_environment
        )
    assert done.returncode == 1
    assert "OutputError: standard output: the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 2


def test_a_terminal_without_unicode(
    tmp_path: Path, exported: Path, frames: Path, subprocess_environment: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "bevdeploy", "run", str(frames), "--engine", str(exported), "--no-pictures"]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "ö 車")],
        capture_output=True,
        env={**subprocess_environment, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert (tmp_path / "ö 車" / "results.jsonl").is_file()


# Ctrl-C ---------------------------------------------------------------------------------------------------------------


def interrupted(command: list[str], delay_s: float, environment: dict[str, str], cwd: Path) -> tuple[int, str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bevdeploy", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=cwd,
    )
    maps = Path(f"/proc/{process.pid}/maps")
    while process.poll() is None and "_multiarray_umath" not in maps.read_text():  # numpy: the command has begun
        time.sleep(0.02)
    time.sleep(delay_s)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


# Seconds after the command began: imports, then its phases, on a machine that may be twice as slow as thought.
DELAYS_S = {"init": (0.3, 2.5), "export": (1.0, 4.5, 10.5), "run": (0.5, 1.7)}


@pytest.mark.slow
@pytest.mark.parametrize("command", DELAYS_S)
def test_ctrl_c(
    tmp_path: Path,
    checkpoint: Path,
    exported: Path,
    frames: Path,
    snapshot: Any,
    subprocess_environment: dict[str, str],
    command: str,
) -> None:
    """Exit code 130, one line, no `.part`; earlier files are as they were."""
    earlier = {name: b"earlier" for name in ("s.pth", "s.onnx", "s.contract.json", "s.parity.json")}
    for name, content in earlier.items():
        (tmp_path / name).write_bytes(content)
    arguments = {
        "init": ["init", STUDENT, "-o", "s.pth"],
        "export": ["export", str(checkpoint), "-o", "s.onnx", "--rig", str(exported.parent / "rig.json")],
        "run": ["run", str(frames), "--engine", str(exported), "-o", "out"],
    }[command]
    caught = 0
    for delay_s in DELAYS_S[command]:
        code, errors = interrupted(arguments, delay_s, subprocess_environment, tmp_path)
        after = snapshot(tmp_path)
        assert not [name for name in after if name.endswith(".part")]
        if code == 0:  # it was done before the signal came
            break
        caught += 1
        # -2: CPython ends itself by the signal where Ctrl-C struck inside an exec(); a shell reports 130 for both.
        assert code in (130, -signal.SIGINT), errors
        assert errors.strip().endswith("interrupted, nothing half-written")
        assert "Traceback" not in errors
        assert {name: after[name] for name in earlier} == earlier
        for name in set(after) - set(earlier):
            assert command == "run", name
            if name.endswith(".png"):
                with image.open(tmp_path / name) as picture:
                    picture.load()
            if name.endswith(".jsonl"):
                assert all(json.loads(line) for line in after[name].splitlines())
    assert caught, "the command was never interrupted"


@pytest.mark.parametrize("call", [1, 2])
def test_ctrl_c_while_a_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """Before and after the bytes are on disk; the real signal can strike there too, but not in a test's time."""
    from bevdeploy import paths

    target = tmp_path / "s.json"
    target.write_text("earlier")
    name = {1: "fsync", 2: "umask"}[call]

    def strike(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(paths.os, name, strike)
    with pytest.raises(KeyboardInterrupt):
        paths.write_text(target, "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"s.json": "earlier"}


def test_a_missing_camera_of_the_pipeline_names_it(rig_320: CameraRig) -> None:
    """The library says it too, not only the folder's reader."""
    from bevdeploy.data.image_file import frame_from_image
    from bevdeploy.errors import FrameSourceError

    with pytest.raises(FrameSourceError, match="no such image for camera CAM_BACK"):
        frame_from_image(Path("nowhere.jpg"), replace(rig_320.cameras[4], K=np.eye(3)))
