"""One checkpoint and one export for all tests of the commands, and the command line as a function."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import bevdeploy
from bevdeploy import cli
from bevdeploy.geometry import CameraRig, surround_rig
from bevdeploy.geometry.frames import compose, rotation_from_quaternion

ROOT = Path(bevdeploy.__file__).resolve().parents[1]
STUDENT = "tinybev_r18_small"


@dataclass(frozen=True)
class Outcome:
    """What a user sees of a command."""

    code: int
    out: str
    err: str

    def fails(self, kind: str, *words: str) -> None:
        """One error block on stderr with these words in it, exit code 1, no traceback."""
        assert self.code == 1, self.err
        assert self.err.startswith(f"{kind}: "), self.err
        assert self.err.count(f"{kind}: ") == 1
        assert "Traceback" not in self.err
        assert "Error" not in self.out
        for word in words:
            assert word in self.err, f"{word!r} is not in {self.err!r}"


Cli = Callable[..., Outcome]
Snapshot = dict[str, bytes]


@pytest.fixture(scope="session")
def bevdeploy_cli() -> Cli:
    """`bevdeploy ARGUMENTS` through the real `main`, in this process."""

    def run(*arguments: str | Path) -> Outcome:
        out, err = io.StringIO(), io.StringIO()
        before = sys.argv
        sys.argv = ["bevdeploy", *map(str, arguments)]
        try:
            with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as done:
                cli.main()
        finally:
            sys.argv = before
        assert isinstance(done.value.code, int)
        return Outcome(done.value.code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def subprocess_environment() -> dict[str, str]:
    """For real processes of this checkout, whatever is installed."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="session")
def snapshot() -> Callable[[Path], Snapshot]:
    """Every file below a folder with its bytes; a `.part` file is one of them."""

    def content(folder: Path) -> Snapshot:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    return content


@pytest.fixture(scope="session")
def rig_320() -> CameraRig:
    """Six cameras of 320 x 180 px."""
    return surround_rig(320, 180)


@pytest.fixture(scope="session")
def turned_rig() -> Callable[[CameraRig, float], CameraRig]:
    """A rig with every camera turned about its optical axis."""

    def turned(rig: CameraRig, angle_deg: float) -> CameraRig:
        half = np.deg2rad(angle_deg) / 2
        turn = compose(rotation_from_quaternion([np.cos(half), 0, 0, np.sin(half)]), [0, 0, 0])
        return CameraRig(tuple(replace(each, ego_from_cam=each.ego_from_cam @ turn) for each in rig.cameras))

    return turned


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, bevdeploy_cli: Cli) -> Path:
    """An untrained small student; read only."""
    pytest.importorskip("torch")
    path = tmp_path_factory.mktemp("checkpoint") / "s.pth"
    done = bevdeploy_cli("init", STUDENT, "-o", path)
    assert done.code == 0, done.err
    return path


@pytest.fixture(scope="session")
def exported(
    tmp_path_factory: pytest.TempPathFactory, bevdeploy_cli: Cli, checkpoint: Path, rig_320: CameraRig
) -> Path:
    """Its ONNX file for six cameras of 320 x 180 px, contract, parity and `report.json` beside it; read only.

    The folder's name has a space and letters beyond ASCII in it, so that every test is one of such paths.
    """
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("export") / "Füße und 車"
    rig_320.save(folder / "rig.json")
    onnx = folder / "s.fp32.onnx"
    done = bevdeploy_cli(
        "export", checkpoint, "-o", onnx, "--rig", folder / "rig.json", "--json", folder / "report.json"
    )
    assert done.code == 0, done.err
    return onnx


FramesIn = Callable[..., Path]


@pytest.fixture(scope="session")
def frames_in() -> FramesIn:
    """Write frames of the made-up street into a folder with their rig file: two sets by default."""
    image = pytest.importorskip("PIL.Image")
    from bevdeploy.data import synthetic_frame_sets

    def written(folder: Path, rig: CameraRig, count: int = 2, flat: bool = False) -> Path:
        rig.save(folder / "rig.json")
        for frame_set in synthetic_frame_sets(rig, count):
            for camera, frame in zip(rig.cameras, frame_set.frames, strict=True):
                name = f"{camera.name}.png" if flat else f"{camera.name}/{frame_set.token}.jpg"
                (folder / name).parent.mkdir(exist_ok=True)
                image.fromarray(frame).save(folder / name)
        return folder

    return written


@pytest.fixture(scope="session")
def frames(tmp_path_factory: pytest.TempPathFactory, frames_in: FramesIn, rig_320: CameraRig) -> Path:
    """A folder of two frame sets of six cameras; read only."""
    return frames_in(tmp_path_factory.mktemp("frames") / "drive 1", rig_320)
