"""`bevdeploy export`: the files, the report, both io modes, both geometries, rigs of one and of seven cameras."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.geometry import Camera, CameraRig, surround_rig
from bevdeploy.runtime import OnnxRunner, Pipeline
from bevdeploy.runtime.contract import load_contract

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("torch")
pytest.importorskip("onnxscript")


def test_three_files_and_a_report_that_equals_them(exported: Path, snapshot: Any) -> None:
    folder = exported.parent
    names = {"rig.json", "report.json", "s.fp32.onnx", "s.contract.json", "s.parity.json"}
    assert set(snapshot(folder)) == names
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert Path(report["onnx"]) == exported
    assert report["onnx_bytes"] == exported.stat().st_size
    parity = json.loads((folder / "s.parity.json").read_text())
    assert report["parity"] == parity
    assert parity["passed"] is True
    assert {check["case"] for check in parity["checks"]} >= {"noise", "moved rig"}
    contract = load_contract(folder / "s.contract.json")
    assert (contract.io, contract.geometry_mode, contract.raw_hw) == ("frames", "runtime", (180, 320))
    assert contract.cameras == surround_rig().names


def test_a_second_export_gives_the_same_contract_as_the_file(exported: Path) -> None:
    runner = OnnxRunner.open(exported)
    assert runner.contract is not None
    assert runner.contract == load_contract(exported.parent / "s.contract.json")


def seven_cameras() -> CameraRig:
    """The surround rig and a camera on the roof that looks ahead; upright images."""
    six = surround_rig(90, 160)
    roof = replace(six.cameras[1], name="CAM_ROOF", ego_from_cam=six.cameras[1].ego_from_cam + _up(0.4))
    return CameraRig((*six.cameras, roof))


def _up(height_m: float) -> np.ndarray:
    shift = np.zeros((4, 4))
    shift[2, 3] = height_m
    return shift


def one_camera() -> CameraRig:
    """A square camera under a name of its own."""
    front = surround_rig(200, 200).cameras[1]
    return CameraRig((Camera("cam.0 vorn", 200, 200, front.K, front.ego_from_cam),))


CASES = {
    "tensor, runtime, seven upright cameras": ("tensor", "runtime", seven_cameras),
    "frames, baked, one square camera": ("frames", "baked", one_camera),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_export_and_run_of_other_rigs(
    tmp_path: Path, bevdeploy_cli: Any, checkpoint: Path, frames_in: Any, snapshot: Any, case: str
) -> None:
    io, geometry, make = CASES[case]
    rig = make()
    data = frames_in(tmp_path / "frames", rig, 1)
    onnx = tmp_path / "new" / "folder" / "n.onnx"
    done = bevdeploy_cli(
        "export", checkpoint, "-o", onnx, "--io", io, "--geometry", geometry, "--rig", data / "rig.json",
        "--data", data, "--json", tmp_path / "r.json",
    )  # fmt: skip
    assert done.code == 0, done.err + done.out
    assert sorted(snapshot(onnx.parent)) == ["n.contract.json", "n.onnx", "n.parity.json"]
    report = json.loads((tmp_path / "r.json").read_text())
    cases = {check["case"] for check in report["parity"]["checks"]}
    assert len(cases) == (2 if geometry == "baked" else 3)  # frames, noise and, unless baked, the moved rig

    contract = load_contract(onnx.with_name("n.contract.json"))
    assert (contract.io, contract.geometry_mode, contract.cameras) == (io, geometry, rig.names)
    assert contract.rig_digest == (rig.digest() if geometry == "baked" else None)
    names = [each.name for each in ort.InferenceSession(str(onnx), providers=["CPUExecutionProvider"]).get_inputs()]
    assert ("row_depth" in names) == (geometry == "runtime")
    assert ("images" in names) == (io == "tensor")

    done = bevdeploy_cli("run", data, "--engine", onnx, "-o", tmp_path / "out", "--score", "0")
    assert done.code == 0, done.err
    (line,) = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    assert len(json.loads(line)["boxes"]) == contract.tasks.detections
    Pipeline(OnnxRunner.open(onnx), contract, rig)

    other = tmp_path / "other.json"
    surround_rig(90, 160).save(other)
    before = snapshot(tmp_path)
    done = bevdeploy_cli("run", data, "--engine", onnx, "--rig", other, "-o", tmp_path / "out2")
    assert done.code == 1  # the folder, or the graph, has other cameras
    if geometry == "baked":
        camera = rig.cameras[0]
        knocked = CameraRig((replace(camera, ego_from_cam=camera.ego_from_cam + _up(0.1)),))
        knocked.save(other)
        before = snapshot(tmp_path)
        done = bevdeploy_cli("run", data, "--engine", onnx, "--rig", other, "-o", tmp_path / "out2")
        done.fails("ContractError", str(onnx), "another rig is baked", "bevdeploy export")
    assert snapshot(tmp_path) == before


def test_what_cannot_be_exported_says_so_before_the_work(
    tmp_path: Path, bevdeploy_cli: Any, checkpoint: Path, snapshot: Any
) -> None:
    """None of these traces: the whole test takes seconds."""
    (tmp_path / "file").write_text("mine")
    rig = surround_rig(64, 36)
    unlike = CameraRig((rig.cameras[0], replace(rig.cameras[1], width_px=32, height_px=32)))
    unlike.save(tmp_path / "unlike.json")
    before = snapshot(tmp_path)
    out = tmp_path / "out"
    for arguments, kind, words in (
        (["-o", tmp_path / "s.bin"], "OutputError", ["s.bin", ".onnx"]),
        (["-o", checkpoint], "OutputError", [str(checkpoint), ".onnx"]),
        (["-o", tmp_path], "OutputError", [str(tmp_path)]),
        (["-o", tmp_path / "file" / "s.onnx"], "OutputError", ["is not a folder", "write elsewhere"]),
        (["-o", out / "s.onnx", "-r", "tinybev_r18"], "RecipeError", ["tinybev_r18", "leave out --recipe"]),
        (["-o", out / "s.onnx", "-r", "tinybev_r18_smal"], "RecipeError", ["did you mean tinybev_r18_small?"]),
        (["-o", out / "s.onnx", "-r", tmp_path / "no.toml"], "RecipeError", ["no.toml"]),
        (["-o", out / "s.onnx", "-r", tmp_path / "file"], "RecipeError", [str(tmp_path / "file"), "TOML"]),
        (["-o", out / "s.onnx", "--rig", tmp_path / "no.json"], "GeometryError", ["no.json"]),
        (["-o", out / "s.onnx", "--rig", checkpoint], "GeometryError", [str(checkpoint)]),
        (["-o", out / "s.onnx", "--data", tmp_path / "none"], "FrameSourceError", [str(tmp_path / "none")]),
        (["-o", out / "s.onnx", "--rig", tmp_path / "unlike.json"], "GeometryError", ["CAM_FRONT 32x32"]),
        (["-o", out / "s.onnx", "--rig", tmp_path / "unlike.json", "--io", "tensor"], "GeometryError", ["32x32"]),
    ):  # fmt: skip
        bevdeploy_cli("export", checkpoint, *arguments).fails(kind, *words)
        assert snapshot(tmp_path) == before
        assert not out.exists()


def test_wrong_values_of_options_are_usage(bevdeploy_cli: Any, checkpoint: Path) -> None:
    for option, value in (
        ("--table-headroom", "0.5"),
        ("--table-headroom", "9"),
        ("--io", "both"),
        ("--geometry", "x"),
    ):
        done = bevdeploy_cli("export", checkpoint, option, value)
        assert done.code == 2
        assert option in done.err
    assert len(list(checkpoint.parent.iterdir())) == 1


def test_a_recipe_with_misspelt_keys_names_them_all(tmp_path: Path, bevdeploy_cli: Any, checkpoint: Path) -> None:
    from bevdeploy.paths import data_dir

    text = (data_dir("export") / "tinybev_r18_small.toml").read_text()
    recipe = tmp_path / "mine.toml"
    recipe.write_text(text.replace("table_headroom", "table_hedroom").replace("boxes", "boxs"))
    done = bevdeploy_cli("export", checkpoint, "-r", recipe, "-o", tmp_path / "s.onnx")
    done.fails("RecipeError", str(recipe), "did you mean table_headroom?", "did you mean boxes?")
    assert list(tmp_path.iterdir()) == [recipe]
