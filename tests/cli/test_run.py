"""`bevdeploy run`: JSON lines, pictures and a page, from folders of frames and from nuScenes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bevdeploy.geometry import CameraRig
from bevdeploy.tasks import BOX_FIELDS

pytest.importorskip("onnxruntime")
pytest.importorskip("torch")

LINE_KEYS = {"token", "timestamp_us", "rig", "latency_ms", "boxes", "plans_m", "map_share", "occupancy_share"}
BOX_KEYS = {"class", "score", "trajectory_m", "trajectory_probability", *BOX_FIELDS}


def lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "results.jsonl").read_text(encoding="utf-8")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def check_line(line: dict[str, Any], score: float) -> None:
    assert set(line) >= LINE_KEYS
    assert line["latency_ms"] > 0
    scores = [box["score"] for box in line["boxes"]]
    assert scores == sorted(scores, reverse=True)
    assert all(value >= score for value in scores)
    for box in line["boxes"]:
        assert set(box) == BOX_KEYS
        assert len(box["trajectory_m"]) == 12
        assert min(box["width_m"], box["length_m"], box["height_m"]) > 0
    assert set(line["plans_m"]) == {"right", "left", "straight"}
    assert all(len(plan) == 6 and all(len(point) == 2 for point in plan) for plan in line["plans_m"].values())
    assert all(0 <= share <= 1 for share in (*line["map_share"].values(), *line["occupancy_share"]))


def check_page(page: Path, pictures: int) -> None:
    """It opens offline: every address is data, and every picture is in it."""
    text = page.read_text(encoding="utf-8")
    addresses = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]*)""", text)
    assert [address for address in addresses if not address.startswith(("data:", "#"))] == []
    assert "http://" not in text and "https://" not in text and "@import" not in text
    assert text.count("data:image/jpeg;base64,") == pictures


def check_picture(path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    with image.open(path) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert min(picture.size) > 300
        assert len(picture.convert("RGB").getcolors(2**24)) > 1000  # camera views, not one colour


def test_frames_of_a_folder_with_its_rig_file(
    tmp_path: Path, bevdeploy_cli: Any, exported: Path, frames: Path, rig_320: CameraRig
) -> None:
    out = tmp_path / "neu ü" / "run"
    done = bevdeploy_cli(
        "run", frames, "--engine", exported, "-o", out, "--score", "0.4", "--json", tmp_path / "r.json"
    )
    assert done.code == 0, done.err
    tokens = sorted(path.stem for path in (frames / "CAM_BACK").iterdir())
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["index.html", "results.jsonl", *(f"{token}.png" for token in tokens)]
    )
    found = lines(out)
    assert [line["token"] for line in found] == tokens
    for line in found:
        check_line(line, 0.4)
        assert rig_320.digest().startswith(line["rig"])
        check_picture(out / f"{line['token']}.png")
    check_page(out / "index.html", len(tokens))
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["frames"], report["skipped"], report["engine"]) == (2, 0, exported.name)
    assert Path(report["results"]) == out / "results.jsonl"
    assert Path(report["page"]) == out / "index.html"
    assert "2 frames of drive 1, 0 skipped" in done.out


def test_a_flat_folder_without_pictures(
    tmp_path: Path, bevdeploy_cli: Any, exported: Path, frames_in: Any, rig_320: CameraRig
) -> None:
    """And the answer does not depend on where the engine file is called from, nor on the number of threads."""
    flat = frames_in(tmp_path / "flat", rig_320, 1, flat=True)
    for out, threads in (("one", "1"), ("two", "2")):
        done = bevdeploy_cli(
            "run", flat, "--engine", exported, "-o", tmp_path / out, "--no-pictures", "--threads", threads
        )
        assert done.code == 0, done.err
        assert [path.name for path in (tmp_path / out).iterdir()] == ["results.jsonl"]
    (one,), (two,) = lines(tmp_path / "one"), lines(tmp_path / "two")
    assert one["token"] == "flat"
    check_line(one, 0.3)
    assert len(one["boxes"]) == len(two["boxes"])
    assert one["plans_m"] == two["plans_m"]


