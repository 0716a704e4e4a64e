"""Numbers that no column of the index, and no frame, can hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bevdeploy.data.index_rows import KeyframeRows
from bevdeploy.data.nuscenes import rigid_of_row

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(("column", "value"), [("box_visibility", 300), ("box_points", 10**12), ("lidar_age_s", 0.5)])
def test_a_whole_number_is_kept_or_refused(column: str, value: Any) -> None:
    rows = KeyframeRows()
    rows.columns[column] = [1, value]
    if isinstance(value, float):
        assert rows.arrays()[column].tolist() == [1, value]
        return
    with pytest.raises(ValueError, match=f"{column} of {value}"):
        rows.arrays()


@pytest.mark.parametrize("translation", [[NAN, 0, 0], [0, INF, 0], [1.0], [[1.0, 2.0, 3.0]], 7, []])
def test_a_translation_is_three_finite_numbers(translation: Any) -> None:
    row = {"token": "ab12", "translation": [1, 2, 3], "rotation": [1, 0, 0, 0]}
    np.testing.assert_array_equal(rigid_of_row(row)[:3, 3], [1, 2, 3])
    with pytest.raises(ValueError, match="row ab12: translation"):
        rigid_of_row({**row, "translation": translation})
