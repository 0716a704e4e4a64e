"""`bevdeploy teach` as a user meets it: a teacher, its cache, going on after a kill, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

if importlib.util.find_spec("nuscenes") is None:
    pytest.skip("data are indexed with nuscenes-devkit, which is not installed", allow_module_level=True)

from bevdeploy.data.build_index import build_index
from bevdeploy.data.index import open_index
from bevdeploy.data.samples import Samples
from bevdeploy.distill.teacher_taps import TeacherTaps
from bevdeploy.errors import DataSetError
from bevdeploy.models.teachers import load_teacher
from bevdeploy.models.teachers.checkpoint import saved_teacher
from bevdeploy.train.detection_targets import CentreRule
from bevdeploy.train.loading import batches
from bevdeploy.train.teacher_cache import TeacherCache
from bevdeploy.train.teacher_inputs import teacher_inputs
from bevdeploy.train.training_log import read_log

SMALL = ("--option", "cell_m=6.4", "--option", "width=8")
IMAGES = ("--option", "image_height_px=64", "--option", "image_width_px=176")
TRAINING = "steps = 2\nbatch = 2\nwarmup_steps = 1\nsave_every = 1\nlog_every = 1\nema_decay = 0.5\n[augmentation]\n"
DETECTOR, PLANNER = "centerpoint_pillar_small", "planner_lc_small"


@pytest.fixture(scope="module")
def world(synthetic_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of a small made-up world, outside its root."""
    return build_index(synthetic_root, out=tmp_path_factory.mktemp("index") / "world")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "training.toml"
    path.write_text(TRAINING)
    return path


@pytest.fixture(scope="module")
def taught(
    bevdeploy_cli: Callable[..., Any], world: Path, config: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any]:
    """A planner of two steps and its cache in chunks of two; read only. And what the user saw."""
    cache = tmp_path_factory.mktemp("taught") / "cache"
    done = bevdeploy_cli(
        *("teach", PLANNER, world, "-o", cache, "--config", config, *SMALL, *IMAGES, "--sweeps", "2"),
        *("--workers", "0", "--chunk", "2", "--seed", "3", "--json", cache / "r.json"),
    )
    assert done.code == 0, done.err
    return cache, done


def samples_of(world: Path, cache: Path, split: str = "mini_train") -> Samples:
    """The keyframes as a training loads them, without the command's own way to do it."""
    saved = saved_teacher(cache / "teacher.pth")
    spec = saved.teacher.spec
    return Samples(open_index(world), spec.tasks, spec.geometry, split=split, lidar_sweeps=saved.sweeps)


def test_a_teacher_and_all_its_files(taught: tuple[Path, Any], world: Path) -> None:
    cache, done = taught
    report = json.loads((cache / "r.json").read_text())
    names = {path.name for path in cache.iterdir()}
    assert {"teacher.pth", "teacher.train.pt", "teacher.log.csv", "teacher.curves.png", "teacher.json"} <= names
    assert [row["step"] for row in read_log(cache / "teacher.log.csv")] == [1, 2]
    saved = saved_teacher(cache / "teacher.pth")
    assert saved.sweeps == 2 and "seed 3, 2 steps" in saved.note
    assert saved.arguments == {"cell_m": 6.4, "width": 8, "image_height_px": 64, "image_width_px": 176}
    held = TeacherCache(cache, samples_of(world, cache).tokens)
    note = held.header.note
    assert len(held) == report["keyframes"] == report["plan"]["keyframes"]
    assert note["sweeps"] == "2" and note["checkpoint"] == saved.note
    assert json.loads(note["arguments"]) == saved.arguments
    on_disk = sum(path.stat().st_size for path in cache.glob("*.safetensors"))
    assert on_disk == pytest.approx(report["plan"]["keyframe_bytes"] * len(held), rel=0.02)
    assert f"{len(held)} keyframes of " in done.err and "features.bev_neck [64, 16, 16]" in done.err
    assert "next: bevdeploy distill METHOD --teacher" in done.out


