"""Distillers in the training loop: every method with a running teacher and with its cache, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("lightning_fabric")
pytest.importorskip("safetensors")

from bevdeploy.data.augment import Augmentation
from bevdeploy.distill.methods import DISTILLERS, build_distiller
from bevdeploy.distill.taps import student_form
from bevdeploy.errors import DataSetError, TrainingError
from bevdeploy.models import Student
from bevdeploy.models.teachers import Teacher, save_teacher
from bevdeploy.models.teachers.untrained import untrained_teacher
from bevdeploy.models.untrained import untrained_student
from bevdeploy.train import Progress, RunFiles, TaskObjective, TaskWeights, TrainConfig, fabric_of, fit
from bevdeploy.train.batch import TrainBatch
from bevdeploy.train.distill_objective import PREFIX, DistillObjective
from bevdeploy.train.loading import batches
from bevdeploy.train.taught import CHECKPOINT, CachedTeacher, LiveTeacher, TeacherSource, check_augmentation
from bevdeploy.train.teacher_cache import CacheHeader, TeacherCache, TeacherCacheWriter, data_fingerprint

TAUGHT = [name for name in DISTILLERS if name != "none"]
PAIRS = ["bev_s0", "bev_s1", "bev_neck"]
SETTINGS: dict[str, dict[str, Any]] = {"distillbev": {"pairs": PAIRS}, "dualdistill": {"masked": {"pairs": PAIRS}}}
SIZES: dict[str, Any] = {"image_height_px": 64, "image_width_px": 176, "cell_m": 6.4}
CONFIG = TrainConfig(steps=3, batch=2, warmup_steps=1, ema_decay=0.5)


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return untrained_teacher("planner_lc_small", {**SIZES, "width": 8, "ego_state": False}, 1)


@pytest.fixture
def street(tiny: Student, street_of: Callable[..., Any]) -> Any:
    return street_of(tiny, 4)


@pytest.fixture
def cache(tmp_path: Path, teacher: Teacher, street: Any, tiny: Student) -> TeacherCache:
    """What the teacher says about the street, in float32, written the way another code base would."""
    batch = next(batches(street, tiny.spec, CONFIG.centres, batch=4, seed=0, steps=range(1)))
    taps = LiveTeacher(teacher).taps(batch)
    named = {f"features.{name}": value.numpy() for name, value in taps.features.items()}
    named |= {f"outputs.{name}": value.numpy() for name, value in taps.outputs.items()}
    order = np.argsort(batch.tokens)
    tokens = [batch.tokens[n] for n in order]
    arrays = {name: array[order] for name, array in named.items()}
    tensors = {name: (array.dtype.name, array.shape[1:]) for name, array in arrays.items()}
    grid, tasks = teacher.spec.geometry.grid, teacher.spec.tasks
    header = CacheHeader(teacher.spec.name, data_fingerprint(tokens), tensors, grid, tasks, 4)
    writer = TeacherCacheWriter(tmp_path / "cache", header, tokens)
    for number, chunk in writer.missing():
        writer.write(number, chunk, arrays)
    save_teacher(tmp_path / "cache" / CHECKPOINT, teacher, {**SIZES, "width": 8, "ego_state": False})
    return TeacherCache(tmp_path / "cache", tokens)


def objective(method: str, student: Student, source: TeacherSource) -> DistillObjective:
    distiller = build_distiller(method, student_form(student), source.form, SETTINGS.get(method))
    return DistillObjective(distiller, source, TaskWeights())


def one_batch(student: Student, street: Any, cache: TeacherCache | None = None, progress: float = 0.9) -> TrainBatch:
    loaded = batches(street, student.spec, CONFIG.centres, batch=2, seed=0, steps=range(1), recall=cache)
    return next(loaded)._replace(progress=progress)


@pytest.mark.parametrize("method", TAUGHT)
def test_a_cache_teaches_what_its_teacher_teaches(
    method: str, tiny: Student, teacher: Teacher, street: Any, cache: TeacherCache
) -> None:
    sources = LiveTeacher(teacher), CachedTeacher(cache)
    torch.manual_seed(0)
    running = objective(method, tiny.eval(), sources[0])
    torch.manual_seed(0)
    cached = objective(method, tiny, sources[1])
    ours, theirs = running.terms(tiny, one_batch(tiny, street)), cached.terms(tiny, one_batch(tiny, street, cache))
    assert list(ours) == list(theirs) and any(name.startswith(PREFIX) for name in ours)
    for name, term in ours.items():
        torch.testing.assert_close(theirs[name], term, rtol=1e-4, atol=1e-5, msg=name)
    assert any(float(term.detach()) > 0 for name, term in ours.items() if name.startswith(PREFIX))


@pytest.mark.parametrize("method", TAUGHT)
def test_training_moves_student_and_distiller_and_leaves_teacher_and_student_keys(
    method: str, tiny: Student, teacher: Teacher, street: Any
) -> None:
    keys = list(tiny.state_dict())
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    taught = objective(method, tiny, LiveTeacher(teacher))
    distiller = {name: value.detach().clone() for name, value in taught.named_parameters()}
    assert {id(parameter) for parameter in taught.parameters()}.isdisjoint(map(id, teacher.parameters()))
    done = fit(fabric_of(CONFIG, "cpu"), tiny, taught, street, CONFIG)
    assert list(done.weights) == keys
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name]), name
    moved = [name for name, value in taught.named_parameters() if not torch.equal(value, distiller[name])]
    assert moved, "adapters are trained beside the student"
    for name, parameter in teacher.named_parameters():
        assert parameter.grad is None, name


def test_task_terms_are_those_of_the_baseline(tiny: Student, teacher: Teacher, street: Any) -> None:
    batch = one_batch(tiny.eval(), street)
    alone = TaskObjective(TaskWeights()).terms(tiny, batch)
    taught = objective("bridgeta", tiny, LiveTeacher(teacher)).terms(tiny, batch)
    for name, term in alone.items():
        torch.testing.assert_close(taught[name], term)


def test_the_first_stage_of_tinybev_has_no_tasks(tiny: Student, teacher: Teacher, street: Any) -> None:
    terms = objective("tinybev", tiny, LiveTeacher(teacher)).terms(tiny, one_batch(tiny, street, progress=0.0))
    assert float(terms["heatmap"].detach()) == 0 and float(terms[f"{PREFIX}feature"].detach()) > 0


def test_resuming_continues_to_the_bit(
    tiny: Student, teacher: Teacher, street: Any, cache: TeacherCache, tmp_path: Path
) -> None:
    class Stopped(Exception):
        pass

    def stop(step: int, weights: object) -> None:
        raise Stopped

    config, files = replace(CONFIG, steps=4, save_every=2), RunFiles(tmp_path / "t.pt")

    def trained(files: RunFiles | None, resume: bool, progress: Progress | None = None) -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        student = untrained_student("tinybev_r18_small", SIZES, 0)
        taught = objective("dualdistill", student, CachedTeacher(cache))
        more: dict[str, Any] = {"files": files, "recall": cache, "resume": resume, "progress": progress}
        return fit(fabric_of(config, "cpu"), student, taught, street, config, **more).weights

    whole = trained(None, False)
    with pytest.raises(Stopped):
        trained(files, False, Progress(on_save=stop))
    again = trained(files, True)
    for name, value in whole.items():
        assert torch.equal(again[name], value), name


def test_a_cache_refuses_what_it_has_not_seen(tiny: Student, street: Any, cache: TeacherCache, tmp_path: Path) -> None:
    still = Augmentation(bev_rotation_deg=0, bev_flip_x=False, bev_flip_y=False, bev_scale=(1.0, 1.0))
    check_augmentation(replace(CONFIG, augmentation=still), tmp_path)
    check_augmentation(CONFIG, tmp_path)
    for name, value in {
        "bev_rotation_deg": 1.0,
        "bev_flip_x": True,
        "bev_flip_y": True,
        "bev_scale": (1.0, 1.1),
        "bev_translation_m": 0.5,
    }.items():
        with pytest.raises(TrainingError, match=rf"augments \({name}\)"):
            check_augmentation(replace(CONFIG, augmentation=replace(still, **{name: value})), tmp_path)
    with pytest.raises(DataSetError, match="1 of this training's 1 are not in it"):
        cache.check_holds(("another",))
    with pytest.raises(TrainingError, match="was loaded without"):
        CachedTeacher(cache).taps(one_batch(tiny, street))


def test_dualdistill_needs_the_head_of_a_cached_teacher(tiny: Student, cache: TeacherCache) -> None:
    objective("dualdistill", tiny, CachedTeacher(cache))
    (cache.folder / CHECKPOINT).unlink()
    with pytest.raises(TrainingError, match="own_head"):
        objective("dualdistill", tiny, CachedTeacher(cache))


def test_a_teacher_of_another_extent_is_refused(tiny: Student) -> None:
    near = untrained_teacher("planner_lc_small", {**SIZES, "cell_m": 3.2, "half_extent_m": 25.6, "width": 8}, 1)
    with pytest.raises(TrainingError, match="the teacher covers"):
        objective("bridgeta", tiny, LiveTeacher(near))
