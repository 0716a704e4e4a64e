"""Scene names are those of the official splits."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path

import pytest

from bevdeploy.data.world.scene_names import scene_names
from bevdeploy.data.world.town import TOWN_PLANS
from bevdeploy.errors import MissingDependencyError


def test_mini_is_the_devkits() -> None:
    splits = pytest.importorskip("nuscenes.utils.splits")
    names = {name for name, _ in scene_names("v1.0-mini", 10)}
    assert names == {*splits.mini_train, *splits.mini_val}


@pytest.mark.parametrize("count", [2, 5, 20, 100, 750])
def test_one_of_five_trainval_scenes_is_for_validation(count: int) -> None:
    divided = pytest.importorskip("nuscenes.utils.splits").create_splits_scenes()
    names = [name for name, _ in scene_names("v1.0-trainval", count)]
    assert len(set(names)) == count
    val = sum(name in divided["val"] for name in names)
    assert val == max(1, round(count / 5)) and sum(name in divided["train"] for name in names) == count - val


def test_the_names_are_read_as_the_devkit_has_them() -> None:
    splits = pytest.importorskip("nuscenes.utils.splits")
    chosen = [name for name, _ in scene_names("v1.0-trainval", 750)]
    assert chosen == [*splits.train[:600], *splits.val[:150]]


def test_another_devkit_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = importlib.machinery.ModuleSpec("nuscenes", None, is_package=True)
    found.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    for content in (None, "train = 1\n", "train_detect = [\n", "train_detect = [a]\n"):
        if content is not None:
            (tmp_path / "utils").mkdir(exist_ok=True)
            (tmp_path / "utils" / "splits.py").write_text(content)
        with pytest.raises(MissingDependencyError, match=r"splits\.py: the names"):
            scene_names("v1.0-trainval", 5)


def test_both_parts_see_all_towns() -> None:
    pytest.importorskip("nuscenes")
    chosen = scene_names("v1.0-trainval", 40)
    assert {location for _, location in chosen[:32]} == {location for _, location in chosen[32:]} == set(TOWN_PLANS)


@pytest.mark.parametrize("count", [0, 1, 11])
def test_too_many_or_too_few_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="2 to 10"):
        scene_names("v1.0-mini", count)


def test_an_unknown_version_is_named() -> None:
    with pytest.raises(ValueError, match=r"v1\.0-test"):
        scene_names("v1.0-test", 3)  # type: ignore[arg-type]


def test_without_the_devkit_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"bevdeploy\[nuscenes\]"):
        scene_names("v1.0-trainval", 5)
    assert len(scene_names("v1.0-mini", 4)) == 4
