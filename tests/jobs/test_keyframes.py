"""Keyframes of the index are the devkit's: same rigs, same pictures, same order; splits, limits, absent images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nuscenes", reason="the index is built with nuscenes-devkit")

from bevdeploy.data import frame_sets_from_nuscenes
from bevdeploy.data.build_index import build_index
from bevdeploy.data.index import SampleIndex, SceneRecord, open_index
from bevdeploy.errors import DataSetError, FrameSourceError
from bevdeploy.jobs.keyframes import frame_set_of_keyframe, keyframes_of_split, rig_of_keyframe


@pytest.fixture(scope="module")
def index(nuscenes_root: Path, tmp_path_factory: pytest.TempPathFactory) -> SampleIndex:
    return open_index(build_index(nuscenes_root, out=tmp_path_factory.mktemp("index") / "mini"), root=nuscenes_root)


def test_frames_and_rigs_are_those_of_the_devkit(index: SampleIndex, nuscenes_root: Path) -> None:
    theirs = {each.token: each for each in frame_sets_from_nuscenes(nuscenes_root, ego_motion=True)}
    static_rigs = {each.token: each.rig for each in frame_sets_from_nuscenes(nuscenes_root, ego_motion=False)}
    found = keyframes_of_split(index, "mini_val")
    assert found.tokens == tuple(token for token in theirs if token in found.tokens)
    assert (len(found), found.skipped, found.split) == (2, 79, "mini_val")
    for row, ours in found:
        want = theirs[ours.token]
        assert ours.timestamp_us == want.timestamp_us
        assert rig_of_keyframe(index, row).names == want.rig.names
        for our_camera, camera in zip(ours.rig.cameras, want.rig.cameras, strict=True):
            assert (our_camera.width_px, our_camera.height_px) == (camera.width_px, camera.height_px)
            np.testing.assert_array_equal(our_camera.K, camera.K)
            np.testing.assert_allclose(our_camera.ego_from_cam, camera.ego_from_cam, atol=1e-9)
        static, theirs_static = rig_of_keyframe(index, row, False), static_rigs[ours.token]
        for our_camera, camera in zip(static.cameras, theirs_static.cameras, strict=True):
            np.testing.assert_allclose(our_camera.ego_from_cam, camera.ego_from_cam, atol=1e-12)
        for frame, image in zip(ours.frames, want.frames, strict=True):
            np.testing.assert_array_equal(frame, image)


def test_without_a_word_the_val_split_is_scored(index: SampleIndex) -> None:
    assert keyframes_of_split(index, None).split == "mini_val"
    assert keyframes_of_split(index, None, images=False).skipped == 0
    assert len(keyframes_of_split(index, None, images=False)) == 81
    assert keyframes_of_split(index, "scene-0061").split == "scene-0061"


@pytest.mark.parametrize(
    ("version", "splits", "expected"),
    [
        ("v1.0-mini", [("mini_val", "val"), ("mini_train", "train")], "mini_val"),
        ("v1.0-trainval", [("val", "train_detect"), ("train",)], "val"),
        ("v1.0-town", [(), ()], "all"),
    ],
)
def test_the_default_follows_version_and_splits(
    index: SampleIndex, version: str, splits: list[tuple[str, ...]], expected: str
) -> None:
    scenes = tuple(SceneRecord(f"s{n}", "town", names) for n, names in enumerate([*splits, splits[0]]))
    found = keyframes_of_split(replace(index, version=version, scenes=scenes), None, images=False)
    assert found.split == expected
    with pytest.raises(DataSetError, match=r"no scene of v1\.0-town is in val; name one of mini_val with --split"):
        keyframes_of_split(replace(index, version="v1.0-town", scenes=(SceneRecord("s", "t", ("mini_val",)),)), None)


def test_limit_counts_keyframes_with_images_and_absent_ones_are_counted_over_the_whole_split(
    index: SampleIndex,
) -> None:
    found = keyframes_of_split(index, "mini_val", limit=1)
    assert (len(found), found.skipped) == (1, 79)
    assert keyframes_of_split(index, "mini_val", limit=5, images=False).rows == tuple(index.keyframes("mini_val")[:5])


def test_what_cannot_be_scored_is_refused(index: SampleIndex) -> None:
    with pytest.raises(DataSetError, match="no scene of split 'vall'"):
        keyframes_of_split(index, "vall")
    with pytest.raises(FrameSourceError, match=r"the image of keyframe .* is missing"):
        keyframes_of_split(index, "mini_val", strict=True)
    with pytest.raises(FrameSourceError, match="none of the 41 keyframes of scene-0916 has its 6 images"):
        keyframes_of_split(index, "scene-0916")
    with pytest.raises(FrameSourceError, match=r"\.jpg"):
        frame_set_of_keyframe(index, int(index.keyframes("scene-0916")[0]))