def test_the_cache_is_the_live_teacher(taught: tuple[Path, Any], world: Path) -> None:
    """Every keyframe, run again here from the checkpoint, without augmentation: equal but for float16."""
    cache, _ = taught
    teacher, source = load_teacher(cache / "teacher.pth"), samples_of(world, cache)
    held = TeacherCache(cache, source.tokens)
    loaded = batches(
        source, teacher.spec, CentreRule(), batch=1, seed=0, steps=range(len(source)), workers=0, variants=1
    )
    seen = set()
    for batch in loaded:
        with torch.no_grad(), TeacherTaps(teacher) as tapping:
            taps = tapping.taps(teacher(teacher_inputs(batch, teacher)))
        (token,) = batch.tokens
        seen.add(token)
        arrays = held.arrays(token)
        outputs = {name: value for name, value in taps.outputs.items() if name != "bev"}
        assert {f"features.{name}" for name in taps.features} | {f"outputs.{name}" for name in outputs} == set(arrays)
        for name, value in {f"features.{key}": each for key, each in taps.features.items()}.items():
            np.testing.assert_allclose(arrays[name], value[0].numpy(), rtol=2e-3, atol=2e-3, err_msg=name)
        for name in ("heatmap", "box_codes", "map_logits", "occupancy_logits", "plans"):
            want = taps.output(name)[0].numpy()
            np.testing.assert_allclose(arrays[f"outputs.{name}"], want, rtol=2e-3, atol=2e-3, err_msg=name)
        assert np.isin(arrays["outputs.agents"], taps.output("agents")[0].numpy()).mean() > 0.9  # ties of rounding
    assert seen == set(source.tokens)


def test_a_trained_teacher_is_only_cached(
    bevdeploy_cli: Callable[..., Any], taught: tuple[Path, Any], world: Path, tmp_path: Path
) -> None:
    """Another split, of chosen features in float32, equals the first cache where both hold a keyframe."""
    cache, _ = taught
    scene = open_index(world).scenes[0].name
    arguments = ("--split", scene, "--features", "bev_neck", "--dtype", "float32", "--workers", "1")
    done = bevdeploy_cli("teach", cache / "teacher.pth", world, "-o", tmp_path / "c", *arguments)
    assert done.code == 0, done.err
    one, other = TeacherCache(tmp_path / "c"), TeacherCache(cache)
    names = [name for name in one.header.tensors if name.startswith("features.")]
    assert names == ["features.bev_neck"] and one.header.note["weights"] == other.header.note["weights"]
    shared = [token for token in samples_of(world, cache, scene).tokens if token in samples_of(world, cache).tokens]
    for token in shared:
        got, want = (each.arrays(token)["features.bev_neck"] for each in (one, other))
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=2e-3, atol=2e-3)
    again = bevdeploy_cli("teach", cache / "teacher.pth", world, "-o", tmp_path / "c", *arguments)
    assert again.code == 0 and "0 written now" in again.out
    assert not (tmp_path / "c" / "teacher.train.pt").exists() and (tmp_path / "c" / "teacher.pth").is_file()


def test_a_killed_command_goes_on(
    taught: tuple[Path, Any],
    world: Path,
    config: Path,
    tmp_path: Path,
    bevdeploy_cli: Callable[..., Any],
    subprocess_environment: dict[str, str],
) -> None:
    """kill -9 once the first chunk is whole; the same command with --resume trains no further and fills the rest."""
    cache = tmp_path / "cache"
    command = [
        *("teach", DETECTOR, str(world), "-o", str(cache), "--config", str(config), *SMALL, "--sweeps", "1"),
        *("--chunk", "1", "--workers", "0"),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "bevdeploy", *command],
        env=subprocess_environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    first = cache / "00000.safetensors.sha256"
    while process.poll() is None and not first.is_file():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    before = {path.name: path.stat().st_mtime_ns for path in cache.glob("*.safetensors") if first.is_file()}
    tokens = samples_of(world, cache).tokens
    assert before, "it was killed before its first chunk"
    bevdeploy_cli(*command).fails("TrainingError", "holds a cache", "go on with --resume")
    done = bevdeploy_cli(*command, "--resume")
    assert done.code == 0, done.err
    assert "2 steps, 2 of them before" in done.out
    assert len(TeacherCache(cache, tokens)) == len(tokens)
    assert (cache / "00000.safetensors").stat().st_mtime_ns == before["00000.safetensors"]


