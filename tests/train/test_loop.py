"""The loop: it learns, a broken training goes on to the bit, and what cannot go on says why."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bevdeploy.errors import TrainingError
from bevdeploy.models import Student
from bevdeploy.runtime.postprocess import boxes_from_codes
from bevdeploy.train import Progress, RunFiles, TaskObjective, TaskWeights, TrainBatch, TrainConfig, fabric_of, fit
from bevdeploy.train.config import with_overrides
from bevdeploy.train.detection_targets import cells_of_boxes
from bevdeploy.train.loading import batches
from bevdeploy.train.training_log import read_log

CONFIG = TrainConfig(steps=6, batch=2, warmup_steps=2, save_every=3, log_every=1, ema_decay=0.9)
StreetOf = Callable[[Student, int], Any]
ROOT = Path(__file__).resolve().parents[2]


def fitted(student: Student, source: Any, config: TrainConfig = CONFIG, **options: Any) -> dict[str, Tensor]:
    return fit(fabric_of(config, "cpu"), student, TaskObjective(config.weights), source, config, **options).weights


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.slow
def test_a_handful_of_keyframes_is_learnt_by_heart(tiny: Student, street_of: StreetOf) -> None:
    """After 150 steps, nearly every true box that stands alone is found by a box of its class within a metre."""
    source = street_of(tiny, 2)
    rows = []
    config = TrainConfig(steps=150, batch=2, learning_rate=4e-3, warmup_steps=10, ema_decay=0.0)
    fitted(tiny, source, config, progress=Progress(on_row=rows.append))
    assert rows[-1].loss < 0.25 * rows[0].loss
    assert all(rows[-1].terms[name] < 0.5 * rows[0].terms[name] for name in ("heatmap", "boxes", "map", "plan"))

    spec = tiny.spec
    (batch,) = batches(source, spec, config.centres, batch=2, seed=0, steps=range(1))
    tiny.train()  # batch statistics, as they were trained with
    with torch.no_grad():
        outputs = tiny(batch.inputs())
    group_of_class = np.array(spec.tasks.group_of_class)
    found, total = 0, 0
    for k in range(2):
        agents = outputs.agents[k].numpy()
        labels, rows_y, columns = np.unravel_index(agents, outputs.heatmap.shape[1:])
        groups = group_of_class[labels]
        codes = outputs.box_codes[k].numpy()[groups, :, rows_y, columns]
        boxes = boxes_from_codes(codes, rows_y, columns, spec.geometry.grid)
        true = batch.targets.boxes[k, batch.targets.labels[k] >= 0].numpy()
        true_labels = batch.targets.labels[k, : len(true)].numpy()
        cells = np.floor(cells_of_boxes(true, spec.geometry.grid))
        for n, (box, label) in enumerate(zip(true, true_labels, strict=True)):
            beside = (abs(cells - cells[n]).max(1) <= 1) & (group_of_class[true_labels] == group_of_class[label])
            if beside.sum() == 1:  # peaks of one group in neighbouring cells hide each other at cells of 6.4 m
                near = np.linalg.norm(boxes[:, :2] - box[:2], axis=1) < 1
                found += bool((near & (labels == label)).any())
                total += 1
    assert total > 12 and found > 0.8 * total, f"{found} of {total}"
    assert (outputs.map_logits.sigmoid() > 0.5).eq(batch.targets.map_masks > 0.5).float().mean() > 0.95


def test_a_training_that_was_broken_off_goes_on_to_the_bit(tiny: Student, street_of: StreetOf, tmp_path: Path) -> None:
    source = street_of(tiny, 5)
    first = {key: value.clone() for key, value in tiny.state_dict().items()}
    straight = fitted(tiny, source, files=RunFiles(tmp_path / "a.train.pt", tmp_path / "a.csv"), seed=7)
    last = {key: value.clone() for key, value in tiny.state_dict().items()}
    assert not same(straight, last), "the averaged weights are not the last ones"

    class Broken(Exception):
        pass

    def break_off(row: Any) -> None:
        if row.step == 5:
            raise Broken

    files = RunFiles(tmp_path / "b.train.pt", tmp_path / "b.csv")
    tiny.load_state_dict(first)
    with pytest.raises(Broken):
        fitted(tiny, source, files=files, seed=7, progress=Progress(on_row=break_off))
    assert [row["step"] for row in read_log(tmp_path / "b.csv")] == [1, 2, 3, 4, 5]
    torch.manual_seed(99)
    tiny.load_state_dict({key: torch.zeros_like(value) for key, value in first.items()})
    assert same(fitted(tiny, source, files=files, seed=7, resume=True), straight)
    assert same(tiny.state_dict(), last)
    logs = [read_log(tmp_path / f"{name}.csv") for name in "ab"]
    timing = ("keyframes_per_s", "loading_share", "memory_mb")
    for ours, theirs in zip(*logs, strict=True):
        assert {k: v for k, v in ours.items() if k not in timing} == {
            k: v for k, v in theirs.items() if k not in timing
        }
    assert [row["step"] for row in logs[1]] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on_to_the_bit(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import importlib.util, os, signal, sys
        from pathlib import Path
        import torch
        from bevdeploy.models.untrained import untrained_student
        from bevdeploy.train import Progress, RunFiles, TaskObjective, TrainConfig, fabric_of, fit
        spec = importlib.util.spec_from_file_location("street", sys.argv[1])
        street = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(street)
        out, kill = Path(sys.argv[2]), int(sys.argv[3])
        sizes = {"image_height_px": 64, "image_width_px": 176, "cell_m": 6.4}
        student = untrained_student("tinybev_r18_small", sizes, 0)
        config = TrainConfig(steps=6, batch=2, warmup_steps=2, save_every=3, log_every=1, ema_decay=0.9)
        def on_row(row):
            if row.step == kill:
                os.kill(os.getpid(), signal.SIGKILL)
        done = fit(fabric_of(config, "cpu"), student, TaskObjective(config.weights), street.Street(student, 5), config,
                   seed=7, workers=1, files=RunFiles(out.with_suffix(".train.pt")), progress=Progress(on_row=on_row),
                   resume=out.with_suffix(".train.pt").exists())
        torch.save(done.weights, out)
        """
    )

    def train(name: str, kill: int) -> int:
        command = [sys.executable, "-c", script, str(ROOT / "tests/train/conftest.py"), str(tmp_path / name), str(kill)]
        run = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
        assert run.returncode in (0, -signal.SIGKILL), run.stderr.decode()[-2000:]
        return run.returncode

    assert train("straight.pt", 0) == 0
    assert train("killed.pt", 5) == -signal.SIGKILL and not (tmp_path / "killed.pt").exists()
    assert train("killed.pt", 0) == 0
    assert same(torch.load(tmp_path / "straight.pt"), torch.load(tmp_path / "killed.pt"))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["none", "direct"])
