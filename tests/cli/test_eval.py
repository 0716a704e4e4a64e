"""`bevdeploy eval` as a user meets it: golden numbers of result files, engines against each other, what is refused."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("nuscenes") is None:
    pytest.skip("boxes are scored by nuscenes-devkit, which is not installed", allow_module_level=True)

from bevdeploy.data.build_index import build_index
from bevdeploy.data.index import open_index
from bevdeploy.data.world import WorldOptions, write_world

CC_3DT = (0.21900294044212032, 0.2691458250371378)
"""Mean AP and NDS of the real detections by the devkit's `DetectionEval`."""


@pytest.fixture(scope="module")
def mini(nuscenes_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of the real keyframes, outside their root."""
    return build_index(nuscenes_root, out=tmp_path_factory.mktemp("index") / "mini")


@pytest.fixture(scope="module")
def detections(nuscenes_root: Path) -> Path:
    path = nuscenes_root.parent / "cc_3dt_pure_det.json"
    if not path.is_file():
        pytest.skip(f"no detections at {path}")
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes of two keyframes, images of 320 x 180 px; not indexed yet."""
    root = tmp_path_factory.mktemp("world") / "w"
    write_world(root, WorldOptions(scenes=2, keyframes=2, width_px=320, height_px=180, workers=2))
    return root


def metrics(file: Path) -> dict[str, dict[str, Any]]:
    return {f"{row['task']}/{row['name']}": row for row in json.loads(file.read_text())["scores"]["metrics"]}


def truth_as_rows(nuscenes_root: Path) -> dict[str, list[dict[str, Any]]]:
    """The annotations of mini_val that have a sensor point, as a detector would have given them; unknown speeds 0."""
    from bevdeploy.data.nuscenes import open_tables

    database = open_tables(nuscenes_root)
    from nuscenes.eval.detection.utils import category_to_detection_name

    rows: dict[str, list[dict[str, Any]]] = {}
    for sample in database.sample:
        if database.get("scene", sample["scene_token"])["name"] not in ("scene-0103", "scene-0916"):
            continue
        rows[sample["token"]] = []
        for token in sample["anns"]:
            annotation = database.get("sample_annotation", token)
            name = category_to_detection_name(annotation["category_name"])
            if name is None or annotation["num_lidar_pts"] + annotation["num_radar_pts"] == 0:
                continue
            attributes = [database.get("attribute", each)["name"] for each in annotation["attribute_tokens"]]
            velocity = [0.0 if speed != speed else float(speed) for speed in database.box_velocity(token)[:2]]
            rows[sample["token"]].append(
                {
                    "sample_token": sample["token"],
                    "translation": annotation["translation"],
                    "size": annotation["size"],
                    "rotation": annotation["rotation"],
                    "velocity": velocity,
                    "detection_name": name,
                    "detection_score": 1.0,
                    "attribute_name": attributes[0] if attributes else "",
                }
            )
    return rows


def test_the_golden_numbers_of_a_real_detector(
    bevdeploy_cli: Any, mini: Path, detections: Path, tmp_path: Path
) -> None:
    file = tmp_path / "scores.json"
    done = bevdeploy_cli("eval", "--results", detections, mini, "--json", file)
    assert done.code == 0, done.err
    found = metrics(file)
    assert found["detection/mAP"]["value"] == pytest.approx(CC_3DT[0], abs=1e-9)
    assert found["detection/NDS"]["value"] == pytest.approx(CC_3DT[1], abs=1e-9)
    assert {key.split("/")[0] for key in found} == {"detection"}
    assert "21.90 %" in done.out and "26.91 %" in done.out
    assert "scored on 81 of 81 keyframes of mini_val" in done.out
    assert json.loads(file.read_text())["format"] == "bevdeploy.eval/1"


def test_the_golden_numbers_of_the_truth_and_the_comparison(
    bevdeploy_cli: Any, mini: Path, nuscenes_root: Path, detections: Path, tmp_path: Path
) -> None:
    """The truth is better than the detector and passes; the detector is worse than the truth and fails with 3."""
    truth, file, other = tmp_path / "truth.json", tmp_path / "scores.json", tmp_path / "other.json"
    truth.write_text(json.dumps({"meta": {"use_camera": True}, "results": truth_as_rows(nuscenes_root)}))
    done = bevdeploy_cli("eval", "--results", truth, mini, "--json", file)
    assert done.code == 0, done.err
    found = metrics(file)
    assert found["detection/mAP"]["value"] == pytest.approx(0.7, abs=1e-9)
    assert found["detection/NDS"]["value"] == pytest.approx(0.706667, abs=5e-7)

    worse = bevdeploy_cli("eval", "--results", detections, mini, "--against", file, "--json", other)
    assert worse.code == 3, worse.err
    assert "✗" in worse.out and "worse than scores.json by more than 0.2 points" in worse.out
    document = json.loads(other.read_text())
    assert not document["passed"] and document["verdict"] in " ".join(worse.out.split())
    changes = {change["key"]: change for change in document["difference"]["changes"]}
    assert changes["detection/mAP"]["points"] == pytest.approx(100 * (CC_3DT[0] - 0.7), abs=1e-6)
    assert changes["detection/mATE"]["points"] < 0  # a larger error, and worse
    better = bevdeploy_cli("eval", "--results", truth, mini, "--against", other)
    assert better.code == 0, better.out
    assert "✓ none of " in better.out


def test_a_limit_and_a_scene(bevdeploy_cli: Any, mini: Path, detections: Path, tmp_path: Path) -> None:
    done = bevdeploy_cli("eval", "--results", detections, mini, "--limit", 4)
    assert "scored on 4 of 81 keyframes of mini_val: not to be compared" in " ".join(done.out.split())
    done = bevdeploy_cli("eval", "--results", detections, mini, "--split", "scene-0103")
    assert done.code == 1 and "41 of 81 samples are not of scene-0103" in done.err


def test_an_engine_on_a_data_set_without_an_index(
    bevdeploy_cli: Any, world: Path, exported: Path, tmp_path: Path
) -> None:
    """The index is built on the way; an engine equals itself."""
    root = tmp_path / "root"
    shutil.copytree(world, root)
    file = tmp_path / "scores.json"
    done = bevdeploy_cli("eval", "--engine", exported, root, "--threads", 1, "--json", file, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert "no index yet, building it" in done.err
    assert {key.split("/")[0] for key in metrics(file)} == {
        *("detection", "tracking", "map", "occupancy", "motion", "planning")
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"results_nusc.json", "scores.json", "index.html"}
    again = bevdeploy_cli(
        *(
            "eval",
            "--engine",
            exported,
            root,
            "--threads",
            1,
            "--against",
            file,
            "--floor",
            0,
            "--tasks",
            "map,occupancy",
        )
    )
    assert again.code == 0, again.err + again.out
    assert "no index yet" not in again.err
    assert "Map" in again.out and "Detection" not in again.out


def test_images_that_are_absent_are_counted_or_refused(
    bevdeploy_cli: Any, world: Path, exported: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    shutil.copytree(world, root)
    index = open_index(build_index(root))
    image = root / index.arrays.image_path[index.keyframes("mini_val")[0], 4].decode()
    image.unlink()
    command = ("eval", "--engine", exported, root, "--tasks", "map")
    done = bevdeploy_cli(*command)
    assert done.code == 0, done.err
    said = " ".join(done.out.split())
    assert "scored on 1 of 2 keyframes of mini_val (1 lack an image)" in said
    bevdeploy_cli(*command, "--strict").fails("FrameSourceError", image.name, "is missing")
    assert bevdeploy_cli(*command, "--strict", "--split", "mini_train").code == 0


def test_what_is_refused_in_one_block(
    bevdeploy_cli: Any, mini: Path, detections: Path, exported: Path, nuscenes_root: Path, tmp_path: Path
) -> None:
    bevdeploy_cli("eval", "--results", detections, mini, "--split", "vall").fails("DataSetError", "vall", "mini_val")
    bevdeploy_cli("eval", "--results", detections, tmp_path).fails("DataSetError", "no index", "bevdeploy data index")
    bevdeploy_cli("eval", "--results", detections, tmp_path / "none").fails("DataSetError", "no such folder")
    bevdeploy_cli("eval", "--results", tmp_path / "x.json", mini).fails("DataSetError", "x.json", "cannot be read")
    stranger = tmp_path / "stranger.json"
    stranger.write_text(json.dumps({"meta": {}, "results": {"no-such-sample": []}}))
    bevdeploy_cli("eval", "--results", stranger, mini).fails("DataSetError", "no-such-sample", "not in the data set")
    bevdeploy_cli("eval", "--results", detections, mini, "--tasks", "map").fails(
        "DataSetError", "detection and tracking"
    )
    bevdeploy_cli("eval", "--results", detections, mini, "--against", detections).fails(
        "DataSetError", "score it first: bevdeploy eval --results"
    )
    bevdeploy_cli("eval", "--results", detections, mini, "--against", tmp_path / "y.json").fails(
        "DataSetError", "y.json"
    )
    bevdeploy_cli("eval", "--engine", exported, mini).fails("ContractError", "1600 x 900", "export for this rig")
    bevdeploy_cli("eval", "--engine", tmp_path / "x.onnx", mini).fails("EngineError", "no such ONNX file")
    file = tmp_path / "file"
    file.write_text("")
    bevdeploy_cli("eval", "--results", detections, mini, "-o", file / "out").fails("OutputError", "not a folder")
    bevdeploy_cli("eval", "--results", detections, mini, "--json", file / "a.json").fails("OutputError", "not a folder")


def test_a_missing_table_is_one_error(bevdeploy_cli: Any, world: Path, exported: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(world, root)
    build_index(root)
    (root / "v1.0-mini" / "sample_annotation.json").unlink()
    bevdeploy_cli("eval", "--engine", exported, root).fails("FrameSourceError", "cannot load the tables")
    assert bevdeploy_cli("eval", "--engine", exported, root, "--tasks", "map").code == 0


def test_wrong_usage(bevdeploy_cli: Any, mini: Path, detections: Path) -> None:
    both = bevdeploy_cli("eval", mini)
    assert both.code == 2 and "either --engine FILE or --results FILE" in " ".join(both.err.split())
    assert bevdeploy_cli("eval", mini, "--engine", "a.onnx", "--results", detections).code == 2
    tasks = bevdeploy_cli("eval", mini, "--results", detections, "--tasks", "detektion")
    assert tasks.code == 2 and "detektion" in tasks.err
    assert bevdeploy_cli("eval", "--results", detections).code == 2


def test_the_help_says_what_exit_code_3_means(bevdeploy_cli: Any) -> None:
    words = " ".join(bevdeploy_cli("eval", "--help").out.split())
    assert "Exit code 3 with --against" in words and "A point is a hundredth" in words


@pytest.mark.slow
def test_a_checkpoint_and_its_onnx_file_score_the_same(
    bevdeploy_cli: Any, world: Path, checkpoint: Path, exported: Path, tmp_path: Path
) -> None:
    """Every metric of every task within 0.2 points, both ways; another seed's weights fail."""
    for ours, theirs in ((exported, checkpoint), (checkpoint, exported)):
        done = bevdeploy_cli("eval", "--engine", ours, "--against", theirs, world, "--threads", 1)
        assert done.code == 0, done.err + done.out
        assert "none of " in done.out
    seed = tmp_path / "seed.pth"
    assert bevdeploy_cli("init", "tinybev_r18_small", "-o", seed, "--seed", 1).code == 0
    other = bevdeploy_cli("eval", "--engine", seed, "--against", checkpoint, world, "--threads", 1)
    back = bevdeploy_cli("eval", "--engine", checkpoint, "--against", seed, world, "--threads", 1)
    assert 3 in (other.code, back.code)