def test_a_corrupt_chunk_is_named_and_written_again(
    bevdeploy_cli: Callable[..., Any], taught: tuple[Path, Any], world: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(taught[0], cache)
    tokens, path = samples_of(world, cache).tokens, cache / "00001.safetensors"
    content = bytearray(path.read_bytes())
    whole = bytes(content)
    content[-30] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataSetError, match=r"00001.safetensors: damaged chunk.*remove it with its .sha256"):
        TeacherCache(cache, tokens).arrays(tokens[2])
    path.unlink()
    path.with_name(f"{path.name}.sha256").unlink()
    done = bevdeploy_cli("teach", cache / "teacher.pth", world, "-o", cache, "--chunk", "2", "--workers", "0")
    assert done.code == 0 and "2 written now" in done.out, done.err
    assert path.read_bytes() == whole


def test_absent_lidar_is_left_out_and_damaged_lidar_is_named(
    bevdeploy_cli: Callable[..., Any], synthetic_root: Path, taught: tuple[Path, Any], tmp_path: Path
) -> None:
    root = tmp_path / "world"
    shutil.copytree(synthetic_root, root)
    build_index(root)
    index = open_index(root)
    keyframes = index.keyframes("mini_train")
    files = [root / index.arrays.lidar_path[index.lidar_of(int(k)).start].decode() for k in keyframes]
    files[1].write_bytes(files[1].read_bytes()[:-7])
    options = (taught[0] / "teacher.pth", root, "-o", tmp_path / "cache", "--chunk", "2", "--features", "bev_neck")
    for workers in ("0", "1"):
        done = bevdeploy_cli("teach", *options, "--workers", workers)
        token = index.arrays.token[keyframes[1]].decode()
        assert done.code == 1 and "Traceback" not in done.err
        for words in ("DataSetError: ", files[1].name, f"keyframe {token}", "bevdeploy data index"):
            assert words in done.err
    files[1].unlink()
    build_index(root)
    done = bevdeploy_cli("teach", *options[:3], tmp_path / "other", *options[4:], "--json", tmp_path / "r.json")
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["skipped"] == 1 and report["keyframes"] == len(keyframes) - 1
    assert "left out: 1 keyframes of mini_train" in done.out
    assert token not in samples_of(root, taught[0]).tokens
    assert len(TeacherCache(tmp_path / "other", samples_of(root, taught[0]).tokens)) == len(keyframes) - 1


def test_another_cache_is_not_mixed_in(
    bevdeploy_cli: Callable[..., Any], taught: tuple[Path, Any], world: Path, tmp_path: Path
) -> None:
    cache, _ = taught
    at = ("teach", cache / "teacher.pth", world, "-o", cache, "--workers", "0")
    bevdeploy_cli(*at, "--chunk", "2", "--sweeps", "1").fails("DataSetError", "holds another cache", "sweeps: 2 there")
    bevdeploy_cli(*at, "--chunk", "4").fails("DataSetError", "holds another cache", "chunk: 2 there")
    bevdeploy_cli(*at, "--chunk", "2", "--split", "mini_val").fails(
        "DataSetError", "holds another cache", "mini_train there"
    )
    with pytest.raises(DataSetError, match="a cache of other keyframes"):
        TeacherCache(cache, [*samples_of(world, cache).tokens, "one-more"])