def test_two_processes_train_one_student(tmp_path: Path, method: str) -> None:
    """Through torchrun; both end with the same weights, which are those of one process on both batches at once.

    Batch norms see half a batch each, so they are frozen; what is left are sums in another order.
    """
    script = tmp_path / "both.py"
    script.write_text(
        textwrap.dedent(
            """
            import importlib.util, sys
            from dataclasses import replace
            from pathlib import Path
            import torch
            from bevdeploy.distill.methods import build_distiller
            from bevdeploy.distill.taps import student_form
            from bevdeploy.models.teachers.untrained import untrained_teacher
            from bevdeploy.models.untrained import untrained_student
            from bevdeploy.train import TaskObjective, TaskWeights, TrainConfig, fabric_of, fit
            from bevdeploy.train.distill_objective import DistillObjective
            from bevdeploy.train.taught import LiveTeacher
            spec = importlib.util.spec_from_file_location("street", sys.argv[1])
            street = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(street)
            sizes = {"image_height_px": 64, "image_width_px": 176, "cell_m": 6.4}
            student = untrained_student("tinybev_r18_small", sizes, 0)
            only = {name: 0.0 for name in vars(TaskWeights())} | {"plan": 1.0}
            config = TrainConfig(steps=3, batch=int(sys.argv[3]), warmup_steps=0, ema_decay=0, frozen_norms=True,
                                 learning_rate=1e-4, weights=TaskWeights(**only))
            fabric = fabric_of(config, "cpu")
            objective = TaskObjective(config.weights)
            if sys.argv[4] != "none":
                small = {**sizes, "width": 8, "ego_state": False}
                teacher = LiveTeacher(untrained_teacher("planner_lc_small", small, 1))
                torch.manual_seed(0)
                distiller = build_distiller(sys.argv[4], student_form(student), teacher.form, {"outputs": []})
                objective = DistillObjective(distiller, teacher, config.weights)
            done = fit(fabric, student, objective, street.Street(student, 4), config)
            torch.save(done.weights, f"{sys.argv[2]}.{fabric.global_rank}")
            """
        )
    )
    street, out = str(ROOT / "tests/train/conftest.py"), str(tmp_path / "w")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    run = subprocess.run([*launch, str(script), street, out, "1", method], cwd=tmp_path, env=env, capture_output=True)
    assert run.returncode == 0, run.stderr.decode()[-3000:]
    run = subprocess.run(
        [sys.executable, str(script), street, out + "1", "2", method], cwd=tmp_path, env=env, capture_output=True
    )
    assert run.returncode == 0, run.stderr.decode()[-3000:]
    first, second, alone = (torch.load(name) for name in (out + ".0", out + ".1", out + "1.0"))
    assert same(first, second)
    worst = max(float((first[key].float() - alone[key].float()).abs().max()) for key in first)
    # AdamW moves a weight by up to the rate (1e-4) per step whatever its gradient; where rounding decides its sign, by
    # twice that. A wrong average (a sum, or one process's gradient) moves most weights so.
    moved = torch.cat([(first[key].float() - alone[key].float()).abs().flatten() for key in first])
    assert worst < 6.1e-4 and float((moved > 2e-5).float().mean()) < 0.01


