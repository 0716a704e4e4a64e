from __future__ import annotations

import numpy as np

from bevdeploy.data.occupancy_masks import footprint_mask


def test_cells_whose_centres_lie_in_a_footprint(rng: np.random.Generator) -> None:
    """Against half-planes of the corners, cell by cell."""
    side, cell_m = 40, 0.5
    boxes = np.zeros((6, 9), np.float32)
    boxes[:, :2] = rng.uniform(-11, 11, (6, 2))
    boxes[:, 3:5] = rng.uniform(0.6, 5, (6, 2))
    boxes[:, 6] = rng.uniform(-4, 4, 6)
    want = np.zeros((side, side), bool)
    for x, y, _, width, length, _, yaw, _, _ in boxes.astype(np.float64):
        turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
        square = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * (length / 2, width / 2)
        corners = square @ turn.T + (x, y)
        for row in range(side):
            for column in range(side):
                point = np.array([column, row]) * cell_m + cell_m / 2 - side * cell_m / 2
                edges = np.roll(corners, -1, 0) - corners
                to = point - corners
                want[row, column] |= bool((edges[:, 0] * to[:, 1] - edges[:, 1] * to[:, 0] >= 0).all())
    got = footprint_mask(boxes, side, cell_m)
    assert want.sum() > 50
    np.testing.assert_array_equal(got, want)


def test_rows_run_along_y() -> None:
    box = np.array([[3.0, -1.0, 0, 1.0, 4.0, 1.5, 0, 0, 0]], np.float32)
    rows, columns = np.nonzero(footprint_mask(box, 20, 0.5))
    assert set(rows) == {7, 8} and set(columns) == set(range(12, 20))
    assert not footprint_mask(np.zeros((0, 9), np.float32), 20, 0.5).any()
