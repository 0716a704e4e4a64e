"""Every method against the baseline on the synthetic world: paired seeds, one budget, gains with intervals, and cost.

    python -m benchmarks.distill --root world --teacher cache --out study --markdown docs/distill_results.md

The world is made where it is missing, and so is the teacher's cache (`bevdeploy teach planner_lc_small`). A study that
was stopped goes on: a training that has ended is not repeated, and all methods have one seed before the next begins.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from benchmarks.distill_cost import memory_mb, step_costs
from benchmarks.distill_runs import Study, evaluated_runs, trained_runs
from benchmarks.distill_table import gains, markdown_of_runs
from benchmarks.side_by_side import Turns, conditions, document_of, markdown_of, replace_section
from bevdeploy.data.index_places import versions_of
from bevdeploy.data.world import WorldOptions, write_world
from bevdeploy.distill.methods import DISTILLERS
from bevdeploy.engines.machine import machine_state
from bevdeploy.jobs.keyframes import index_of
from bevdeploy.jobs.taught_objective import ALONE
from bevdeploy.jobs.teach import TeachOptions, teach
from bevdeploy.paths import write_text
from bevdeploy.train import load_train_config
from bevdeploy.train.config import with_overrides
from bevdeploy.train.teacher_cache import HEADER

SCENES, KEYFRAMES, WORLD_SEED = 50, 40, 1
"""Of the world that is made; ten of the scenes are of `val`."""
TEACHER = "planner_lc_small"
SIZES = {"image_height_px": 96, "image_width_px": 256, "cell_m": 0.8, "half_extent_m": 25.6}
"""Of student and teacher: 6 x 96 x 256 images, 64 x 64 cells."""
TEACHER_STEPS = 600


def main() -> None:
    options = _arguments().parse_args()
    torch.set_num_threads(options.threads)
    config = with_overrides(load_train_config(options.preset), steps=options.steps, batch=options.batch)
    before = machine_state()
    if not options.root.is_dir():
        tell(f"making a world in {options.root}")
        write_world(options.root, WorldOptions(SCENES, KEYFRAMES, seed=WORLD_SEED, version="v1.0-trainval"))
    index_of(options.root, None, tell)
    if not (options.teacher / HEADER).is_file():
        tell(f"training {TEACHER} and writing its cache")
        training = with_overrides(load_train_config("small-world"), steps=TEACHER_STEPS)
        teach(TeachOptions(TEACHER, options.root, options.teacher, training, {**SIZES, "ego_state": False}, sweeps=1))
    study = Study(
        options.root,
        options.teacher,
        "tinybev_r18_small",
        SIZES,
        config,
        options.out,
        options.train_keyframes,
        options.val_keyframes,
    )
    methods = [ALONE, *(method for method in options.methods if method != ALONE)]
    began = time.perf_counter()
    runs = evaluated_runs(study, trained_runs(study, methods, range(options.seeds), tell), tell)
    minutes = (time.perf_counter() - began) / 60
    turns = Turns(rounds=options.rounds, calls=1)
    times, goals = step_costs(study, methods, turns)
    memory = memory_mb(study, methods)
    document = document_of(
        "Distillers on the synthetic world",
        [times],
        goals,
        turns,
        options.threads,
        {"torch": torch.__version__},
        (before, machine_state()),
        runs=[run.__dict__ for run in runs],
        gains={m: {key: gain.__dict__ for key, gain in each.items()} for m, each in gains(runs).items()},
        memory_mb={method: list(peaks) for method, peaks in memory.items()},
        versions_of_data=list(versions_of(options.root)),
        minutes=minutes,
    )
    budget = (
        f"{config.steps} steps of {config.batch} keyframes for every run, {len(runs)} runs; student "
        f"`{study.student}` {SIZES}; scored on {len(study.keyframes())} keyframes of `val`, other scenes."
    )
    base = memory[ALONE][1]
    shown = ["| method | peak memory, teacher running | teacher cached |", "| --- | ---: | ---: |"]
    shown += [
        f"| `{m}` | {running - base:+.0f} MB | {cached - base:+.0f} MB |" for m, (running, cached) in memory.items()
    ]
    text = "\n".join([conditions(document), "", budget, "", markdown_of_runs(runs)])
    cost = "\n".join([markdown_of(document), "", f"Memory against `{ALONE}` ({base:.0f} MB):", "", *shown])
    print(text, cost, sep="\n\n")
    if options.json:
        write_text(options.json, json.dumps(document, indent=1, default=str) + "\n")
    if options.markdown:
        replace_section(options.markdown, "distill_gains", text)
        replace_section(options.markdown, "distill_cost", cost)


def tell(text: str) -> None:
    """A line with the time, at once."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="nuScenes root; made where it is missing")
    parser.add_argument("--teacher", type=Path, required=True, help="a teacher's cache; made where it is missing")
    parser.add_argument("--out", type=Path, required=True, help="folder of the study")
    parser.add_argument("--preset", default="small-world-study", help="training")
    parser.add_argument("--steps", type=int, help="of every run; the preset's own without")
    parser.add_argument("--batch", type=int, help="keyframes per step; the preset's own without")
    parser.add_argument("--methods", nargs="+", default=list(DISTILLERS), choices=list(DISTILLERS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train-keyframes", type=int, help="the first ones of train; all without")
    parser.add_argument("--val-keyframes", type=int, default=200, help="spread over val")
    parser.add_argument("--rounds", type=int, default=7, help="of the timing of steps")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write everything that was measured")
    parser.add_argument("--markdown", type=Path, help="write the tables between the markers of this file")
    return parser


if __name__ == "__main__":
    main()