def test_frozen_norms_keep_their_statistics(tiny: Student, street_of: StreetOf) -> None:
    source = street_of(tiny, 2)
    before = {key: value.clone() for key, value in tiny.state_dict().items()}
    fitted(tiny, source, replace(CONFIG, steps=1, frozen_norms=True))
    statistics = [key for key in before if "running_" in key]
    assert statistics and all(torch.equal(before[key], tiny.state_dict()[key]) for key in statistics)
    fitted(tiny, source, replace(CONFIG, steps=1))
    assert not any(torch.equal(before[key], tiny.state_dict()[key]) for key in statistics if "running_mean" in key)


@pytest.mark.parametrize("precision", ["bf16-mixed"])
def test_other_precisions_learn_too(tiny: Student, street_of: StreetOf, precision: Any) -> None:
    rows: list[Any] = []
    config = replace(CONFIG, steps=8, precision=precision, learning_rate=1e-3)
    done = fitted(tiny, street_of(tiny, 2), config, progress=Progress(on_row=rows.append))
    assert rows[-1].loss < 0.7 * rows[0].loss
    assert all(value.dtype != torch.bfloat16 for value in done.values())


def test_every_parameter_is_trained(tiny: Student, street_of: StreetOf) -> None:
    before = {name: parameter.detach().clone() for name, parameter in tiny.named_parameters()}
    fitted(tiny, street_of(tiny, 2), replace(CONFIG, steps=3, weight_decay=0.0, learning_rate=1e-3))
    # a bias before a softmax over queries' keys moves nothing: attention does not change when all keys shift alike
    still = [name for name, value in tiny.named_parameters() if torch.equal(before[name], value)]
    assert still == []


class Spoiled:
    """An objective that breaks at one step."""

    def __init__(self, at: int, value: float, through_gradient: bool = False) -> None:
        self.at, self.value, self.through_gradient, self.step = at, value, through_gradient, 0

    def terms(self, student: Student, batch: TrainBatch) -> dict[str, Tensor]:
        outputs = student(batch.inputs())
        terms = {"good": outputs.map_logits.square().mean(), "other": outputs.plans.square().mean()}
        if self.step == self.at:
            zero = (outputs.plans * 0).sum()
            terms["other"] = zero.abs().sqrt() if self.through_gradient else terms["other"] * self.value
        self.step += 1
        return terms


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_named_with_step_and_keyframes(
    tiny: Student, street_of: StreetOf, value: float
) -> None:
    source = street_of(tiny, 2)
    with pytest.raises(TrainingError) as caught:
        fit(fabric_of(CONFIG, "cpu"), tiny, Spoiled(2, value), source, CONFIG)
    message = str(caught.value)
    assert message.startswith(f"step 2: other is {value}") and "good" not in message
    assert all(token in message for token in source.tokens)


