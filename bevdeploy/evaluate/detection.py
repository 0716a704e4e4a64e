"""Detection: mean AP, NDS and the five errors, by the devkit's own evaluator (detection_cvpr_2019).

nuScenes, Caesar et al. 2020, section 3.1: matches by centre distance at 0.5, 1, 2 and 4 m; errors at 2 m.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate.metric import Better, Metric, Unit, mean_of
from bevdeploy.evaluate.result_file import Rows, checked_results, read_results
from bevdeploy.evaluate.split import blank, devkit, tokens_of_split

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

CONFIG = "detection_cvpr_2019"
ERRORS: Mapping[str, tuple[str, Unit]] = {
    "trans_err": ("mATE", "m"),
    "scale_err": ("mASE", "share"),
    "orient_err": ("mAOE", "rad"),
    "vel_err": ("mAVE", "m/s"),
    "attr_err": ("mAAE", "share"),
}
"""The devkit's name of each true positive error, the published name and the unit."""

NEVER_OCCURS = "the class never occurs in the true boxes"


@dataclass(frozen=True, eq=False)
class DetectionScore:
    """What the devkit's evaluator says of a set of boxes."""

    split: str | None
    samples: int
    samples_of_split: int
    boxes: int
    """Predicted boxes within range."""
    true_boxes: Mapping[str, int]
    """By class, within range and with at least one point inside."""
    mean_ap: float | None
    """Over ten classes and four distances; a class that never occurs counts as 0, as the devkit counts it."""
    nds: float | None
    errors: Mapping[str, float | None]
    """By the devkit's name; classes that never occur count as 1, as the devkit counts them."""
    ap: Mapping[str, Mapping[float, float] | None]
    """By class, then distance (m); None for classes that never occur."""
    class_errors: Mapping[str, Mapping[str, float | None]]
    """By class, then the devkit's name; None where the class never occurs or has no such error."""

    @property
    def complete(self) -> bool:
        """Every sample of the split has been scored: the number may stand beside published ones."""
        return self.samples == self.samples_of_split

    @property
    def mean_ap_present(self) -> float | None:
        """Mean AP over the classes that occur."""
        return mean_of([sum(by.values()) / len(by) for by in self.ap.values() if by is not None])

    @property
    def protocol(self) -> str:
        """What was scored, for a table."""
        span = "all" if self.complete else f"{self.samples} of {self.samples_of_split}"
        return f"{CONFIG}, {self.split or 'all scenes'}, {span} samples"

    def metrics(self) -> tuple[Metric, ...]:
        """Mean AP and NDS, the five errors, AP of each class."""
        none = "there is no true box within range"
        total = sum(self.true_boxes.values())

        def row(
            name: str, value: float | None, unit: Unit, better: Better, count: int, reason: str, headline: bool = False
        ) -> Metric:
            why = reason if value is None else None
            return Metric("detection", name, value, unit, better, self.protocol, count, why, headline)

        rows = [
            row("mAP", self.mean_ap, "share", "up", total, none, True),
            row("NDS", self.nds, "share", "up", total, none, True),
            row("mAP of classes present", self.mean_ap_present, "share", "up", total, none),
        ]
        for name, (published, unit) in ERRORS.items():
            rows.append(row(published, self.errors[name], unit, "down", total, none))
        for name, by_distance in self.ap.items():
            ap = None if by_distance is None else sum(by_distance.values()) / len(by_distance)
            rows.append(row(f"AP {name}", ap, "share", "up", self.true_boxes[name], NEVER_OCCURS))
        return tuple(rows)


def score_detection(database: NuScenes, results: Path | Rows, split: str | None = None) -> DetectionScore:
    """Score boxes in the global frame.

    Only the samples that `results` names are scored. For a complete split this equals the devkit's `DetectionEval`.

    Args:
        database: the devkit's tables.
        results: a result file, or its rows by sample token.
        split: a split's name; None for all samples of the tables.

    Raises:
        DataSetError: the results are malformed, empty or of samples outside the split, or tables are damaged.
        MissingDependencyError: nuscenes-devkit is not installed.
    """
    source, rows = _rows_of(database, results)
    of_split = tokens_of_split(database, split)
    outside = set(rows) - set(of_split)
    if outside:
        raise DataSetError(
            f"{source}: {len(outside)} of {len(rows)} samples are not in the split {split!r}, one is {min(outside)}; "
            "name the split they are of"
        )
    if not rows:
        raise DataSetError(f"{source}: no sample in it; nothing can be scored")
    with devkit(database):
        from nuscenes.eval.common.config import config_factory
        from nuscenes.eval.common.data_classes import EvalBoxes
        from nuscenes.eval.common.loaders import add_center_dist, filter_eval_boxes, load_gt_of_sample_tokens
        from nuscenes.eval.detection.data_classes import DetectionBox
        from nuscenes.eval.detection.evaluate import DetectionEval

        config = config_factory(CONFIG)
        predicted = EvalBoxes.deserialize(rows, DetectionBox)
        true = load_gt_of_sample_tokens(database, [token for token in of_split if token in rows], DetectionBox)
        for boxes in (predicted, true):
            add_center_dist(database, boxes)
            if boxes.all:  # the devkit cannot filter nothing
                filter_eval_boxes(database, boxes, config.class_range)
        metrics, _ = blank(
            DetectionEval, nusc=database, cfg=config, verbose=False, pred_boxes=predicted, gt_boxes=true
        ).evaluate()
        summary = metrics.serialize()
        names = tuple(config.class_names)
        true_names = [box.detection_name for box in true.all]
    count = {name: true_names.count(name) for name in names}
    any_true = bool(true_names)
    return DetectionScore(
        split=split,
        samples=len(rows),
        samples_of_split=len(of_split),
        boxes=len(predicted.all),
        true_boxes=count,
        mean_ap=summary["mean_ap"] if any_true else None,
        nds=summary["nd_score"] if any_true else None,
        errors={name: summary["tp_errors"][name] if any_true else None for name in ERRORS},
        ap={
            name: {float(at): float(ap) for at, ap in summary["label_aps"][name].items()} if count[name] else None
            for name in names
        },
        class_errors={
            name: {error: _finite(summary["label_tp_errors"][name][error]) if count[name] else None for error in ERRORS}
            for name in names
        },
    )


def _rows_of(database: NuScenes, results: Path | Rows) -> tuple[str, Rows]:
    known = {row["token"] for row in database.sample}
    if isinstance(results, Path):
        return str(results), read_results(results, known).results
    return "results", checked_results(results, "results", known)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
