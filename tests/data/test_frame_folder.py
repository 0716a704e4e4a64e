from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from bevdeploy.data import count_frame_sets, frame_sets_from_folder, rig_of_folder
from bevdeploy.errors import FrameSourceError, GeometryError, MissingDependencyError
from bevdeploy.geometry import Camera, CameraRig

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

EGO_FROM_CAM = np.array([[0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1.0]])


def camera(name: str, width_px: int, height_px: int) -> Camera:
    K = np.array([[width_px, 0, width_px / 2], [0, width_px, height_px / 2], [0, 0, 1.0]])
    return Camera(name, width_px, height_px, K, EGO_FROM_CAM)


RIG = CameraRig((camera("left", 8, 6), camera("right", 10, 6)))


def image(camera: Camera, value: int) -> np.ndarray:
    pixels = np.zeros((camera.height_px, camera.width_px, 3), np.uint8)
    pixels[0, :, 0] = value  # top row, red: an upside-down or BGR reader fails
    return pixels


def write(path: Path, camera: Camera, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image(camera, value)).save(path)


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    for number, stem in enumerate(("2", "10", "1")):
        for index, one in enumerate(RIG.cameras):
            write(tmp_path / one.name / f"{stem}.png", one, 10 * number + index)
    RIG.save(tmp_path / "rig.json")
    return tmp_path


def test_subfolders_give_sets_in_natural_order(drive: Path) -> None:
    rig = rig_of_folder(drive)
    sets = list(frame_sets_from_folder(drive, rig))
    assert [one.token for one in sets] == ["1", "2", "10"]
    assert count_frame_sets(drive, rig) == 3
    assert rig.digest() == RIG.digest() and all(one.rig is rig and one.timestamp_us is None for one in sets)
    for one, number in zip(sets, (2, 0, 1), strict=True):
        for index, frame in enumerate(one.frames):
            assert frame.dtype == np.uint8
            np.testing.assert_array_equal(frame, image(RIG.cameras[index], 10 * number + index))


def test_flat_layout_is_one_set(tmp_path: Path) -> None:
    folder = tmp_path / "moment"
    for one in RIG.cameras:
        write(folder / f"{one.name}.PNG", one, 5)
    (one,) = frame_sets_from_folder(folder, RIG)
    assert one.token == "moment" and [frame.shape for frame in one.frames] == [(6, 8, 3), (6, 10, 3)]


def test_rig_order_decides_not_file_order(drive: Path) -> None:
    swapped = CameraRig(RIG.cameras[::-1])
    first = next(frame_sets_from_folder(drive, swapped))
    assert [frame.shape[1] for frame in first.frames] == [10, 8]


def test_other_files_are_passed_over(drive: Path) -> None:
    (drive / "left" / "notes.txt").write_text("x")
    (drive / "left" / "._1.png").write_bytes(b"x")
    (drive / "depth").mkdir()
    assert count_frame_sets(drive, RIG) == 3


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_other_8_bit_modes_become_rgb(drive: Path, mode: str) -> None:
    Image.fromarray(image(RIG.cameras[0], 255)).convert(mode).save(drive / "left" / "1.png")
    frame = next(frame_sets_from_folder(drive, RIG)).frames[0]
    assert frame.shape == (6, 8, 3) and frame[0].any() and not frame[1:].any()


def test_images_are_decoded_one_set_at_a_time(drive: Path) -> None:
    sets = frame_sets_from_folder(drive, RIG)
    (drive / "right" / "10.png").write_bytes(b"broken later")
    assert [next(sets).token, next(sets).token] == ["1", "2"]
    with pytest.raises(FrameSourceError, match=r"10\.png.*right"):
        next(sets)


