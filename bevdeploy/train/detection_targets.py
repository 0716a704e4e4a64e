"""Heat maps and box codes of the true boxes: what the detection head is trained on, in NumPy.

Heat maps are CenterNet's (Zhou et al., 2019), box codes CenterPoint's (Yin et al., 2021), in the order of the student's
decoder: offset x, y in cells; z; log width, length, height; sin, cos of yaw; velocity x, y.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bevdeploy.data.sample import Truth
from bevdeploy.geometry import BEVGrid
from bevdeploy.tasks import LOG_SIZE_RANGE, TaskSpec

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class CentreRule:
    """How large a box's peak is on the heat map, and which boxes are drawn."""

    overlap: float = 0.1
    """A box shifted by the radius along both axes still overlaps itself by this IoU."""
    min_radius_cells: float = 1.0
    """No peak is narrower. The standard deviation is (2 * radius + 1) / 6, as in CenterNet's code."""
    code_radius_cells: int = 1
    """Box codes are also trained at cells up to this far from the centre's, weighted by the peak: a peak one cell off
    then decodes to the same box. 0 trains the centre alone."""
    min_points: int = 1
    """Boxes with fewer lidar and radar points inside are left out, as in nuScenes' evaluation."""
    min_visibility: int = 1
    """nuScenes' level, 1 (0-40 %) to 4; boxes seen less are left out."""


@dataclass(frozen=True, eq=False)
class DetectionTargets:
    """M trained cells of one keyframe."""

    heatmap: Float32
    """[classes, Y, X], 1 at centres."""
    cells: Int64
    """[M] index into the flat [G*Y*X] box maps; no index twice."""
    codes: Float32
    """[M, 10] box codes as seen from that cell; NaN where the annotations do not tell."""
    weights: Float32
    """[M] 1 at centres, the peak's value beside them."""


def detection_targets(truth: Truth, grid: BEVGrid, tasks: TaskSpec, rule: CentreRule) -> DetectionTargets:
    """Targets of one keyframe; boxes with their centre outside the grid are left out.

    A cell between two centres of a group belongs to the one whose peak is higher there, a cell with two centres to the
    box with more points inside.
    """
    _, rows, columns = grid.shape_zyx
    heatmap = np.zeros((len(tasks.classes), rows, columns), np.float32)
    owner = np.full((len(tasks.detection_tasks), rows, columns), -1, np.int64)  # index into `drawn`
    height = np.zeros(owner.shape, np.float32)
    centres = cells_of_boxes(truth.boxes, grid)  # [n, 2]
    drawn = drawn_boxes(truth, grid, rule)
    drawn = drawn[np.argsort(truth.points[drawn], kind="stable")]  # the last one drawn keeps a shared cell
    sizes = truth.boxes[:, [4, 3]] / np.array(grid.cell_m[:2], np.float32)  # [n, 2] length, width in cells
    for k, box in enumerate(drawn):
        column, row = (int(v) for v in np.floor(centres[box]))
        radius = max(peak_radius(float(sizes[box, 0]), float(sizes[box, 1]), rule.overlap), rule.min_radius_cells)
        reach = math.ceil(radius)
        low_y, high_y = max(0, row - reach), min(rows, row + reach + 1)
        low_x, high_x = max(0, column - reach), min(columns, column + reach + 1)
        variance = ((2 * radius + 1) / 6) ** 2
        y = np.arange(low_y - row, high_y - row)
        x = np.arange(low_x - column, high_x - column)
        peak = np.exp(-(y[:, None] ** 2 + x[None] ** 2) / (2 * variance)).astype(np.float32)  # [y, x]
        drawing = heatmap[truth.labels[box], low_y:high_y, low_x:high_x]
        np.maximum(drawing, peak, out=drawing)
        near = np.maximum(abs(y)[:, None], abs(x)[None]) <= rule.code_radius_cells  # [y, x]
        group = tasks.group_of_class[truth.labels[box]]
        highest = height[group, low_y:high_y, low_x:high_x]
        better = near & (peak >= highest)
        highest[better] = peak[better]
        owner[group, low_y:high_y, low_x:high_x][better] = k
    groups, y_cells, x_cells = np.nonzero(owner >= 0)  # [M] each
    boxes = drawn[owner[groups, y_cells, x_cells]]  # [M]
    corner = np.stack([x_cells, y_cells], -1)  # [M, 2]
    return DetectionTargets(
        heatmap=heatmap,
        cells=(groups * rows + y_cells) * columns + x_cells,
        codes=box_codes(truth.boxes[boxes], centres[boxes] - corner),
        weights=height[groups, y_cells, x_cells],
    )


def drawn_boxes(truth: Truth, grid: BEVGrid, rule: CentreRule) -> Int64:
    """Indices of the boxes that a student is asked for: inside the grid, seen, of a known class."""
    centres = cells_of_boxes(truth.boxes, grid)
    inside = ((centres >= 0) & (centres < np.array(grid.count[:2]))).all(1)
    seen = (truth.points >= rule.min_points) & (truth.visibility >= rule.min_visibility)
    return np.flatnonzero(inside & seen & (truth.labels >= 0))


def cells_of_boxes(boxes: Float32, grid: BEVGrid) -> Float64:
    """Box centres [n, 2] along x, y in cells from the grid's lower corner."""
    cells: Float64 = (boxes[:, :2].astype(np.float64) - grid.lower_m[:2]) / grid.cell_m[:2]
    return cells


def box_codes(boxes: Float32, offsets: Float64) -> Float32:
    """Boxes [m, 9] of `tasks.BOX_FIELDS` and their offsets [m, 2] from a cell's lower corner; to codes [m, 10]."""
    codes = np.empty((len(boxes), 10), np.float32)
    codes[:, :2] = offsets
    codes[:, 2] = boxes[:, 2]
    codes[:, 3:6] = np.clip(np.log(np.maximum(boxes[:, 3:6], 1e-6)), *LOG_SIZE_RANGE)
    codes[:, 6], codes[:, 7] = np.sin(boxes[:, 6]), np.cos(boxes[:, 6])
    codes[:, 8:] = boxes[:, 7:9]
    return codes


def peak_radius(length_cells: float, width_cells: float, overlap: float) -> float:
    """The shift r along both axes at which an axis-parallel box and itself have the IoU `overlap`.

    (l - r)(w - r) = 2 * overlap / (1 + overlap) * l * w, solved for its smaller root: the first of the three cases of
    CornerNet (Law and Deng, 2018), the one where both corners move the same way.
    """
    total, area = length_cells + width_cells, length_cells * width_cells
    return (total - math.sqrt(max(0.0, total**2 - 4 * area * (1 - overlap) / (1 + overlap)))) / 2
