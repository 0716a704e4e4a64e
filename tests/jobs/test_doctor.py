"""Machines described part by part: two Orins, a laptop, a bare box; this one, asked for real, at the end."""

from __future__ import annotations

import io
import json
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bevdeploy.engines.capabilities import EXTRAS, Capability
from bevdeploy.engines.doctor_report import DoctorReport
from bevdeploy.engines.gpu import Gpu
from bevdeploy.engines.installation import LIBRARIES, Probe
from bevdeploy.engines.parser_features import parser_features, version_numbers
from bevdeploy.jobs.doctor import doctor
from bevdeploy.report.doctor_card import doctor_card

EXPORTING = {"torch": "2.13.0+cpu", "onnx": "1.23.2", "onnxscript": "0.7.2", "onnxruntime": "1.31.1"}


def machine(
    root: Path,
    libraries: dict[str, str],
    tools: dict[str, str] | None = None,
    gpu: Gpu | None = None,
    files: dict[str, str] | None = None,
    answers: dict[str, str] | None = None,
) -> Probe:
    for name, text in (files or {}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)

    def tool(command: Sequence[str]) -> str | None:
        return next((text for key, text in (tools or {}).items() if key in " ".join(command)), None)

    def answer(code: str) -> str | None:
        return next((text for key, text in (answers or {}).items() if key in code), "fine")

    return Probe(
        version_of=libraries.get,
        tool=tool,
        python_answer=answer,
        root=root,
        gpu=lambda: gpu,
        python="3.10.12",
        architecture="aarch64",
        free_disk_gib=lambda: 12.5,
    )


def orin(root: Path, release: str, jetpack: str, tensorrt: str, libraries: dict[str, str]) -> Probe:
    return machine(
        root,
        libraries,
        {
            "nvpmodel": "NV Power Mode: MAXN\n0\n",
            "nvidia-jetpack": jetpack,
            "libnvinfer10": f"{tensorrt}-1+cuda12.6",
            "usr/local/cuda/bin/nvcc": "Cuda compilation tools, release 12.6, V12.6.68",
            "cmake": "cmake version 3.22.1\n",
        },
        Gpu("Orin", 87, "12.6"),
        {
            "etc/nv_tegra_release": release,
            "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
            "usr/include/aarch64-linux-gnu/NvInfer.h": "",
        },
        {"num_DLA_cores": "2\n"},
    )


def orin_62(root: Path, **libraries: str) -> Probe:
    release = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic"
    return orin(root, release, "6.2+b77", "10.3.0.30", {"numpy": "1.26.4", **libraries})


def orin_72(root: Path, **libraries: str) -> Probe:
    return orin(root, "# R39 (release), REVISION: 2.0, GCID: 1", "7.2-b1", "10.16.2.1", {"numpy": "2.4", **libraries})


def job(report: DoctorReport, name: str) -> Capability:
    (found,) = [each for each in report.jobs if each.job == name]
    return found


def holds(report: DoctorReport) -> dict[str, bool | None]:
    return {feature.name: feature.holds for feature in report.parser}


def shown(report: DoctorReport) -> str:
    console = Console(width=240, record=True, file=io.StringIO())
    console.print(doctor_card(report))
    return console.export_text()


def test_an_orin_with_jetpack_6_2(tmp_path: Path) -> None:
    report = doctor(orin_62(tmp_path, tensorrt="10.3.0", pycuda="2026.1", onnxruntime="1.20.0"))
    found = report.installation
    assert (found.jetson, found.l4t, found.sm, found.nvcc, found.system_tensorrt) == (
        True,
        "36.4.3",
        87,
        "12.6",
        "10.3.0.30",
    )
    assert job(report, "build a TensorRT plan").possible
    assert job(report, "run a TensorRT plan").possible
    assert job(report, "bench and run an ONNX file").possible
    assert not job(report, "build a TensorRT-RTX plan").possible
    export = job(report, "export")
    assert (export.possible, export.mend) == (
        False,
        "export on another machine and copy the ONNX file with its contract",
    )
    parser = holds(report)
    assert parser["model-local functions"] is True
    assert parser["a plugin goes before a local function of its name"] is False
    assert parser["the node's domain is the plugin's namespace"] is False
    assert "with TensorRT 10.3.0 expected" in report.dla
    card = shown(report)
    assert "6.2+b77; L4T 36.4.3" in card
    assert "MAXN" in card
    assert "ONNX parser of TensorRT 10.3.0" in card


def test_an_orin_with_jetpack_7_2(tmp_path: Path) -> None:
    report = doctor(orin_72(tmp_path, tensorrt="10.16.2"))
    assert report.installation.l4t == "39.2.0"
    run = job(report, "run a TensorRT plan")
    assert (run.possible, run.reason) == (False, "missing: pycuda")
    assert run.mend is not None and run.mend.startswith("pip install 'bevdeploy[pycuda]'")
    parser = holds(report)
    assert parser["plugins that override built-in operators"] is True
    assert parser["the node's domain is the plugin's namespace"] is True
    assert parser["GridSample in three dimensions"] is False
    assert "not expected" in report.dla


def test_tensorrt_of_the_system_that_this_python_does_not_see(tmp_path: Path) -> None:
    report = doctor(orin_62(tmp_path))
    build = job(report, "build a TensorRT plan")
    assert not build.possible
    assert "10.3.0.30 is on the system" in build.reason
    assert build.mend is not None and "--system-site-packages" in build.mend
    assert report.tensorrt == "10.3.0.30"