def test_exif_orientation_is_not_applied(drive: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # rotated by 180 degrees
    Image.fromarray(image(RIG.cameras[0], 200)).save(drive / "left" / "1.png", exif=exif)
    assert next(frame_sets_from_folder(drive, RIG)).frames[0][0, 0, 0] == 200


def fails(folder: Path, *words: str) -> None:
    """Listing or decoding ends in one FrameSourceError that holds all words."""
    with pytest.raises(FrameSourceError) as caught:
        list(frame_sets_from_folder(folder, RIG))
    for word in words:
        assert re.search(word, str(caught.value)), f"{word!r} not in {caught.value}"


def test_missing_folder(tmp_path: Path) -> None:
    fails(tmp_path / "nowhere", "nowhere", "no such folder")
    (tmp_path / "file").write_text("x")
    fails(tmp_path / "file", "not a folder")


def test_empty_folder(tmp_path: Path) -> None:
    fails(tmp_path, "no images", "left, right", "left/0001.jpg")
    (tmp_path / "left").mkdir()
    (tmp_path / "right").mkdir()
    fails(tmp_path, "hold no images")


def test_foreign_images(tmp_path: Path) -> None:
    write(tmp_path / "cat.png", RIG.cameras[0], 1)
    fails(tmp_path, "1 images, none named after a camera")


def test_missing_camera(drive: Path, tmp_path: Path) -> None:
    for path in (drive / "right").iterdir():
        path.unlink()
    fails(drive, "camera right has no image 1, 2, 10")
    (drive / "right").rmdir()
    fails(drive, "no subfolder for right")


def test_missing_camera_of_the_flat_layout(tmp_path: Path) -> None:
    write(tmp_path / "left.png", RIG.cameras[0], 1)
    fails(tmp_path, "no image for camera right")


def test_missing_stem_names_stem_and_camera(drive: Path) -> None:
    (drive / "left" / "10.png").unlink()
    fails(drive, "camera left has no image 10,")


def test_same_stem_twice(drive: Path) -> None:
    (drive / "left" / "1.jpg").write_bytes((drive / "left" / "1.png").read_bytes())
    fails(drive, r"1\.jpg and 1\.png")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_truncated_image(drive: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    (drive / "left" / "1.png").unlink()
    path = drive / "left" / f"1.{suffix}"
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 7 // 10])
    fails(drive, f"1.{suffix}", "cannot be read as an image", "left")


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_files_that_are_no_images(drive: Path, content: bytes) -> None:
    (drive / "left" / "1.png").write_bytes(content)
    fails(drive, "cannot be read as an image")


def test_every_cut_of_a_png_is_one_error(drive: Path) -> None:
    path = drive / "left" / "1.png"
    content = path.read_bytes()
    for length in range(content.index(b"IDAT") + 8):
        path.write_bytes(content[:length])
        fails(drive, "cannot be read as an image")


def test_size_names_both_sizes(drive: Path) -> None:
    write(drive / "right" / "1.png", camera("right", 8, 6), 1)
    fails(drive, "8 x 6 px", "10 x 6 px", "right")


def test_16_bit_image(drive: Path) -> None:
    Image.fromarray(np.zeros((6, 8), np.uint16)).save(drive / "left" / "1.png")
    fails(drive, "8 bits per channel")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads every folder")
def test_unreadable_folder(drive: Path) -> None:
    (drive / "left").chmod(0)
    try:
        fails(drive, "cannot be listed")
    finally:
        (drive / "left").chmod(0o755)


def test_folder_without_a_rig(tmp_path: Path) -> None:
    with pytest.raises(FrameSourceError, match=r"rig\.json.*--rig"):
        rig_of_folder(tmp_path)
    (tmp_path / "rig.json").write_text("{")
    with pytest.raises(GeometryError, match=r"rig\.json"):
        rig_of_folder(tmp_path)


def test_without_pillow(drive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert count_frame_sets(drive, RIG) == 3
    with pytest.raises(MissingDependencyError, match=r"bevdeploy\[media\]"):
        next(frame_sets_from_folder(drive, RIG))
