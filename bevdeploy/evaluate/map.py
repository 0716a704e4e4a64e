"""Map segmentation: IoU of each class at its best threshold, as BEVFusion reports it ("map/mean/iou@max")."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate.metric import Metric, mean_of, ratio

THRESHOLDS = (0.35, 0.40, 0.45, 0.50, 0.55, 0.60, 0.65)
"""BEVFusion (Liu et al. 2022), evaluation of map segmentation in its public code."""


class MapScore:
    """Intersections and unions over a set of frames, one pair per class and threshold.

    A cell counts as predicted where its probability is at least the threshold. Frames are added to the same sums, so a
    frame weighs as much as it has cells of the class. Cells are those of the student's own map grid; BEVFusion's have
    0.5 m over +-50 m, and another cell size gives another number.
    """

    def __init__(self, classes: Sequence[str], thresholds: Sequence[float] = THRESHOLDS, grid: str = "") -> None:
        self.classes = tuple(classes)
        self.thresholds = tuple(thresholds)
        self.grid = grid
        """Extent and cell size in words, for the protocol."""
        self.intersections = np.zeros((len(self.classes), len(self.thresholds)), np.int64)
        self.unions = np.zeros_like(self.intersections)
        self.true_cells = np.zeros(len(self.classes), np.int64)

    def add(self, probabilities: NDArray[np.float32], masks: NDArray[np.bool_]) -> None:
        """One frame.

        Args:
            probabilities: [C, Y, X].
            masks: [C, Y, X] true cells.

        Raises:
            DataSetError: the shapes differ, or a probability is NaN.
        """
        expected = (len(self.classes), *np.shape(masks)[1:])
        if np.shape(probabilities) != expected or np.shape(masks) != expected:
            raise DataSetError(
                f"map: expected {expected} cells, got {np.shape(probabilities)} probabilities and "
                f"{np.shape(masks)} true cells; the masks must be made for the student's grid"
            )
        if np.isnan(probabilities).any():
            raise DataSetError("map: a probability is NaN; the network that made it overflows")
        true = np.asarray(masks, np.bool_)
        self.true_cells += true.sum((1, 2))
        for column, threshold in enumerate(self.thresholds):
            predicted = probabilities >= np.float32(threshold)  # [C, Y, X]
            self.intersections[:, column] += (predicted & true).sum((1, 2))
            self.unions[:, column] += (predicted | true).sum((1, 2))

    def iou(self) -> dict[str, float | None]:
        """IoU by class at the class's best threshold; None for classes that never occur."""
        return {
            name: max(ratio(int(i), int(u)) or 0.0 for i, u in zip(intersections, unions, strict=True))
            if cells
            else None
            for name, intersections, unions, cells in zip(
                self.classes, self.intersections, self.unions, self.true_cells, strict=True
            )
        }

    def best_threshold(self) -> dict[str, float | None]:
        """The threshold at which each class has its IoU, the lowest of equals."""
        best = (self.intersections / np.maximum(self.unions, 1)).argmax(1)  # [C]
        return {
            name: self.thresholds[column] if cells else None
            for name, column, cells in zip(self.classes, best, self.true_cells, strict=True)
        }

    def metrics(self) -> tuple[Metric, ...]:
        """The mean over the classes that occur, then each class."""
        low, high = min(self.thresholds), max(self.thresholds)
        protocol = f"IoU at the best of {len(self.thresholds)} thresholds {low:.2f}..{high:.2f}"
        protocol += f", {self.grid}" if self.grid else ""
        ious = self.iou()
        occurring = [value for value in ious.values() if value is not None]
        mean = mean_of(occurring)
        none = "no class occurs in the true maps"
        missing = len(self.classes) - len(occurring)
        of = f"mean over {len(occurring)} of {len(self.classes)} classes" if missing else "mean over the classes"
        rows = [
            Metric(
                task="map",
                name="mean IoU",
                value=mean,
                unit="share",
                better="up",
                protocol=f"{protocol}, {of}",
                count=int(self.true_cells.sum()),
                reason=none if mean is None else None,
                headline=True,
            )
        ]
        for (name, value), cells in zip(ious.items(), self.true_cells, strict=True):
            reason = "the class never occurs in the true maps" if value is None else None
            rows.append(Metric("map", f"IoU {name}", value, "share", "up", protocol, int(cells), reason))
        return tuple(rows)
