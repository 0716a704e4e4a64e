from __future__ import annotations

import sys
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bevdeploy.data import Fault, PartialSet, VideoFolder, is_video_folder
from bevdeploy.errors import FrameSourceError, MissingDependencyError
from bevdeploy.geometry import Camera, CameraRig

av = pytest.importorskip("av", reason="PyAV is not installed")

WIDTH, HEIGHT = 160, 96
EGO_FROM_CAM = np.array([[0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1.0]])
K = np.array([[WIDTH, 0, WIDTH / 2], [0, WIDTH, HEIGHT / 2], [0, 0, 1.0]])


def camera(name: str, width_px: int = WIDTH, height_px: int = HEIGHT) -> Camera:
    return Camera(name, width_px, height_px, K, EGO_FROM_CAM)


RIG = CameraRig((camera("front"), camera("back")))
EXACT = ("ffv1", "bgr0")
"""Lossless RGB."""


def picture(number: int, width_px: int = WIDTH, height_px: int = HEIGHT) -> np.ndarray:
    """A red top row, a moving green block, blue that counts: wrong channels, rows or frames are seen."""
    pixels = np.zeros((height_px, width_px, 3), np.uint8)
    pixels[:8, :, 0] = 255
    pixels[30:60, (number * 5) % 100 : (number * 5) % 100 + 40, 1] = 200
    pixels[:, :, 2] += np.uint8(8 * number % 256)
    return pixels


