"""The teacher cache: what is written is read, what is damaged is named, what was interrupted goes on."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bevdeploy.errors import DataSetError, OutputError
from bevdeploy.geometry import BEVGrid
from bevdeploy.tasks import TaskSpec
from bevdeploy.train.teacher_cache import (
    CacheHeader,
    TeacherCache,
    TeacherCacheWriter,
    chunk_path,
    data_fingerprint,
)

TOKENS = tuple(f"keyframe-{number}" for number in range(7))
SHAPES = {"features.bev_neck": ("float16", (3, 4, 5)), "outputs.heatmap": ("float32", (2, 4, 5))}


def header(**changes: Any) -> CacheHeader:
    values: dict[str, Any] = {
        "teacher": "planner_lc",
        "data": data_fingerprint(TOKENS),
        "tensors": SHAPES,
        "grid": BEVGrid.centred(10, 2, (-1, 1)),
        "tasks": TaskSpec().only("detection"),
        "chunk": 3,
        "note": {"checkpoint": "t.pth"},
    }
    return CacheHeader(**{**values, **changes})


def said(token: str) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(TOKENS.index(token))
    return {name: rng.normal(size=shape).astype(dtype) for name, (dtype, shape) in SHAPES.items()}


def fill(folder: Path, chunks: int = 3) -> None:
    writer = TeacherCacheWriter(folder, header(), TOKENS)
    for number, tokens in list(writer.missing())[:chunks]:
        each = [said(token) for token in tokens]
        writer.write(number, tokens, {name: np.stack([one[name] for one in each]) for name in SHAPES})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    fill(tmp_path)
    cache = TeacherCache(tmp_path, TOKENS)
    assert len(cache) == 7 and cache.header == header()
    for token in reversed(TOKENS):
        arrays = cache.arrays(token)
        assert arrays.keys() == SHAPES.keys()
        for name, value in said(token).items():
            np.testing.assert_array_equal(arrays[name], value)
            assert arrays[name].dtype == value.dtype


def test_checksums_are_those_of_sha256sum(tmp_path: Path) -> None:
    fill(tmp_path)
    sums = [path.name for path in sorted(tmp_path.glob("*.sha256"))]
    assert len(sums) == 3
    subprocess.run(["sha256sum", "--check", "--strict", *sums], cwd=tmp_path, check=True, capture_output=True)


def test_an_interrupted_cache_goes_on(tmp_path: Path) -> None:
    fill(tmp_path, chunks=1)
    with pytest.raises(DataSetError, match="not whole, 4 keyframes are missing"):
        TeacherCache(tmp_path, TOKENS)
    first = chunk_path(tmp_path, 0).stat().st_mtime_ns
    chunk_path(tmp_path, 1).write_bytes(b"half a chunk, its writer was killed before the checksum")
    missing = [number for number, _ in TeacherCacheWriter(tmp_path, header(), TOKENS).missing()]
    assert missing == [1, 2]
    fill(tmp_path)
    assert chunk_path(tmp_path, 0).stat().st_mtime_ns == first
    assert len(TeacherCache(tmp_path, TOKENS)) == 7


@pytest.mark.parametrize("at", [-20, 100, 8])
def test_a_flipped_byte_is_named(tmp_path: Path, at: int) -> None:
    fill(tmp_path)
    path = chunk_path(tmp_path, 1)
    content = bytearray(path.read_bytes())
    content[at] ^= 0x40
    path.write_bytes(bytes(content))
    with pytest.raises(DataSetError, match=r"00001.safetensors: damaged chunk"):
        TeacherCache(tmp_path, TOKENS).arrays(TOKENS[4])


def test_a_truncated_chunk_is_named(tmp_path: Path) -> None:
    fill(tmp_path)
    path = chunk_path(tmp_path, 2)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataSetError, match=r"00002.safetensors: damaged chunk"):
        TeacherCache(tmp_path, TOKENS).arrays(TOKENS[6])


def test_another_data_set_is_refused(tmp_path: Path) -> None:
    fill(tmp_path)
    with pytest.raises(DataSetError, match=r"a cache of other keyframes: 1 of this training's 3 are not in it"):
        TeacherCache(tmp_path, (*TOKENS[:2], "another"))
    assert len(TeacherCache(tmp_path, TOKENS[1:])) == len(TOKENS), "a cache may hold more than is read"
    with pytest.raises(DataSetError, match=r"holds another cache \(teacher: planner_lc there\)"):
        TeacherCacheWriter(tmp_path, header(teacher="uniad"), TOKENS)


def test_wrong_arrays_are_refused(tmp_path: Path) -> None:
    writer = TeacherCacheWriter(tmp_path, header(), TOKENS)
    number, tokens = next(writer.missing())
    whole = {name: np.zeros((len(tokens), *shape), dtype) for name, (dtype, shape) in SHAPES.items()}
    with pytest.raises(DataSetError, match=r"outputs.heatmap: expected float32"):
        writer.write(number, tokens, {**whole, "outputs.heatmap": np.zeros((3, 2, 5, 4), np.float32)})
    with pytest.raises(DataSetError, match="the header says"):
        writer.write(number, tokens, {"outputs.heatmap": whole["outputs.heatmap"]})
    whole["features.bev_neck"][1, 0, 0, 0] = np.inf
    with pytest.raises(DataSetError, match="NaN or infinity"):
        writer.write(number, tokens, whole)
    assert [each for each, _ in writer.missing()] == [0, 1, 2]


@pytest.mark.parametrize(
    "change",
    [
        lambda document: {**document, "format": "other"},
        lambda document: {key: value for key, value in document.items() if key != "grid"},
        lambda document: {**document, "tensors": {"a": ["no dtype", [1]]}},
        lambda document: [document],
        lambda document: {**document, "tasks": {"unknown": 1}},
    ],
)
def test_a_damaged_header_is_named(tmp_path: Path, change: Any) -> None:
    fill(tmp_path)
    path = tmp_path / "teacher.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(DataSetError, match=r"teacher.json: not a usable header"):
        TeacherCache(tmp_path, TOKENS)


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "teacher_cache.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/teacher_cache.md", "exec"), {})
    assert capsys.readouterr().out == "10 (256, 20, 20)\n"
    assert len(list((tmp_path / "out" / "uniad").glob("*.safetensors"))) == 3


def test_no_cache_and_no_place(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="the folder is no teacher cache"):
        TeacherCache(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is not a folder"):
        TeacherCacheWriter(tmp_path / "file" / "cache", header(), TOKENS)