def test_the_checkpoint_gives_what_its_export_gives(
    tmp_path: Path, bevdeploy_cli: Any, checkpoint: Path, exported: Path, frames: Path
) -> None:
    found = {}
    for engine in (checkpoint, exported):
        out = tmp_path / engine.name
        arguments = ("--score", "0", "--limit", "1", "--no-pictures")
        done = bevdeploy_cli("run", frames, "--engine", engine, "-o", out, *arguments)
        assert done.code == 0, done.err
        (found[engine],) = lines(out)
    torch_line, onnx_line = found[checkpoint], found[exported]
    for command, plan in torch_line["plans_m"].items():
        for point, other in zip(plan, onnx_line["plans_m"][command], strict=True):
            assert point == pytest.approx(other, abs=2e-3)  # 1e-3 is the export's gate, 1e-3 the rounding of the line
    scores = [[box["score"] for box in line["boxes"]] for line in (torch_line, onnx_line)]
    assert scores[0] == pytest.approx(scores[1], abs=2e-4)
    assert len(scores[0]) == 50


def test_the_score_and_the_limit(tmp_path: Path, bevdeploy_cli: Any, exported: Path, frames: Path) -> None:
    counts = []
    for score in ("0", "0.5", "1"):
        options = ("-o", tmp_path / score, "--score", score, "--limit", "1", "--no-pictures")
        done = bevdeploy_cli("run", frames, "--engine", exported, *options)
        assert done.code == 0, done.err
        (line,) = lines(tmp_path / score)
        counts.append(len(line["boxes"]))
    assert counts[0] == 50
    assert counts == sorted(counts, reverse=True)


def test_another_calibration_of_the_same_cameras(
    tmp_path: Path, bevdeploy_cli: Any, exported: Path, frames: Path, rig_320: CameraRig, turned_rig: Any
) -> None:
    """The rig that is given counts, not the folder's; the results follow it."""
    turned_rig(rig_320, 1.0).save(tmp_path / "knocked.json")
    found = []
    for name, rig in (("own", frames / "rig.json"), ("knocked", tmp_path / "knocked.json")):
        done = bevdeploy_cli(
            "run", frames, "--engine", exported, "--rig", rig, "-o", tmp_path / name, "--limit", "1", "--no-pictures"
        )
        assert done.code == 0, done.err
        found += lines(tmp_path / name)
    assert found[0]["rig"] != found[1]["rig"]
    assert found[0]["plans_m"] != found[1]["plans_m"]


@pytest.mark.slow
def test_demo_on_nuscenes_then_both_rigs_through_its_one_file(
    tmp_path: Path, bevdeploy_cli: Any, nuscenes_root: Path, real_rigs: tuple[CameraRig, ...]
) -> None:
    pytest.importorskip("nuscenes")
    demo = tmp_path / "demo"
    done = bevdeploy_cli("demo", "-o", demo, "--seconds", "1", "--frames", "1", "--data", nuscenes_root)
    assert done.code == 0, done.err + done.out
    (onnx,) = demo.glob("*.onnx")
    out = tmp_path / "run"
    done = bevdeploy_cli("run", nuscenes_root, "--engine", onnx, "-o", out, "--static-rig", "--limit", "3")
    assert done.code == 0, done.err
    found = lines(out)
    for line in found:
        check_line(line, 0.3)
        assert line["timestamp_us"] > 1e15
        check_picture(out / f"{line['token']}.png")
    check_page(out / "index.html", len(found))
    digests = {line["rig"] for line in found}
    assert len(digests) == 2
    assert digests <= {rig.digest()[:12] for rig in real_rigs}

    moving = tmp_path / "moving"
    done = bevdeploy_cli("run", nuscenes_root, "--engine", onnx, "-o", moving, "--limit", "1", "--no-pictures")
    assert done.code == 0, done.err
    assert lines(moving)[0]["token"] == found[0]["token"]
    assert lines(moving)[0]["rig"] not in digests  # the motion between a camera's time and the key time is in it

    real_rigs[0].save(tmp_path / "rig.json")
    done = bevdeploy_cli("run", nuscenes_root, "--engine", onnx, "--rig", tmp_path / "rig.json", "-o", tmp_path / "x")
    done.fails("FrameSourceError", str(nuscenes_root), "leave out --rig")
    done = bevdeploy_cli("run", nuscenes_root, "--engine", onnx, "--scene", "scene-9999", "-o", tmp_path / "x")
    done.fails("FrameSourceError", "scene-9999", "scene-0061")
    assert not (tmp_path / "x").exists()