def test_a_deep_look_counts_dla_cores_and_sees_what_does_not_import(tmp_path: Path) -> None:
    probe = orin_62(tmp_path, tensorrt="10.3.0", pycuda="2026.1")
    probe = replace(
        probe,
        python_answer=lambda code: (
            "2\n" if "num_DLA" in code else "ImportError: libcuda.so.1: no\n" if "pycuda" in code else "fine\n"
        ),
    )
    report = doctor(probe, deep=True)
    assert report.dla == "2 cores, says TensorRT"
    assert report.installation.import_errors == {"pycuda": "ImportError: libcuda.so.1: no"}
    run = job(report, "run a TensorRT plan")
    assert (run.possible, run.reason) == (False, "pycuda does not import (ImportError: libcuda.so.1: no)")
    assert "ImportError: libcuda.so.1" in shown(report)


def test_a_laptop(tmp_path: Path) -> None:
    libraries = {**EXPORTING, "pillow": "13.0", "tensorrt_rtx_cu13": "1.7.1.116"}
    report = doctor(machine(tmp_path, libraries))
    assert {each.job for each in report.jobs if each.possible} == {
        "init",
        "export",
        "bench and run an ONNX file",
        "build a TensorRT-RTX plan",
    }
    assert job(report, "demo").mend == "pip install 'bevdeploy[media]'"
    assert job(report, "run on video files").mend == "pip install 'bevdeploy[video,media]'"
    assert job(report, "run on nuScenes").mend == "pip install 'bevdeploy[nuscenes,media]'"
    assert report.tensorrt is None
    assert set(holds(report).values()) == {None}
    assert "ONNX parser" not in shown(report)


def test_a_card_that_tensorrt_rtx_does_not_serve(tmp_path: Path) -> None:
    libraries = {"tensorrt_rtx": "1.7.1", "pycuda": "2026.1", "tensorrt": "10.13.3"}
    report = doctor(machine(tmp_path, libraries, gpu=Gpu("NVIDIA H200", 90, "13.0")))
    rtx = job(report, "run a TensorRT-RTX plan")
    assert (rtx.possible, rtx.mend) == (False, "use TensorRT on this card")
    assert job(report, "run a TensorRT plan").reason == "TensorRT 10.13.3 on NVIDIA H200, compute capability 90"
    card = doctor(machine(tmp_path, libraries, gpu=Gpu("NVIDIA RTX 4090", 89, "13.0")))
    assert job(card, "run a TensorRT-RTX plan").possible


def test_tensorrt_without_a_gpu_and_an_old_one(tmp_path: Path) -> None:
    without = job(doctor(machine(tmp_path, {"tensorrt": "10.13.3"})), "build a TensorRT plan")
    assert not without.possible and "no NVIDIA driver" in without.reason
    old = job(doctor(machine(tmp_path, {"tensorrt": "8.6.1"}, gpu=Gpu("T4", 75, "12.0"))), "build a TensorRT plan")
    assert (old.possible, old.reason) == (False, "TensorRT 8.6.1; 10.3 is the oldest supported")


def test_a_bare_box(tmp_path: Path) -> None:
    report = doctor(machine(tmp_path, {}), deep=True)
    assert not any(each.possible for each in report.jobs)
    assert all(each.mend for each in report.jobs)
    assert job(report, "export").mend == "pip install 'bevdeploy[export,cpu]'"
    assert job(report, "export").reason == "missing: torch, onnx, onnxscript, onnxruntime"
    assert "none, or no NVIDIA driver" in shown(report)
    json.dumps(report.document())


def test_both_onnx_runtimes_are_a_warning(tmp_path: Path) -> None:
    report = doctor(machine(tmp_path, {**EXPORTING, "onnxruntime-gpu": "1.31.1"}))
    both = job(report, "bench and run an ONNX file")
    assert both.possible and "overwrite each other" in both.reason and both.mend


def test_versions_compare_as_numbers() -> None:
    assert version_numbers("10.3.0.30-1+cuda12.5") == (10, 3, 0, 30)
    assert version_numbers("10.16.2") > version_numbers("10.7")
    assert version_numbers("unknown") == ()


@pytest.mark.parametrize("version", ["9.0", "10.3", "10.7", "10.10.1", "10.13", "10.15", "11.2.1", "11.4.1"])
def test_a_later_tensorrt_has_every_feature_of_an_earlier_one(version: str) -> None:
    rows = parser_features(version)
    for row in rows:
        assert row.holds is (row.since is not None and version_numbers(version) >= version_numbers(row.since))
        assert row.consequence


def test_every_library_has_an_extra_or_comes_with_the_base() -> None:
    pyproject = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    for extra in EXTRAS.values():
        assert f"\n{extra} = [" in pyproject
    others = {"numpy", "onnxruntime-gpu", "cuda-bindings", "safetensors"}
    assert set(EXTRAS) | others == set(LIBRARIES)


def test_this_machine() -> None:
    report = doctor()
    assert report.installation.python == platform.python_version()
    assert report.installation.libraries["numpy"] is not None
    assert json.loads(json.dumps(report.document()))["format"] == "bevdeploy.doctor/1"
