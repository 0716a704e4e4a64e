"""Trainings of a study: every method with every seed on the same keyframes and one budget, resumable run by run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from benchmarks.remembered import Remembered
from bevdeploy.data.index import open_index
from bevdeploy.data.samples import Samples
from bevdeploy.jobs.evaluated_engine import EvaluatedEngine
from bevdeploy.jobs.evaluation import tables_for
from bevdeploy.jobs.keyframes import Keyframes, keyframes_of_split, rig_of_keyframe
from bevdeploy.jobs.open_pipeline import open_pipeline
from bevdeploy.jobs.taught_objective import ALONE, taught_by
from bevdeploy.models import Student, build_student, save_checkpoint
from bevdeploy.models.checkpoint import Argument
from bevdeploy.models.untrained import untrained_student
from bevdeploy.paths import write_text
from bevdeploy.train import Progress, StepRow, TrainConfig, fabric_of, fit

TASKS = ("detection", "map", "occupancy", "motion", "planning")


@dataclass(frozen=True)
class Study:
    """What all trainings share."""

    root: Path
    teacher: Path
    """A cache, or a checkpoint."""
    student: str
    arguments: Mapping[str, Argument]
    config: TrainConfig
    out: Path
    train_keyframes: int | None = None
    """The first ones of the split, every one of them without."""
    val_keyframes: int | None = None
    """Spread over the split."""

    def fresh(self, seed: int) -> Student:
        """The student before its training, the same for every method."""
        return untrained_student(self.student, self.arguments, seed)

    def source(self, student: Student) -> Remembered:
        """Keyframes of `train`, each decoded once for all trainings; without augmentation."""
        spec = student.spec
        samples = Samples(open_index(self.root, None), spec.tasks, spec.geometry, split="train", lidar_sweeps=1)
        return Remembered(samples, self.train_keyframes)

    def keyframes(self) -> Keyframes:
        """Of `val`."""
        whole = keyframes_of_split(open_index(self.root, None), "val")
        stride = max(1, len(whole) // (self.val_keyframes or len(whole)))
        return replace(whole, rows=whole.rows[::stride])


@dataclass(frozen=True)
class Run:
    """One training that has ended, and what it scored."""

    method: str
    seed: int
    steps: int
    seconds: float
    keyframes_per_s: float
    last_terms: Mapping[str, float]
    scores: Mapping[str, float] = field(default_factory=dict)
    """Metric `task/name` to its value; empty before it is evaluated."""

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.method}-seed{self.seed}"


def trained_runs(study: Study, methods: Sequence[str], seeds: Sequence[int], tell: Callable[[str], None]) -> list[Run]:
    """Train what has not been trained yet: all methods with the first seed, then all with the next."""
    source, runs = None, []
    for seed in seeds:
        for method in methods:
            path = study.out / f"{method}-seed{seed}.json"
            if not path.is_file():
                source = source or study.source(study.fresh(seed))
                run = _trained(study, source, method, seed)
                write_text(path, json.dumps(asdict(run), indent=1) + "\n")
                tell(f"{run.name}: {run.steps} steps in {run.seconds:.0f} s")
            runs.append(Run(**json.loads(path.read_text())))
    return runs


def _trained(study: Study, source: Remembered, method: str, seed: int) -> Run:
    student, config = study.fresh(seed), study.config
    taught = taught_by(method, None if method == ALONE else study.teacher, config)
    taught.check_covers(source.tokens)
    objective = taught.objective(student, config)
    rows: list[StepRow] = []
    began_s = time.perf_counter()
    done = fit(
        fabric_of(config, "auto"),
        student,
        objective,
        source,
        config,
        seed=seed,
        recall=taught.cache,
        progress=Progress(on_row=rows.append),
    )
    seconds = time.perf_counter() - began_s
    saved = build_student(study.student, study.arguments)
    saved.load_state_dict(done.weights)
    name = f"{method}-seed{seed}"
    save_checkpoint(study.out / f"{name}.pth", saved, study.arguments, f"benchmarks.distill, {name}")
    rate = config.steps * config.batch / seconds
    return Run(method, seed, config.steps, seconds, rate, dict(rows[-1].terms))


def evaluated_runs(study: Study, runs: Sequence[Run], tell: Callable[[str], None]) -> list[Run]:
    """Score what has not been scored yet; each keyframe is decoded once for all students."""
    missing = [run for run in runs if not run.scores]
    if missing:
        keyframes = study.keyframes()
        rig = rig_of_keyframe(keyframes.index, keyframes.rows[0], keyframes.ego_motion)
        paths = [study.out / f"{run.name}.pth" for run in missing]
        engines = [EvaluatedEngine(path, open_pipeline(path, rig), keyframes.index) for path in paths]
        database = tables_for(keyframes.index, TASKS)
        tell(f"scoring {len(missing)} students on {len(keyframes)} keyframes of {keyframes.split}")
        for row, frame_set in keyframes:
            for engine in engines:
                engine.add(row, frame_set.token, engine.run(row, frame_set), engine.truth(row))
        for run, engine in zip(missing, engines, strict=True):
            scores = engine.scored(database, keyframes, TASKS).scores
            values = {row["key"]: row["value"] for row in scores.rows() if row["value"] is not None}
            scored = replace(run, scores=values)
            write_text(study.out / f"{run.name}.json", json.dumps(asdict(scored), indent=1) + "\n")
            tell(f"{run.name}: map {values['map/mean IoU']:.3f}, mAP {values['detection/mAP']:.4f}")
    return [Run(**json.loads((study.out / f"{run.name}.json").read_text())) for run in runs]
