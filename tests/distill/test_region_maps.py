"""Region maps against polygons tested corner by corner in a loop."""

from __future__ import annotations

import math

import pytest
import torch

from bevdeploy.distill.planes import Plane
from bevdeploy.distill.region_maps import box_scale, footprints, region_maps

PLANE = Plane((-10.0, -6.0), (0.8, 0.5), (25, 24))


def inside_polygon(x: float, y: float, box: list[float]) -> bool:
    """Left of all four edges, walked counter-clockwise."""
    cx, cy, width, length, yaw = box[0], box[1], box[3], box[4], box[6]
    corners = []
    for along, across in ((1, 1), (-1, 1), (-1, -1), (1, -1)):
        dx, dy = along * length / 2, across * width / 2
        corners.append((cx + dx * math.cos(yaw) - dy * math.sin(yaw), cy + dx * math.sin(yaw) + dy * math.cos(yaw)))
    for k in range(4):
        (ax, ay), (bx, by) = corners[k], corners[(k + 1) % 4]
        if (bx - ax) * (y - ay) - (by - ay) * (x - ax) < 0:
            return False
    return True


@pytest.fixture
def boxes(generator: torch.Generator) -> torch.Tensor:
    """[2, 5, 9], some of them overlapping, one outside."""
    boxes = torch.zeros(2, 5, 9)
    boxes[..., 0] = torch.rand(2, 5, generator=generator) * 24 - 12
    boxes[..., 1] = torch.rand(2, 5, generator=generator) * 14 - 7
    boxes[..., 3:5] = torch.rand(2, 5, 2, generator=generator) * 4 + 0.5
    boxes[..., 6] = torch.rand(2, 5, generator=generator) * 7 - 3.5
    return boxes


@pytest.mark.parametrize(("point", "shift"), [("centre", 0.5), ("corner", 0.0)])
def test_masks_and_scales_are_those_of_a_loop(point: str, shift: float, boxes: torch.Tensor) -> None:
    valid = torch.tensor([[True] * 5, [True, False, True, False, False]])
    alarms = torch.rand(2, 1, 24, 25, generator=torch.Generator().manual_seed(2)) < 0.3
    regions = region_maps(boxes, valid, PLANE, alarms, point)  # type: ignore[arg-type]
    for sample in range(2):
        counts = {"background": 0, "alarm": 0}
        kinds: dict[tuple[int, int], tuple[str, float]] = {}
        for row in range(24):
            for column in range(25):
                x, y = -10 + (column + shift) * 0.8, -6 + (row + shift) * 0.5
                scales = [
                    math.sqrt(0.8 * 0.5 / (box[3] * box[4]))
                    for box, there in zip(boxes[sample].double().tolist(), valid[sample].tolist(), strict=True)
                    if there and inside_polygon(x, y, box)
                ]
                if scales:
                    kinds[row, column] = ("foreground", max(scales))
                else:
                    kind = "alarm" if alarms[sample, 0, row, column] else "background"
                    counts[kind] += 1
                    kinds[row, column] = (kind, 0)
        for (row, column), (kind, scale) in kinds.items():
            at = (sample, 0, row, column)
            assert regions.foreground[at] == (kind == "foreground")
            assert regions.false_positive[at] == (kind == "alarm")
            assert regions.background[at] == (kind == "background")
            want = scale if kind == "foreground" else (1 / counts["background"] if kind == "background" else 0)
            assert regions.scale[at].item() == pytest.approx(want, rel=1e-4)
            assert regions.false_positive_scale[at].item() == pytest.approx(
                1 / counts["alarm"] if kind == "alarm" else 0
            )


def test_x_runs_along_columns() -> None:
    """One box ahead of the vehicle: high columns, middle rows."""
    plane = Plane((-10.0, -10.0), (1.0, 1.0), (20, 20))
    box = torch.zeros(1, 9)
    box[0, [0, 3, 4]] = torch.tensor([7.0, 2.0, 4.0])
    rows, columns = footprints(box, plane)[0].nonzero(as_tuple=True)
    assert rows.unique().tolist() == [9, 10] and columns.unique().tolist() == [15, 16, 17, 18]


def test_scale_is_the_root_of_cell_over_box() -> None:
    box = torch.zeros(1, 9)
    box[0, [3, 4]] = torch.tensor([2.0, 5.0])
    assert box_scale(box, PLANE).item() == pytest.approx(math.sqrt(0.4 / 10))


def test_nothing_but_boxes_everywhere() -> None:
    """A box over the whole plane leaves no background, and no division by its zero cells."""
    box = torch.zeros(1, 1, 9)
    box[0, 0, [3, 4]] = torch.tensor([100.0, 100.0])
    regions = region_maps(box, torch.ones(1, 1, dtype=torch.bool), PLANE)
    assert bool(regions.foreground.all()) and torch.isfinite(regions.scale).all()
