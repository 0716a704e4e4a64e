"""The composite picture: who stands where, sizes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bevdeploy.errors import FrameSourceError, OutputError
from bevdeploy.geometry import BEVGrid, Camera, CameraRig, surround_rig
from bevdeploy.report import FrameTitle, frame_picture, jpeg_bytes, png_bytes, save_png
from bevdeploy.report.frame_picture import surround_rows
from bevdeploy.runtime.result import BevResult

Image = pytest.importorskip("PIL.Image", reason="pictures need bevdeploy[media]")

ResultOf = Callable[..., BevResult]
TITLE = FrameTitle("frame 1", "tinybev_r18", "s.fp32.onnx", 12.3, "untrained weights")


def frames_of(rig: CameraRig) -> list[np.ndarray]:
    """One flat grey level per camera, told apart by it."""
    return [
        np.full((camera.height_px, camera.width_px, 3), 60 + 20 * n, np.uint8) for n, camera in enumerate(rig.cameras)
    ]


def names(rig: CameraRig, rows: list[list[int]]) -> list[list[str]]:
    return [[rig.names[n] for n in row] for row in rows]


def test_six_cameras_stand_in_surround_order_whatever_their_order_in_the_rig() -> None:
    rig = surround_rig()
    shuffled = CameraRig(tuple(rig.cameras[n] for n in (4, 2, 0, 5, 1, 3)))
    above, below = surround_rows(shuffled)
    assert names(shuffled, above) == [["CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT"]]
    assert names(shuffled, below) == [["CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT"]]


def test_real_rigs_stand_in_surround_order(real_rigs: tuple[CameraRig, ...]) -> None:
    for rig in real_rigs:
        above, below = surround_rows(rig)
        assert names(rig, above) == [["CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT"]]
        assert names(rig, below) == [["CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT"]]


def test_many_cameras_are_cut_in_rows() -> None:
    front = surround_rig().cameras[1]
    rig = CameraRig(tuple(Camera(f"C{n}", 16, 9, front.K, front.ego_from_cam) for n in range(7)))
    above, below = surround_rows(rig)
    assert [len(row) for row in above] == [4, 3]
    assert below == []
    assert sorted(n for row in above for n in row) == list(range(7))


def test_each_camera_is_where_it_looks(result_of: ResultOf, grid: BEVGrid) -> None:
    rig = surround_rig(160, 90)
    picture = np.asarray(frame_picture(frames_of(rig), rig, result_of(), grid, TITLE, width_px=960)).astype(int)
    height, width, _ = picture.shape
    assert width == 960
    cell_height = 312 * 90 // 160
    top, bottom = 8 + 37 + 4 + cell_height // 2 + 20, height - 8 - cell_height // 2
    for row, cameras in ((top, (0, 1, 2)), (bottom, (3, 4, 5))):
        for column, camera in zip((160, 480, 800), cameras, strict=True):
            np.testing.assert_allclose(picture[row, column], 60 + 20 * camera, atol=1, err_msg=rig.names[camera])


@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_number_of_cameras(count: int, result_of: ResultOf, grid: BEVGrid) -> None:
    rig = CameraRig(surround_rig(64, 36).cameras[:count])
    picture = frame_picture(frames_of(rig), rig, result_of(), grid, FrameTitle("a" * 300, "s", "e"), width_px=480)
    levels = {60 + 20 * n for n in range(count)}
    grey = {r for _, (r, g, b) in picture.getcolors(1 << 20) if r == g == b}
    assert levels <= grey


def test_cameras_of_different_sizes(result_of: ResultOf, grid: BEVGrid) -> None:
    small, large = surround_rig(64, 36).cameras[0], surround_rig(160, 120).cameras[1]
    rig = CameraRig((small, large))
    assert frame_picture(frames_of(rig), rig, result_of(), grid, TITLE, width_px=480).width == 480


def test_a_missing_frame_is_refused(result_of: ResultOf, grid: BEVGrid) -> None:
    rig = surround_rig(64, 36)
    with pytest.raises(FrameSourceError, match="5 images for the 6 cameras CAM_FRONT_LEFT, "):
        frame_picture(frames_of(rig)[:5], rig, result_of(), grid, TITLE)


def test_pictures_as_files(tmp_path: Path) -> None:
    picture = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    save_png(picture, tmp_path / "new" / "a.png")
    with Image.open(tmp_path / "new" / "a.png") as read:
        np.testing.assert_array_equal(np.asarray(read), np.asarray(picture))
    assert png_bytes(picture).startswith(b"\x89PNG")
    assert jpeg_bytes(picture).startswith(b"\xff\xd8\xff")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        save_png(picture, tmp_path / "file" / "a.png")
