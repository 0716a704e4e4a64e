"""Tracking: AMOTA and AMOTP by the devkit's own evaluator (tracking_nips_2019), of tracks that we associate.

A student emits boxes, no tracks: the number says how well its boxes and velocities can be followed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate.metric import Better, Metric, Unit
from bevdeploy.evaluate.result_file import Rows, checked_results, read_results
from bevdeploy.evaluate.split import blank, devkit, missing_libraries, tokens_of_split
from bevdeploy.evaluate.tracker import REACH_M, tracks_of_scene

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

CONFIG = "tracking_nips_2019"

MEASURES: Mapping[str, tuple[str, Unit, bool]] = {
    "amota": ("AMOTA", "share", True),
    "amotp": ("AMOTP", "m", False),
    "recall": ("recall", "share", True),
    "mota": ("MOTA", "share", True),
}
"""The devkit's name of each measure, the published name, the unit, and whether more is better."""


@dataclass(frozen=True, eq=False)
class TrackingScore:
    """What the devkit's evaluator says of a set of tracks."""

    split: str | None
    scenes: int
    """Scored: every keyframe of theirs has predictions."""
    scenes_of_split: int
    true_boxes: Mapping[str, int]
    """By class, within range and with at least one point inside."""
    summary: Mapping[str, float | None]
    """By the devkit's name, mean over the classes that occur."""
    amota: Mapping[str, float | None]
    """By class; None where the class never occurs."""
    reason: str | None = None
    """Why nothing could be measured."""

    @property
    def complete(self) -> bool:
        """Every scene of the split has been scored."""
        return self.scenes == self.scenes_of_split

    def metrics(self) -> tuple[Metric, ...]:
        """AMOTA, AMOTP, recall and MOTA, then AMOTA of each class."""
        span = "all" if self.complete else f"{self.scenes} of {self.scenes_of_split}"
        protocol = f"{CONFIG}, {self.split or 'all scenes'}, {span} scenes, greedy association by velocity"
        rows = []
        for key, (name, unit, up) in MEASURES.items():
            value = self.summary.get(key)
            reason = (self.reason or "no class occurs in the true tracks") if value is None else None
            better: Better = "up" if up else "down"
            total = sum(self.true_boxes.values())
            rows.append(Metric("tracking", name, value, unit, better, protocol, total, reason, key == "amota"))
        for name in sorted(REACH_M):
            value, count = self.amota.get(name), self.true_boxes.get(name, 0)
            reason = (self.reason or "the class never occurs in the true tracks") if value is None else None
            rows.append(Metric("tracking", f"AMOTA {name}", value, "share", "up", protocol, count, reason))
        return tuple(rows)


def score_tracking(database: NuScenes, results: Path | Rows, split: str | None = None) -> TrackingScore:
    """Associate boxes of single frames and score the tracks.

    Only scenes whose keyframes are all in `results` are scored: a track with holes is not the detector's fault. Where
    nothing can be scored, the score carries the reason.

    Args:
        database: the devkit's tables.
        results: a detection result file, or its rows by sample token.
        split: a split's name; None for all scenes of the tables.

    Raises:
        DataSetError: the results are malformed or name unknown samples, or tables are damaged.
        MissingDependencyError: nuscenes-devkit is not installed.
    """
    known = {row["token"] for row in database.sample}
    if isinstance(results, Path):
        rows = read_results(results, known).results
    else:
        rows = checked_results(results, "results", known)
    scenes = _scenes(database, tokens_of_split(database, split))
    whole = {scene: frames for scene, frames in scenes.items() if all(token in rows for token, _ in frames)}

    def none(reason: str) -> TrackingScore:
        return TrackingScore(split, len(whole), len(scenes), {}, {}, {}, reason)

    missing = missing_libraries("motmetrics", "pandas")
    if missing:
        return none(f"{' and '.join(missing)} not installed: pip install 'motmetrics>=1.4'")
    if not whole:
        return none(f"none of {len(scenes)} scenes has predictions for all its keyframes")
    tracked = {
        token: boxes for scene, frames in whole.items() for token, boxes in tracks_of_scene(scene, frames, rows).items()
    }
    with devkit(database):
        return _scored(database, split, whole, len(scenes), tracked)


def _scored(
    database: NuScenes,
    split: str | None,
    scenes: Mapping[str, list[tuple[str, int]]],
    scenes_of_split: int,
    tracked: Mapping[str, list[dict[str, Any]]],
) -> TrackingScore:
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.common.data_classes import EvalBoxes
    from nuscenes.eval.common.loaders import add_center_dist, filter_eval_boxes, load_gt_of_sample_tokens
    from nuscenes.eval.tracking.data_classes import TrackingBox
    from nuscenes.eval.tracking.evaluate import TrackingEval

    config = config_factory(CONFIG)  # before any TrackingBox: it sets the names that the class accepts
    predicted = EvalBoxes.deserialize(tracked, TrackingBox)
    true = load_gt_of_sample_tokens(database, list(tracked), TrackingBox)
    for boxes in (predicted, true):
        add_center_dist(database, boxes)
        if boxes.all:  # the devkit cannot filter nothing
            filter_eval_boxes(database, boxes, config.class_range)
    names = [box.tracking_name for box in true.all]
    _share_track_scores(predicted.all)
    metrics, _ = blank(
        TrackingEval,
        cfg=config,
        verbose=False,
        output_dir=None,
        render_classes=None,
        tracks_gt=_tracks(scenes, true),
        tracks_pred=_tracks(scenes, predicted),
    ).evaluate()
    summary = metrics.serialize()
    return TrackingScore(
        split=split,
        scenes=len(scenes),
        scenes_of_split=scenes_of_split,
        true_boxes={name: names.count(name) for name in config.class_names},
        summary={name: _finite(summary[name]) for name in MEASURES},
        amota={name: _finite(value) for name, value in summary["label_metrics"]["amota"].items()},
    )


def _scenes(database: NuScenes, tokens: Iterable[str]) -> dict[str, list[tuple[str, int]]]:
    """Sample tokens and times (us) by scene name, in order of time."""
    with devkit(database):
        names = {row["token"]: str(row["name"]) for row in database.scene}
        scenes: dict[str, list[tuple[str, int]]] = {}
        for token in tokens:
            sample = database.get("sample", token)
            scenes.setdefault(names[sample["scene_token"]], []).append((token, int(sample["timestamp"])))
    if not scenes:
        raise DataSetError(f"{database.table_root}: no scene in these tables; unpack the metadata again")
    return {name: sorted(frames, key=lambda frame: frame[1]) for name, frames in scenes.items()}


def _share_track_scores(boxes: Iterable[Any]) -> None:
    """Each box gets the mean score of its track, as the devkit's `create_tracks` does it."""
    scores: dict[str, list[float]] = defaultdict(list)
    boxes = list(boxes)
    for box in boxes:
        scores[box.tracking_id].append(box.tracking_score)
    means = {track: np.mean(values) for track, values in scores.items()}
    for box in boxes:
        box.tracking_score = means[box.tracking_id]


def _tracks(scenes: Mapping[str, list[tuple[str, int]]], boxes: Any) -> dict[str, Any]:
    """Boxes by scene and time, holes in tracks filled: the devkit's `create_tracks` for scenes of no named split."""
    from nuscenes.eval.tracking.loaders import interpolate_tracks

    tracks = {}
    for scene, frames in scenes.items():
        by_time = defaultdict(list, {time_us: list(boxes[token]) for token, time_us in frames})
        tracks[scene] = interpolate_tracks(by_time)
    return tracks


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
