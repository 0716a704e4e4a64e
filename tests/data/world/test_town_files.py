"""The stored ground of a town, where a file of it is torn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bevdeploy.data.world.town_files import ground
from bevdeploy.errors import OutputError

LOCATION = "boston-seaport"
LEVELS = {"offsets": [0], "shapes": [[2, 3]]}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    np.save(tmp_path / f"texels-{LOCATION}.npy", np.zeros((6, 4), np.uint8))
    (tmp_path / f"texels-{LOCATION}.json").write_text(json.dumps(LEVELS))
    return tmp_path


def test_what_is_whole_is_read(work: Path) -> None:
    assert ground(work, LOCATION).shapes == ((2, 3),)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_torn_texels_are_named(work: Path, kept: int) -> None:
    path = work / f"texels-{LOCATION}.npy"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(OutputError, match=rf"delete .*/texels-{LOCATION}\.json and run the command again"):
        ground(work, LOCATION)


@pytest.mark.parametrize("content", ["", "[]", "7", "{}", '{"offsets": 3, "shapes": [[2, 3]]}', '{"shapes": [2]}'])
def test_torn_levels_are_named(work: Path, content: str) -> None:
    (work / f"texels-{LOCATION}.json").write_text(content)
    with pytest.raises(OutputError, match=rf"delete .*/texels-{LOCATION}\.json and run the command again"):
        ground(work, LOCATION)
