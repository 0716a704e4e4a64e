"""Ten thousand frames: the same outputs bit for bit, and no memory or file descriptor more than at the start."""

from __future__ import annotations

import hashlib
import os
import statistics
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.geometry import CameraRig
from bevdeploy.geometry.frames import compose, rotation_from_quaternion
from bevdeploy.runtime import BevResult, Pipeline

FRAMES = 10_000
INPUTS = 7
"""Different sets of frames; prime to RIG_FRAMES, so that every set meets both rigs."""
RIG_FRAMES = 500
"""Frames between two recalibrations."""
SAMPLE_FRAMES = 20
GROWTH_MIB = 4.0
"""Keeping one array of 1 KiB a frame, of the 30 KiB that a frame yields, would show as 8 MiB. Allocators take and give
back by the MiB, which is the noise."""
STATM_RESIDENT = 1


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[STATM_RESIDENT])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def digest(result: BevResult) -> str:
    """SHA-256 of all arrays of a result."""
    state = hashlib.sha256()
    for field in fields(result):
        if field.name != "tasks":
            state.update(np.ascontiguousarray(getattr(result, field.name)).tobytes())
    return state.hexdigest()


def turned(rig: CameraRig, angle_deg: float) -> CameraRig:
    """Every camera turned about its vertical axis."""
    half = np.deg2rad(angle_deg) / 2
    turn = compose(rotation_from_quaternion([np.cos(half), 0, np.sin(half), 0]), [0, 0, 0])
    return CameraRig(tuple(replace(each, ego_from_cam=each.ego_from_cam @ turn) for each in rig.cameras))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc: resident memory is read from Linux's")
def test_ten_thousand_frames(exported: Any, rig: CameraRig) -> None:
    """A real graph, its tables swapped between two rigs every 500 frames."""
    from bevdeploy.runtime.onnx_runner import OnnxRunner

    runner = OnnxRunner.open(exported.onnx, threads=1)
    assert runner.contract is not None
    rigs = (rig, turned(rig, 1.0))
    pipeline = Pipeline(runner, runner.contract, rigs[0])
    noise = np.random.default_rng(9).integers(0, 256, (INPUTS, 6, 64, 128, 3), dtype=np.uint8)
    sets = [tuple(each) for each in noise]
    want: dict[tuple[int, int], str] = {}
    memory_mib, open_files = [], []
    for frame in range(FRAMES):
        which = frame // RIG_FRAMES % 2
        if frame % RIG_FRAMES == 0:
            pipeline.recalibrate(rigs[which])
        result = pipeline.infer(sets[frame % INPUTS])
        got = digest(result)
        assert got == want.setdefault((which, frame % INPUTS), got), (
            f"frame {frame} differs from the first of its input"
        )
        if frame % SAMPLE_FRAMES == 0:
            memory_mib.append(resident_mib())
            open_files.append(descriptors())
    pipeline.recalibrate(rigs[0])
    assert digest(pipeline.infer(sets[0])) == want[0, 0]
    assert len(want) == 2 * INPUTS and len(set(want.values())) == 2 * INPUTS, "outputs depend on frames and on rig"

    tenth = len(memory_mib) // 10
    early, late = statistics.median(memory_mib[tenth : 2 * tenth]), statistics.median(memory_mib[-tenth:])
    print(f"\n{early:.1f} to {late:.1f} MiB, {open_files[tenth]} to {open_files[-1]} files")
    assert late - early < GROWTH_MIB, f"{early:.1f} MiB grew to {late:.1f} MiB over {FRAMES} frames"
    assert max(open_files[tenth:]) == min(open_files[tenth:]), (
        f"open files went from {open_files[tenth]} to {open_files[-1]}"
    )
