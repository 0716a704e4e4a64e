"""The tables of hand-made recordings: every row is there, every link leads back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bevdeploy.data.world.options import WorldOptions
from bevdeploy.data.world.scene_tables import SceneTables, scene_tables
from bevdeploy.data.world.world_tables import TABLES, write_tables

OPTIONS = WorldOptions(scenes=2, keyframes=4)


def reading(channel: str, time_us: int, key: bool) -> dict[str, Any]:
    file = f"{'samples' if key else 'sweeps'}/{channel}/{time_us}"
    return {"channel": channel, "time_us": time_us, "key": key, "file": file, "bytes": 7, "pose": [1.0, 2.0, 0.5]}


def box(track: int, attribute: str = "") -> dict[str, Any]:
    return {"track": track, "pose": [3.0, 4.0, 1.0], "visibility": 3, "lidar_points": 5, "attribute": attribute}


def documents() -> list[dict[str, Any]]:
    """Four keyframes in two parts; track 9 is out of sight in the third."""
    seen = [(0, 9), (0, 9), (0,), (0, 9)]
    keyframes = [
        {
            "index": n,
            "time_us": n * 500,
            "readings": [
                *([reading("LIDAR_TOP", n * 500 - 250, False)] if n else []),
                reading("LIDAR_TOP", n * 500, True),
                reading("CAM_FRONT", n * 500 - 35, True),
            ],
            "boxes": [box(track, "vehicle.parked" if track else "") for track in seen[n]],
        }
        for n in range(4)
    ]
    tracks = {
        "0": {"category": "movable_object.barrier", "class": "barrier", "size": [2.0, 0.5, 1.0]},
        "9": {"category": "vehicle.car", "class": "car", "size": [2.0, 4.0, 1.5]},
    }
    return [
        {"scene": "scene-0103", "description": "d", "keyframes": part, "tracks": tracks, "extra": extra}
        for part, extra in ((keyframes[:2], {"can_bus/x": 11}), (keyframes[2:], {}))
    ]


@pytest.fixture
def scene() -> SceneTables:
    return scene_tables(OPTIONS, "scene-0103", "boston-seaport", documents())


def chain(rows: list[dict[str, Any]], first: str) -> list[str]:
    by_token = {row["token"]: row for row in rows}
    tokens, token, before = [], first, ""
    while token:
        assert by_token[token]["prev"] == before
        tokens.append(token)
        before, token = token, by_token[token]["next"]
    return tokens


def test_samples_and_readings_are_linked(scene: SceneTables) -> None:
    samples = scene.rows["sample"]
    (row,) = scene.rows["scene"]
    assert chain(samples, row["first_sample_token"]) == [each["token"] for each in samples]
    assert (row["last_sample_token"], row["nbr_samples"]) == (samples[-1]["token"], 4)
    lidar = [each for each in scene.rows["sample_data"] if "LIDAR_TOP" in each["filename"]]
    assert len(chain(lidar, lidar[0]["token"])) == 7
    assert [each["timestamp"] for each in lidar] == sorted(each["timestamp"] for each in lidar)
    poses = {each["token"]: each for each in scene.rows["ego_pose"]}
    for each in scene.rows["sample_data"]:
        assert poses[each["ego_pose_token"]]["timestamp"] == each["timestamp"]
    following = {each["token"]: each["timestamp"] for each in samples}
    for each in lidar:
        gap = following[each["sample_token"]] - each["timestamp"]
        assert gap == (0 if each["is_key_frame"] else 250)


def test_an_object_out_of_sight_stays_one_instance(scene: SceneTables) -> None:
    rows = scene.rows["sample_annotation"]
    assert len(rows) == 7
    barrier, car = scene.rows["instance"]
    assert (barrier["nbr_annotations"], car["nbr_annotations"]) == (4, 3)
    samples = [each["token"] for each in scene.rows["sample"]]
    by_token = {each["token"]: each for each in rows}
    tokens = chain(rows, car["first_annotation_token"])
    assert tokens[-1] == car["last_annotation_token"]
    assert [samples.index(by_token[token]["sample_token"]) for token in tokens] == [0, 1, 3]
    assert by_token[tokens[0]]["translation"] == [3.0, 4.0, 0.75]
    assert by_token[tokens[0]]["size"] == [2.0, 4.0, 1.5]
    assert len(by_token[tokens[0]]["attribute_tokens"]) == 1
    assert by_token[barrier["first_annotation_token"]]["attribute_tokens"] == []


def test_all_tables_are_written(scene: SceneTables, tmp_path: Path) -> None:
    counts = write_tables(tmp_path, OPTIONS, [("boston-seaport", scene)])
    assert (counts.scenes, counts.keyframes, counts.boxes) == (1, 4, {"barrier": 4, "car": 3})
    tables = {path.stem: json.loads(path.read_text()) for path in tmp_path.iterdir()}
    assert set(tables) == set(TABLES)
    assert all(tables.values())
    files = 11 * 7 + 11
    assert counts.bytes == files + sum(path.stat().st_size for path in tmp_path.iterdir())
    tokens = {name: [row["token"] for row in rows] for name, rows in tables.items()}
    assert all(len(set(each)) == len(each) for each in tokens.values())
    for rows in tables.values():
        for row in rows:
            for key, value in row.items():
                table = key.removesuffix("_token").removeprefix("first_").removeprefix("last_")
                if key.endswith("_token"):
                    table = {"annotation": "sample_annotation"}.get(table, table)
                    assert value in tokens[table], key
    assert tables["map"][0]["log_tokens"] == tokens["log"]


def test_a_table_without_rows_is_an_empty_list(tmp_path: Path) -> None:
    write_tables(tmp_path, OPTIONS, [])
    assert json.loads((tmp_path / "sample.json").read_text()) == []
