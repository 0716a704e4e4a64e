"""Whose folder it is: new, half-finished, complete, or somebody else's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bevdeploy.data.world.options import WorldOptions
from bevdeploy.data.world.recording import Part, files_of, parts_of, write_file
from bevdeploy.data.world.synth import write_world
from bevdeploy.data.world.work_folder import (
    complete,
    finished_part,
    finished_summary,
    keep_part,
    work_folder,
    writing,
)
from bevdeploy.data.world.world_tables import write_tables
from bevdeploy.errors import DataSetError, OutputError

OPTIONS = WorldOptions(scenes=2, keyframes=6)
PART = Part("scene-0061", "boston-seaport", 0, 4)


def document(root: Path) -> dict[str, Any]:
    readings = [{"file": f"samples/CAM_FRONT/{n}.jpg", "bytes": 3} for n in range(2)]
    made = {"keyframes": [{"readings": readings}], "extra": {"can_bus/x.json": 5}}
    for file, size in files_of(made).items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"x" * size)
    return made


def test_parts_cover_every_keyframe_once() -> None:
    parts = parts_of((("scene-0061", "a"), ("scene-0103", "b")), 10)
    frames = [(part.scene, n) for part in parts for n in range(part.first, part.first + part.count)]
    assert frames == [(name, n) for name in ("scene-0061", "scene-0103") for n in range(10)]
    assert len({part.name for part in parts}) == len(parts)


def test_new_and_empty_folders_are_free(tmp_path: Path) -> None:
    assert finished_summary(tmp_path / "new", OPTIONS) is None
    assert finished_summary(tmp_path, OPTIONS) is None


@pytest.mark.parametrize("name", ["notes.txt", "v1.0-mini/scene.json", "samples/CAM_FRONT/a.jpg"])
def test_a_folder_of_others_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match="not of a synthetic world"):
        finished_summary(tmp_path, OPTIONS)
    assert (tmp_path / name).read_text() == "mine"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="not a folder"):
        finished_summary(tmp_path / "file", OPTIONS)


def test_only_the_same_options_go_on(tmp_path: Path) -> None:
    with writing(tmp_path, OPTIONS):
        pass
    assert finished_summary(tmp_path, replace(OPTIONS, workers=7)) is None
    for other in (replace(OPTIONS, seed=1), replace(OPTIONS, keyframes=7), replace(OPTIONS, width_px=352)):
        with pytest.raises(OutputError, match="half of another world"):
            finished_summary(tmp_path, other)


def test_a_part_counts_while_its_files_are_whole(tmp_path: Path) -> None:
    with writing(tmp_path, OPTIONS):
        assert finished_part(tmp_path, PART) is None
        made = document(tmp_path)
        keep_part(tmp_path, PART, made)
        assert finished_part(tmp_path, PART) == made
        torn = tmp_path / "samples/CAM_FRONT/1.jpg"
        torn.write_bytes(b"x")
        assert finished_part(tmp_path, PART) is None
        torn.write_bytes(b"xxx")
        assert finished_part(tmp_path, PART) == made
        (tmp_path / "can_bus/x.json").unlink()
        assert finished_part(tmp_path, PART) is None


@pytest.mark.parametrize("content", ["", '{"keyframes": [', "[]", "7", '{"keyframes": 3}', "\x00\xff"])
def test_a_torn_document_is_a_part_to_record(tmp_path: Path, content: str) -> None:
    with writing(tmp_path, OPTIONS) as work:
        keep_part(tmp_path, PART, document(tmp_path))
        (work / "parts" / f"{PART.name}.json").write_text(content)
        assert finished_part(tmp_path, PART) is None


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with writing(tmp_path, OPTIONS), pytest.raises(OutputError, match="another process"), writing(tmp_path, OPTIONS):
        pass
    with writing(tmp_path, OPTIONS):
        pass


def test_complete_renames_the_tables_last(tmp_path: Path) -> None:
    with writing(tmp_path, OPTIONS) as work:
        (work / "tables").mkdir()
        (work / "tables" / "scene.json").write_text("[]")
        complete(tmp_path, OPTIONS, {"scenes": 2})
    assert (tmp_path / "v1.0-mini" / "scene.json").read_text() == "[]"
    assert not work_folder(tmp_path).exists()
    found = finished_summary(tmp_path, OPTIONS)
    assert found is not None
    assert found["scenes"] == 2
    with pytest.raises(OutputError, match="--scenes 2 --keyframes 6"):
        finished_summary(tmp_path, replace(OPTIONS, keyframes=7))


def test_a_damaged_summary_is_named(tmp_path: Path) -> None:
    (tmp_path / "v1.0-mini").mkdir()
    for content in ("{", "[]", "\x00"):
        (tmp_path / "v1.0-mini" / "world.json").write_text(content)
        with pytest.raises(OutputError, match=r"world\.json"):
            finished_summary(tmp_path, OPTIONS)
    for other in ({}, {"identity": []}, {"identity": None}):
        (tmp_path / "v1.0-mini" / "world.json").write_text(json.dumps(other))
        with pytest.raises(OutputError, match="another synthetic world"):
            finished_summary(tmp_path, OPTIONS)
    for counts in ({}, {"scenes": "x"}, {"scenes": 2, "keyframes": 12, "bytes": 1, "boxes": []}):
        (tmp_path / "v1.0-mini" / "world.json").write_text(json.dumps({"identity": OPTIONS.identity(), **counts}))
        with pytest.raises(OutputError, match="not what bevdeploy wrote"):
            write_world(tmp_path, OPTIONS)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="not a folder"), writing(tmp_path / "file" / "w", OPTIONS):
        pass


def test_a_reading_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Here for a file where a folder should be; a full disk comes the same way."""
    (tmp_path / "samples").write_text("")
    with pytest.raises(OutputError, match=r"samples/CAM_FRONT/a\.jpg: not written .*run the same command again"):
        write_file(tmp_path, "samples/CAM_FRONT/a.jpg", b"x")
    with pytest.raises(OutputError, match="not written"):
        write_tables(tmp_path / "samples" / "tables", OPTIONS, [])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"version": "v1.0-test"}, "v1.0-test"),
        ({"scenes": 1}, "--scenes 1"),
        ({"scenes": 11}, "2 to 10"),
        ({"keyframes": 0}, "--keyframes"),
        ({"width_px": 0}, "--width"),
        ({"height_px": 10**6}, "--height"),
        ({"sweeps": 11}, "--sweeps"),
        ({"seed": -1}, "--seed"),
        ({"workers": 0}, "--workers"),
    ],
)
def test_impossible_options(change: dict[str, Any], word: str) -> None:
    with pytest.raises(DataSetError, match=word):
        replace(OPTIONS, **change)
