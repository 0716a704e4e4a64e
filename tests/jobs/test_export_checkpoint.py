"""What the export job decides before it traces: names, parity cases, rigs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bevdeploy.geometry import CameraRig, surround_rig

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from bevdeploy.errors import GeometryError
from bevdeploy.jobs.export_checkpoint import (
    ExportOptions,
    default_output,
    moved_rig,
    parity_cases,
)
from bevdeploy.runtime.contract import contract_path


def test_two_checkpoints_never_share_a_contract_by_default() -> None:
    names = ["s.pth", "s.v1.pth", "s.v2.pth", "s v1.pth", "s"]
    outputs = [default_output(Path("folder") / name, "fp32") for name in names]
    assert outputs[0] == Path("folder/s.fp32.onnx")
    assert outputs[1] == Path("folder/s_v1.fp32.onnx")
    assert len({contract_path(path) for path in outputs[:4]}) == 4


def test_parity_is_checked_on_frames_noise_and_a_moved_rig(small_rig: CameraRig) -> None:
    frames, noise, moved = parity_cases(small_rig, ExportOptions())
    assert (noise.name, moved.name) == ("noise", "moved rig")
    assert frames.rig.digest() == noise.rig.digest() == small_rig.digest() != moved.rig.digest()
    height, width = small_rig.image_hw
    for case in (frames, noise, moved):
        assert len(case.frames) == len(small_rig.cameras)
        assert all(frame.shape == (height, width, 3) and frame.dtype == np.uint8 for frame in case.frames)
    # Normalised with ImageNet's figures, noise has a variance of about 1: clipping to 0..255 takes a little.
    assert np.stack(noise.frames).std() == pytest.approx(56, abs=3)
    assert not np.array_equal(frames.frames[0], noise.frames[0])


def test_baked_geometry_has_no_second_rig(small_rig: CameraRig) -> None:
    cases = parity_cases(small_rig, ExportOptions(geometry_mode="baked"))
    assert {case.rig.digest() for case in cases} == {small_rig.digest()}


def test_without_a_rig_the_default_one_is_taken() -> None:
    assert parity_cases(None, ExportOptions())[0].rig.digest() == surround_rig().digest()


def test_a_baked_rig_must_have_taken_the_frames(nuscenes_root: Path, real_rigs: tuple[CameraRig, ...]) -> None:
    pytest.importorskip("nuscenes")
    options = ExportOptions(geometry_mode="baked", data=nuscenes_root)
    with pytest.raises(GeometryError, match="leave out --data"):
        parity_cases(surround_rig(), options)
    cases = parity_cases(real_rigs[0], options)
    assert {case.rig.digest() for case in cases} == {real_rigs[0].digest()}
    assert len(cases) >= 2


def test_a_knock_is_half_a_degree_and_two_centimetres(small_rig: CameraRig) -> None:
    for before, after in zip(small_rig.cameras, moved_rig(small_rig).cameras, strict=True):
        turn = before.ego_from_cam[:3, :3].T @ after.ego_from_cam[:3, :3]
        angle = np.rad2deg(np.arccos((np.trace(turn) - 1) / 2))
        assert angle == pytest.approx(0.5, abs=1e-6)
        assert np.linalg.norm(after.ego_from_cam[:3, 3] - before.ego_from_cam[:3, 3]) == pytest.approx(0.02)
        assert (after.name, after.width_px) == (before.name, before.width_px)
