"""Overlap of rotated boxes against polygon clipping, one pair at a time."""

from __future__ import annotations

import math

import pytest
import torch

from bevdeploy.distill.rotated_overlap import box_corners, kept_boxes, overlaps

Points = list[tuple[float, float]]


def clipped_area(subject: Points, clip: Points) -> float:
    """Sutherland and Hodgman (1974): cut a polygon by each edge of another, then the shoelace formula."""
    for k in range(len(clip)):
        (ax, ay), (bx, by) = clip[k], clip[(k + 1) % len(clip)]

        def side(p: tuple[float, float], a: Points = [(ax, ay), (bx, by)]) -> float:  # noqa: B006
            return (a[1][0] - a[0][0]) * (p[1] - a[0][1]) - (a[1][1] - a[0][1]) * (p[0] - a[0][0])

        cut: Points = []
        for i in range(len(subject)):
            p, q = subject[i], subject[(i + 1) % len(subject)]
            if side(p) >= 0:
                cut.append(p)
            if side(p) * side(q) < 0:
                t = side(p) / (side(p) - side(q))
                cut.append((p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])))
        subject = cut
        if not subject:
            return 0.0
    pairs = zip(subject, [*subject[1:], subject[0]], strict=True)
    return abs(sum(px * qy - qx * py for (px, py), (qx, qy) in pairs)) / 2


def random_boxes(count: int, generator: torch.Generator) -> torch.Tensor:
    boxes = torch.zeros(count, 9)
    boxes[:, :2] = torch.randn(count, 2, generator=generator) * 3
    boxes[:, 3:5] = torch.rand(count, 2, generator=generator) * 4 + 0.3
    boxes[:, 6] = torch.rand(count, generator=generator) * 8 - 4
    return boxes


def test_overlaps_are_those_of_clipping(generator: torch.Generator) -> None:
    boxes = random_boxes(24, generator)
    iou = overlaps(boxes)
    corners = box_corners(boxes.double()).tolist()
    found = 0
    for i in range(24):
        for j in range(24):
            shared = clipped_area([tuple(p) for p in corners[i]], [tuple(p) for p in corners[j]])
            areas = [float(boxes[k, 3].double() * boxes[k, 4].double()) for k in (i, j)]
            assert iou[i, j].item() == pytest.approx(shared / (sum(areas) - shared), abs=1e-5)
            found += shared > 0
    assert found > 100


def test_cases_by_hand() -> None:
    boxes = torch.zeros(5, 9)
    boxes[:, 3], boxes[:, 4] = 2.0, 4.0
    boxes[1, 0] = 2.0  # half of it
    boxes[2, 6] = math.pi / 2  # a cross: 2 x 2 shared
    boxes[3, 6] = math.pi  # the same box
    boxes[4, :2] = torch.tensor([4.0, 2.0])  # touches at a corner
    iou = overlaps(boxes)[0]
    assert iou.tolist() == pytest.approx([1, 4 / 12, 4 / 12, 1, 0], abs=1e-6)


def test_suppression_is_greedy_by_score(generator: torch.Generator) -> None:
    boxes, scores = random_boxes(40, generator), torch.rand(40, generator=generator)
    iou, kept = overlaps(boxes), []
    for candidate in sorted(range(40), key=lambda k: -float(scores[k])):
        if all(float(iou[candidate, other]) <= 0.2 for other in kept):
            kept.append(candidate)
    assert 5 < len(kept) < 40
    assert kept_boxes(boxes, scores, 0.2, 100).tolist() == kept
    assert kept_boxes(boxes, scores, 0.2, 4).tolist() == kept[:4]
    assert kept_boxes(boxes[:0], scores[:0], 0.2, 4).tolist() == []