def write_video(
    path: Path,
    count: int,
    fps: int = 10,
    codec: tuple[str, str] = EXACT,
    start_s: float = 0.0,
    numbers: Sequence[int] | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    options: dict[str, str] | None = None,
) -> None:
    """`numbers` are the frames that are there, of `count`; all without."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec[0], rate=fps, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, codec[1]
        stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(count) if numbers is None else numbers:
            frame = av.VideoFrame.from_ndarray(picture(number, *size), format="rgb24")
            frame.time_base, frame.pts = Fraction(1, 1000), round(1000 * (start_s + number / fps))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def damage(path: Path, number: int) -> None:
    """Overwrite most of one packet with noise: the file stays readable, that frame does not decode."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        place, size = packets[number].pos, packets[number].size
    content = bytearray(path.read_bytes())
    assert content.count(bytes(packets[number])) == 1, "the packet lies in the file as it is"
    place = content.index(bytes(packets[number]))
    noise = np.random.default_rng(5).integers(0, 256, size - size // 3, dtype=np.uint8)
    content[place + size // 3 : place + size] = noise.tobytes()
    path.write_bytes(content)


def kinds(sets: list[PartialSet], index: int) -> list[str]:
    """One camera's frames as a list of `.` and kinds of faults."""
    frames = [one.frames[index] for one in sets]
    return [frame.kind if isinstance(frame, Fault) else "." for frame in frames]


def numbers_of(sets: list[PartialSet], index: int) -> list[int]:
    """Which picture each set shows, read from its blue channel; -1 for a fault."""
    frames = [one.frames[index] for one in sets]
    return [-1 if isinstance(frame, Fault) else int(frame[0, 0, 2]) // 8 for frame in frames]


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    for one in RIG.cameras:
        write_video(tmp_path / f"{one.name}.mkv", 6)
    return tmp_path


def test_frames_are_pixel_exact_and_in_lock_step(drive: Path) -> None:
    assert is_video_folder(drive, RIG)
    videos = VideoFolder(drive, RIG)
    sets = list(videos)
    assert videos.count == len(sets) == 6 and videos.notes() == ()
    assert [one.token for one in sets] == [f"{n:06d}" for n in range(6)]
    assert [one.timestamp_us for one in sets] == [100_000 * n for n in range(6)]
    for number, one in enumerate(sets):
        for frame in one.frames:
            assert isinstance(frame, np.ndarray) and frame.dtype == np.uint8
            np.testing.assert_array_equal(frame, picture(number))


@pytest.mark.parametrize(
    "name, codec, options",
    [
        ("mp4", ("libx264", "yuv420p"), {"bf": "2", "g": "5", "crf": "1"}),
        ("avi", ("mjpeg", "yuvj420p"), {"q": "2"}),
        ("ts", ("libx264", "yuv420p"), {"crf": "1"}),
        ("mov", ("mpeg4", "yuv420p"), {"q": "1", "bf": "2"}),
    ],
)
def test_usual_recordings_come_in_order(
    name: str, codec: tuple[str, str], options: dict[str, str], tmp_path: Path
) -> None:
    """Reordered frames (bf) and the times of each container; colours within what the codec loses."""
    for one in RIG.cameras:
        write_video(tmp_path / f"{one.name}.{name}", 12, codec=codec, options=options)
    sets = list(VideoFolder(tmp_path, RIG))
    assert len(sets) == 12 and kinds(sets, 0) == kinds(sets, 1) == ["."] * 12
    for number, one in enumerate(sets):
        difference = np.abs(np.asarray(one.frames[0], int) - picture(number))
        assert difference.mean() < 6, f"frame {number}"


def test_a_slower_camera_serves_several_sets_and_a_faster_one_is_thinned(tmp_path: Path) -> None:
    rig = CameraRig((camera("clock"), camera("slow"), camera("fast")))
    for name, fps, count in (("clock", 10, 8), ("slow", 5, 4), ("fast", 20, 16)):
        write_video(tmp_path / f"{name}.mkv", count, fps)
    sets = list(VideoFolder(tmp_path, rig))
    assert [kinds(sets, n) for n in range(3)] == [["."] * 8] * 3
    assert numbers_of(sets, 2) == [0, 2, 4, 6, 8, 10, 12, 14]
    slow = numbers_of(sets, 1)  # at 0.1 s frames 0 and 1 are equally near
    assert slow[::2] == [0, 1, 2, 3] and all(0 <= b - a <= 1 for a, b in pairwise(slow))


def test_a_camera_that_is_off_by_less_than_half_a_frame_is_paired(tmp_path: Path) -> None:
    write_video(tmp_path / "front.mkv", 6)
    write_video(tmp_path / "back.mkv", 6, start_s=0.04)
    assert numbers_of(list(VideoFolder(tmp_path, RIG)), 1) == [0, 1, 2, 3, 4, 5]


def test_a_camera_that_starts_late_has_no_frame_until_then(tmp_path: Path) -> None:
    write_video(tmp_path / "front.mkv", 6)
    write_video(tmp_path / "back.mkv", 6, numbers=[3, 4, 5])
    sets = list(VideoFolder(tmp_path, RIG))
    assert kinds(sets, 1) == ["no frame"] * 3 + ["."] * 3
    assert numbers_of(sets, 1)[3:] == [3, 4, 5]


def test_a_gap_is_no_frame_in_these_sets_only(tmp_path: Path) -> None:
    write_video(tmp_path / "front.mkv", 8)
    write_video(tmp_path / "back.mkv", 8, numbers=[0, 1, 2, 5, 6, 7])
    sets = list(VideoFolder(tmp_path, RIG))
    assert kinds(sets, 1) == [".", ".", ".", "no frame", "no frame", ".", ".", "."]
    fault = sets[3].frames[1]
    assert isinstance(fault, Fault) and fault.detail == "back.mkv at 0.30 s has no frame within 51 ms"


def test_a_video_that_ends_early_is_said_before_and_while_it_runs(tmp_path: Path) -> None:
    write_video(tmp_path / "front.mkv", 8)
    write_video(tmp_path / "back.mkv", 4)
    videos = VideoFolder(tmp_path, RIG)
    assert videos.notes() == ("back.mkv ends 0.4 s earlier: its camera is lost from there (clock: front.mkv)",)
    sets = list(videos)
    assert kinds(sets, 1) == ["."] * 4 + ["ended"] * 4
    fault = sets[-1].frames[1]
    assert isinstance(fault, Fault) and fault.detail == "back.mkv ended at 0.30 s"


def test_the_first_camera_of_the_rig_is_the_clock(tmp_path: Path) -> None:
    write_video(tmp_path / "front.mkv", 4)
    write_video(tmp_path / "back.mkv", 8)
    videos = VideoFolder(tmp_path, RIG)
    assert videos.notes() == ("back.mkv ends 0.4 s later, which is not used (clock: front.mkv)",)
    assert len(list(videos)) == 4
    assert len(list(VideoFolder(tmp_path, CameraRig(RIG.cameras[::-1])))) == 8


@pytest.mark.parametrize(
    "name, codec, options",
    [
        ("avi", ("mjpeg", "yuvj420p"), {}),
        ("mkv", ("ffv1", "bgr0"), {"g": "1"}),
        ("mp4", ("libx264", "yuv420p"), {"g": "1"}),
    ],
)
@pytest.mark.parametrize("which", [0, 1])
def test_a_damaged_packet_costs_its_frame_and_no_other(
    which: int, name: str, codec: tuple[str, str], options: dict[str, str], tmp_path: Path
) -> None:
    """Intra-coded, so nothing refers to the damaged frame; the clock's own damage still makes a set."""
    for one in RIG.cameras:
        write_video(tmp_path / f"{one.name}.{name}", 8, codec=codec, options=options)
    whole = list(VideoFolder(tmp_path, RIG))
    damage(tmp_path / f"{RIG.names[which]}.{name}", 4)
    sets = list(VideoFolder(tmp_path, RIG))
    assert [one.token for one in sets] == [one.token for one in whole]
    assert kinds(sets, which) == ["."] * 4 + ["damaged"] + ["."] * 3
    assert kinds(sets, 1 - which) == ["."] * 8
    for before, after in zip(whole, sets, strict=True):
        for a, b in zip(before.frames, after.frames, strict=True):
            if not isinstance(b, Fault):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "name, codec, options",
    [
        ("mov", ("mpeg4", "yuv420p"), {"g": "8"}),
        ("mp4", ("libx264", "yuv420p"), {"g": "8", "bf": "2"}),
        ("mkv", ("ffv1", "bgr0"), {"g": "8"}),
        ("webm", ("libvpx-vp9", "yuv420p"), {"g": "8"}),
    ],
)
def test_nothing_that_rests_on_a_damaged_frame_is_shown(
    name: str, codec: tuple[str, str], options: dict[str, str], tmp_path: Path
) -> None:
    """libav decodes on from what it has, without a mark; after the next key frame all is as in the whole file."""
    for one in RIG.cameras:
        write_video(tmp_path / f"{one.name}.{name}", 24, codec=codec, options=options)
    whole = list(VideoFolder(tmp_path, RIG))
    damage(tmp_path / f"back.{name}", 3)
    sets = list(VideoFolder(tmp_path, RIG))
    seen = kinds(sets, 1)
    assert "damaged" in seen[:8] and seen[8:] == ["."] * 16
    for before, after in zip(whole, sets, strict=True):
        if not isinstance(after.frames[1], Fault):
            np.testing.assert_array_equal(np.asarray(before.frames[1]), after.frames[1])


def test_a_file_that_was_cut_short_ends_there(drive: Path) -> None:
    content = (drive / "back.mkv").read_bytes()
    (drive / "back.mkv").write_bytes(content[: len(content) * 2 // 3])
    seen = kinds(list(VideoFolder(drive, RIG)), 1)
    assert seen[:3] == ["."] * 3 and seen[-1] in ("ended", "damaged") and len(seen) == 6


def test_a_folder_is_gone_through_as_often_as_wanted(drive: Path) -> None:
    videos = VideoFolder(drive, RIG)
    first = next(iter(videos))  # left in the middle, as with --limit
    assert numbers_of([first], 0) == [0]
    assert numbers_of(list(videos), 0) == [0, 1, 2, 3, 4, 5]


def test_a_video_of_another_size_is_refused_at_once(drive: Path) -> None:
    write_video(drive / "back.mkv", 6, size=(80, 48))
    with pytest.raises(FrameSourceError, match=r"back.mkv: 80 x 48 px.*camera back has 160 x 96 px.*--rig FILE"):
        VideoFolder(drive, RIG)


def test_a_camera_without_video_and_one_with_two(drive: Path) -> None:
    three = CameraRig((*RIG.cameras, camera("left")))
    with pytest.raises(FrameSourceError, match=r"no video for camera left; the rig has front, back, left"):
        VideoFolder(drive, three)
    write_video(drive / "back.avi", 2, codec=("mjpeg", "yuvj420p"))
    with pytest.raises(FrameSourceError, match=r"back.avi and back.mkv are the same camera twice"):
        VideoFolder(drive, RIG)


def test_videos_without_common_time_are_refused(drive: Path) -> None:
    write_video(drive / "back.mkv", 6, start_s=3600.0)
    with pytest.raises(FrameSourceError, match=r"back.mkv: runs from .*no common time"):
        VideoFolder(drive, RIG)


@pytest.mark.parametrize("content", [b"", b"not a video", bytes(4096), b"\x1aE\xdf\xa3" + bytes(64)])
def test_what_is_no_video_is_refused(content: bytes, drive: Path) -> None:
    (drive / "back.mkv").write_bytes(content)
    with pytest.raises(FrameSourceError, match=r"back.mkv: "):
        VideoFolder(drive, RIG)


@pytest.mark.parametrize("line", ["{0}", "file:{0}", "http://192.0.2.1/secret.ts"])
def test_a_playlist_opens_nothing_else(line: str, drive: Path) -> None:
    """libav reads playlists under any name: one could name every file of the machine."""
    write_video(drive / "other" / "secret.ts", 4, codec=("libx264", "yuv420p"))
    entry = line.format(drive / "other" / "secret.ts")
    (drive / "back.mkv").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\n{entry}\n#EXT-X-ENDLIST\n")
    with pytest.raises(FrameSourceError, match=r"back.mkv: cannot be read as a video"):
        VideoFolder(drive, RIG)


def test_sound_is_no_video(drive: Path) -> None:
    with av.open(str(drive / "back.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(FrameSourceError, match=r"back.mkv: holds no video stream"):
        VideoFolder(drive, RIG)


def test_what_is_a_video_folder(drive: Path, tmp_path: Path) -> None:
    assert not is_video_folder(drive, CameraRig((camera("left"),)))
    assert not is_video_folder(tmp_path / "missing", RIG)
    (drive / "front").mkdir()  # images of that camera: as in the layout of folders
    assert not is_video_folder(drive, RIG)


def test_without_pyav_the_extra_is_named(drive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'bevdeploy\[video\]'"):
        VideoFolder(drive, RIG)


def test_mutated_files_end_in_sets_or_in_one_error(tmp_path: Path, rng: np.random.Generator) -> None:
    """Flipped bytes anywhere in the file, header included: every set is whole, every fault is named."""
    outcomes = {"sets": 0, "refused": 0}
    for name, codec in (("mp4", ("libx264", "yuv420p")), ("avi", ("mjpeg", "yuvj420p")), ("mkv", ("ffv1", "bgr0"))):
        folder = tmp_path / name
        for one in RIG.cameras:
            write_video(folder / f"{one.name}.{name}", 4, codec=codec)
        path = folder / f"back.{name}"
        content = path.read_bytes()
        for _ in range(40):
            mutated = bytearray(content)
            region = len(content) if rng.random() < 0.5 else 700
            for place in rng.integers(0, region, int(rng.integers(1, 12))):
                mutated[place] = int(rng.integers(0, 256))
            path.write_bytes(mutated)
            try:
                sets = list(VideoFolder(folder, RIG))
            except FrameSourceError as error:
                assert path.name in str(error)
                outcomes["refused"] += 1
                continue
            assert kinds(sets, 0) == ["."] * 4
            for one in sets:
                assert isinstance(one.frames[1], Fault) or one.frames[1].shape == (HEIGHT, WIDTH, 3)
            outcomes["sets"] += 1
    assert outcomes["sets"] > 10 and outcomes["refused"] > 10, outcomes
