"""`bevdeploy eval`: accuracy of exactly what ships."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    data: Annotated[Path, typer.Argument(help="nuScenes root, or the folder of its index.")],
    engine: Annotated[
        Path | None, typer.Option("--engine", help="ONNX file, plan or checkpoint, its contract beside it.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option("--results", help="Instead: a file of detections in nuScenes' format.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split or scene. Without: val, mini_val of v1.0-mini, or all scenes.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="Tables of a root that has several versions.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Keyframes at most.")] = None,
    tasks: Annotated[
        str | None, typer.Option(help="Of detection,tracking,map,occupancy,motion,planning; all without.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--against", help="Another engine, or the JSON report of an earlier eval.")
    ] = None,
    floor: Annotated[float, typer.Option(min=0.0, help="Against: points that a metric may be worse.")] = 0.2,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for results_nusc.json, scores.json, index.html.")
    ] = None,
    ego_motion: Annotated[
        bool,
        typer.Option("--ego-motion/--static-rig", help="Fold the motion from camera to key time into each rig."),
    ] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on a keyframe without its images.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads inside one operator.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")] = None,
) -> None:
    """Score an engine, through the pipeline that ships, or a file of detections, on annotated keyframes.

    Exit code 3 with --against when any metric is worse than the other's by more than --floor. A point is a hundredth:
    one percent of a share, a centimetre of a length.
    """
    from bevdeploy.cli.console import say, write_report
    from bevdeploy.evaluate.metric import TASKS
    from bevdeploy.jobs.evaluate import evaluate_engine
    from bevdeploy.jobs.evaluate_results import evaluate_results
    from bevdeploy.jobs.evaluation import EvalOptions
    from bevdeploy.jobs.keyframes import index_of, keyframes_of_split
    from bevdeploy.paths import check_writable
    from bevdeploy.report.eval_card import eval_card

    if (engine is None) == (results is None):
        raise typer.BadParameter("give either --engine FILE or --results FILE")
    wanted = tuple(tasks.split(",")) if tasks else TASKS if results is None else ("detection",)
    unknown = [name for name in wanted if name not in TASKS]
    if unknown:
        raise typer.BadParameter(f"no task {unknown[0]!r}; there is {', '.join(TASKS)}", param_hint="--tasks")
    if json_file is not None:
        check_writable(json_file)
    index = index_of(data, version, lambda text: typer.echo(text, err=True))
    keyframes = keyframes_of_split(index, split, limit, strict, images=results is None, ego_motion=ego_motion)
    options = EvalOptions(wanted, floor, output, threads)
    with _progress(len(keyframes)) as (advance, stage):
        if results is not None:
            report = evaluate_results(results, keyframes, options, against, stage)
        else:
            assert engine is not None
            report = evaluate_engine(engine, keyframes, options, against, advance, stage)
    say(eval_card(report))
    if output is not None:
        say(f"report: {output / 'index.html'}")
    write_report(json_file, report)
    if not report.passed:
        raise typer.Exit(3)


@contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[[int], None], Callable[[str], None]]]:
    """A bar over the keyframes whose text says what happens now."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("opening", total=total)
        yield (
            lambda done: progress.update(task, completed=done),
            lambda text: progress.update(task, description=text),
        )