def test_a_gradient_that_is_not_finite_is_named(tiny: Student, street_of: StreetOf) -> None:
    with pytest.raises(
        TrainingError, match=r"^step 1: the gradient of .*planning\..* is not finite, on keyframes street"
    ):
        fit(fabric_of(CONFIG, "cpu"), tiny, Spoiled(1, 1.0, through_gradient=True), street_of(tiny, 2), CONFIG)
    assert all(bool(parameter.isfinite().all()) for parameter in tiny.parameters()), "the step was not taken"


def test_an_objective_without_terms_is_refused(tiny: Student, street_of: StreetOf) -> None:
    none = TaskWeights(**dict.fromkeys(vars(TaskWeights()), 0.0))
    with pytest.raises(TrainingError, match=r"every weight is 0; raise one in the table \[weights\]"):
        fitted(tiny, street_of(tiny, 1), replace(CONFIG, weights=none))


def test_another_training_is_not_gone_on_with(tiny: Student, street_of: StreetOf, tmp_path: Path) -> None:
    files = RunFiles(tmp_path / "s.train.pt")
    source = street_of(tiny, 3)
    fitted(tiny, source, replace(CONFIG, steps=3), files=files)
    changed: list[tuple[str, TrainConfig, Any, dict[str, Any]]] = [
        ("config", replace(CONFIG, steps=3, learning_rate=1.0), source, {}),
        ("config", replace(CONFIG, steps=4), source, {}),
        ("data", replace(CONFIG, steps=3), street_of(tiny, 2), {}),
        ("seed", replace(CONFIG, steps=3), source, {"seed": 1}),
        ("student", replace(CONFIG, steps=3), source, {"identity": "another"}),
    ]
    for what, config, data, options in changed:
        with pytest.raises(TrainingError, match=rf"s\.train\.pt: was begun with {what} "):
            fitted(tiny, data, config, files=files, resume=True, **options)
    with pytest.raises(TrainingError, match="no such file, there is nothing to go on from"):
        fitted(tiny, source, files=RunFiles(tmp_path / "other.train.pt"), resume=True)
    fitted(tiny, source, replace(CONFIG, steps=3, log_every=2), files=files, resume=True)


class WithAdapter(nn.Module):
    """An objective with parameters of its own, as distillers have."""

    def __init__(self) -> None:
        super().__init__()
        self.adapter = nn.Conv2d(64, 64, 1)
        self.seen: list[float] = []

    def terms(self, student: Student, batch: TrainBatch) -> dict[str, Tensor]:
        self.seen.append(batch.progress)
        return {"feature": (self.adapter(student(batch.inputs()).bev) - 1).square().mean()}


def test_an_objective_s_own_parameters_are_trained_and_kept_in_the_state(
    tiny: Student, street_of: StreetOf, tmp_path: Path
) -> None:
    objective = WithAdapter()
    before = objective.adapter.weight.detach().clone()
    files = RunFiles(tmp_path / "s.train.pt")
    done = fit(fabric_of(CONFIG, "cpu"), tiny, objective, street_of(tiny, 2), CONFIG, files=files)
    assert not torch.equal(before, objective.adapter.weight)
    assert objective.seen == pytest.approx([k / 6 for k in range(6)])
    assert done.weights.keys() == tiny.state_dict().keys(), "of the student alone"
    state = torch.load(tmp_path / "s.train.pt", weights_only=True)
    assert torch.equal(state["trained"]["objective.adapter.weight"], objective.adapter.weight)


def test_overrides_make_another_training() -> None:
    assert with_overrides(CONFIG, steps=9, batch=None) == replace(CONFIG, steps=9)