def test_a_full_disk(
    taught: tuple[Path, Any],
    world: Path,
    tmp_path: Path,
    bevdeploy_cli: Callable[..., Any],
    subprocess_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file-size limit stands for a disk that fills up on the way; too little room is seen before the start."""
    cache, checkpoint = tmp_path / "c", tmp_path / "c" / "teacher.pth"
    cache.mkdir()
    shutil.copy(taught[0] / "teacher.pth", checkpoint)
    arguments = ["teach", str(checkpoint), str(world), "-o", str(cache), "--workers", "0"]
    program = (
        "import resource, sys\nfrom bevdeploy import cli\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "sys.argv = ['bevdeploy', *sys.argv[1:]]\ncli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=subprocess_environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 1 and "OutputError" in done.stderr and "00000.safetensors: not written" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in cache.iterdir()} == {"teacher.json", "teacher.pth"}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    bevdeploy_cli(*arguments[:4], tmp_path / "d").fails(
        "OutputError", "need 0.8 MB, the disk has 0.0 MB left", "--features bev_neck"
    )


def test_wrong_words_are_refused_before_any_work(
    bevdeploy_cli: Callable[..., Any], taught: tuple[Path, Any], world: Path, config: Path, tmp_path: Path
) -> None:
    out, checkpoint = tmp_path / "out", taught[0] / "teacher.pth"

    def teach(teacher: str | Path, *arguments: str | Path) -> Any:
        return bevdeploy_cli("teach", teacher, world, "-o", out, "--config", config, "--workers", "0", *arguments)

    teach("planer_lc").fails("CheckpointError", "unknown teacher 'planer_lc'", "planner_lc")
    teach(PLANNER, "--option", "cells=1").fails("CheckpointError", "--option cells=1")
    teach(PLANNER, "--preset", "x", "--config", tmp_path / "no.toml").fails("RecipeError", "no.toml")
    teach(checkpoint, "--train-only").fails("TrainingError", "--train-only makes no sense with a checkpoint")
    teach(checkpoint, "--virtual-points", "annotations").fails("TrainingError", "built without virtual points")
    teach(DETECTOR, "--option", "virtual_points=true").fails("TrainingError", "say where they come from")
    teach(checkpoint, "--features", "neck").fails("TrainingError", "has no feature neck; it has lift, bev_s0")
    teach(PLANNER, "--resume", *SMALL, *IMAGES).fails("TrainingError", "leave out --resume")
    teach(PLANNER, "--split", "nowhere").fails("DataSetError", "nowhere")
    wrong = teach(checkpoint, "--option", "cell_m=1.6")
    assert wrong.code == 2 and "leave out --option" in wrong.err
    student = tmp_path / "s.pth"
    assert bevdeploy_cli("init", "tinybev_r18_small", "-o", student).code == 0
    teach(student).fails("CheckpointError", "a student's checkpoint", "bevdeploy teach TEACHER DATA")


def test_virtual_points_of_annotations(
    bevdeploy_cli: Callable[..., Any], world: Path, config: Path, tmp_path: Path
) -> None:
    done = bevdeploy_cli(
        *("teach", DETECTOR, world, "-o", tmp_path / "c", "--config", config, *SMALL, "--sweeps", "1"),
        *("--option", "virtual_points=true", "--virtual-points", "annotations", "--workers", "0", "--steps", "1"),
    )
    assert done.code == 0, done.err
    assert TeacherCache(tmp_path / "c").header.note["virtual_points"] == "annotations"


def test_training_alone_writes_no_cache(
    bevdeploy_cli: Callable[..., Any], world: Path, config: Path, tmp_path: Path
) -> None:
    done = bevdeploy_cli(
        *("teach", "bevfusion_lc_small", world, "-o", tmp_path / "t", "--config", config, *SMALL, *IMAGES),
        *("--train-only", "--workers", "0", "--sweeps", "1", "--steps", "1"),
    )
    assert done.code == 0, done.err
    names = {path.name for path in (tmp_path / "t").iterdir()}
    assert "teacher.pth" in names and "teacher.json" not in names
    assert load_teacher(tmp_path / "t" / "teacher.pth").spec.tasks.heads == ("map",)
