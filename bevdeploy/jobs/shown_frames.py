"""Pictures of the frames that went best and worst: computed once more, so that no output was kept meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bevdeploy.data import FrameSet
from bevdeploy.geometry.grid import BEVGrid
from bevdeploy.jobs.frame_score import inside
from bevdeploy.report import FrameTitle, jpeg_bytes
from bevdeploy.report.eval_report import ShownFrame
from bevdeploy.report.truth_picture import truth_picture
from bevdeploy.runtime import BevResult

SHOWN = 3
"""Best frames, and as many worst ones."""
DRAWN_SCORE = 0.3
"""Boxes below it are not drawn, as in `run`."""


@dataclass(frozen=True)
class FrameValue:
    """How one keyframe went."""

    row: int
    """In the index."""
    token: str
    value: float


@dataclass(frozen=True, eq=False)
class SeenFrame:
    """One keyframe once more."""

    frame_set: FrameSet | None
    """None where its images are not there."""
    truth: BevResult
    result: BevResult


def best_and_worst(values: Sequence[FrameValue], count: int) -> list[tuple[str, FrameValue]]:
    """Rank and frame: the best first, then the worst; no frame twice, and half of them each where they are few."""
    order = sorted(values, key=lambda each: (-each.value, each.row))
    best = order[: min(count, (len(order) + 1) // 2)]
    worst = order[::-1][: min(count, len(order) // 2)]
    return [
        (name if n == 0 else f"{('2nd', '3rd')[n - 1] if n < 3 else f'{n + 1}th'} {name}", each)
        for name, group in (("best", best), ("worst", worst))
        for n, each in enumerate(group)
    ]


def shown_frames(
    values: Sequence[FrameValue],
    seen: Callable[[int], SeenFrame],
    grid: BEVGrid,
    student: str,
    file: str,
    stage: Callable[[str], None] = lambda text: None,
) -> tuple[ShownFrame, ...]:
    """Pictures of the best and the worst of the frames.

    Raises:
        FrameSourceError: an image cannot be read any more.
        MissingDependencyError: Pillow is not installed.
    """
    shown = []
    for rank, each in best_and_worst(values, SHOWN):
        stage(f"drawing the {rank} frame")
        once_more = seen(each.row)
        title = FrameTitle(each.token, student, file, None, f"{rank}: frame score {each.value:.2f}")
        frame_set = once_more.frame_set
        picture = truth_picture(
            None if frame_set is None else frame_set.frames,
            None if frame_set is None else frame_set.rig,
            inside(once_more.truth, grid),
            once_more.result.above(DRAWN_SCORE),
            grid,
            title,
        )
        caption = f"Left: what is true. Right: what was predicted, boxes from score {DRAWN_SCORE:g}, true boxes dashed."
        shown.append(ShownFrame(each.token, rank, each.value, jpeg_bytes(picture), caption))
    return tuple(shown)
