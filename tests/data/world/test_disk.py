"""What a world takes on disk: said before, refused where it does not fit."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from bevdeploy.data.world.disk import check_space, estimated_bytes, free_bytes, size_text
from bevdeploy.data.world.options import WorldOptions
from bevdeploy.data.world.synth import write_world
from bevdeploy.errors import OutputError


def test_more_of_everything_takes_more() -> None:
    base = WorldOptions()
    small = estimated_bytes(base)
    for more in (
        WorldOptions(keyframes=41),
        WorldOptions(width_px=800),
        WorldOptions(height_px=300),
        WorldOptions(sweeps=2),
        WorldOptions(version="v1.0-trainval", scenes=11),
    ):
        assert estimated_bytes(more) > small


def test_free_bytes_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "a" / "b") == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 5_000_000, 5_000_000))
    with pytest.raises(OutputError, match=r"5\.0 MB are free"):
        check_space(tmp_path, 5_000_001)
    check_space(tmp_path, 5_000_000)
    with pytest.raises(OutputError, match="are needed"):
        write_world(tmp_path / "w", WorldOptions(scenes=2, keyframes=4))
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (37_680_792, "38 MB"), (2.5e9, "2.5 GB")]
)
def test_sizes_are_readable(size: float, text: str) -> None:
    assert size_text(size) == text
