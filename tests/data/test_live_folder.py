from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bevdeploy.data import Fault, LiveFolder, LiveOptions, PartialSet
from bevdeploy.errors import FrameSourceError, MissingDependencyError
from bevdeploy.geometry import Camera, CameraRig

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

WIDTH, HEIGHT = 160, 96
EGO_FROM_CAM = np.array([[0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1.0]])
K = np.array([[WIDTH, 0, WIDTH / 2], [0, WIDTH, HEIGHT / 2], [0, 0, 1.0]])
RIG = CameraRig(tuple(Camera(name, WIDTH, HEIGHT, K, EGO_FROM_CAM) for name in ("left", "front", "right")))


def encoded(number: int, size: tuple[int, int] = (WIDTH, HEIGHT), form: str = "JPEG") -> bytes:
    pixels = np.random.default_rng(number).integers(0, 60, (size[1], size[0], 3), dtype=np.uint8)
    pixels[..., 0] += np.uint8(10 * (number % 19))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, quality=90)
    return buffer.getvalue()


class Recorder:
    """A recorder in made-up time: the follower's naps let it pass, and what is due by then is done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_s = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []
        folder.mkdir(exist_ok=True)

    def at(self, time_s: float, camera: str, stem: str, content: bytes, suffix: str = ".jpg") -> None:
        self.due.append((time_s, lambda: self.put(camera, stem, content, suffix)))

    def put(self, camera: str, stem: str, content: bytes, suffix: str = ".jpg") -> None:
        path = self.folder / camera / f"{stem}{suffix}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    def frames(self, count: int, every_s: float = 0.1, without: tuple[tuple[str, int], ...] = ()) -> None:
        for number in range(count):
            for name in RIG.names:
                if (name, number) not in without:
                    self.at(number * every_s, name, f"{number:06d}", encoded(number))

    def sleep(self, seconds: float) -> None:
        self.now_s += max(seconds, 0.01)
        for each in sorted((each for each in self.due if each[0] <= self.now_s), key=lambda each: each[0]):
            each[1]()
            self.due.remove(each)

    def follow(self, **options: float | bool) -> tuple[LiveFolder, list[str]]:
        told: list[str] = []
        settings = LiveOptions(**{"stall_ms": 200.0, "idle_seconds": 2.0, **options})  # type: ignore[arg-type]
        return LiveFolder(self.folder, RIG, settings, told.append, lambda: self.now_s, self.sleep), told


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "drive")


def picture_of(sets: list[PartialSet]) -> list[str]:
    """One text per set: `.` for a frame, the first letter of the kind for a fault, in rig order."""
    return ["".join(frame.kind[0] if isinstance(frame, Fault) else "." for frame in one.frames) for one in sets]


def test_sets_come_as_they_are_written(recorder: Recorder) -> None:
    recorder.frames(5)
    live, told = recorder.follow()
    times_s, sets = [], []
    for one in live:
        times_s.append(recorder.now_s)
        sets.append(one)
    assert [one.token for one in sets] == [f"{n:06d}" for n in range(5)]
    assert picture_of(sets) == ["..."] * 5
    for number, (one, time_s) in enumerate(zip(sets, times_s, strict=True)):
        assert number * 0.1 <= time_s < number * 0.1 + 0.05, "taken when it was whole, not after the stall time"
        for frame in one.frames:
            assert np.abs(np.asarray(frame, int)[..., 0].mean() - 10 * number - 29.5) < 2
    assert recorder.now_s == pytest.approx(0.4 + 2.0, abs=0.1), "ended by the idle time"
    assert told == ["no camera has sent anything for 1.0 s; the run ends after 2 s of that"]
    assert live.dropped == 0


def test_a_backlog_is_worked_off_in_natural_order(recorder: Recorder) -> None:
    for stem in ("10", "9", "1"):
        for name in RIG.names:
            recorder.put(name, stem, encoded(1))
    live, _ = recorder.follow()
    assert [one.token for one in live] == ["1", "9", "10"]


def test_a_half_written_file_is_waited_for(recorder: Recorder) -> None:
    """In pieces over 0.15 s, each of which is a truncated image; then the next set."""
    whole = encoded(0)
    for name in ("left", "right"):
        recorder.at(0.0, name, "0", whole)
    for part, time_s in ((0, 0.0), (200, 0.02), (len(whole) // 2, 0.07), (len(whole) - 20, 0.1), (len(whole), 0.15)):
        recorder.at(time_s, "front", "0", whole[:part])
    for name in RIG.names:
        recorder.at(0.3, name, "1", encoded(1))
    live, _ = recorder.follow()
    seen = []
    for one in live:
        seen.append((one.token, picture_of([one])[0], recorder.now_s))
    assert [each[:2] for each in seen] == [("0", "..."), ("1", "...")]
    assert 0.15 <= seen[0][2] < 0.2


def test_a_file_that_never_decodes_is_damaged_after_the_stall_time(recorder: Recorder) -> None:
    recorder.frames(3, 0.5)
    recorder.due = [each for each in recorder.due if each[0] != 0.5]
    for name in ("left", "right"):
        recorder.at(0.5, name, "000001", encoded(1))
    recorder.at(0.5, "front", "000001", b"\xff\xd8\xff garbage")
    live, _ = recorder.follow()
    sets, times_s = [], []
    for one in live:
        sets.append(one)
        times_s.append(recorder.now_s)
    assert picture_of(sets) == ["...", ".d.", "..."]
    assert 0.7 <= times_s[1] < 0.75
    fault = sets[1].frames[1]
    assert isinstance(fault, Fault) and fault.detail.startswith("front/000001 does not decode (cannot identify")


def test_another_size_is_said_without_waiting(recorder: Recorder) -> None:
    for name in RIG.names:
        recorder.at(0.1, name, "1", encoded(1, (80, 48) if name == "front" else (WIDTH, HEIGHT), "PNG"), ".png")
    live, _ = recorder.follow()
    one = next(iter(live))
    assert recorder.now_s < 0.15
    fault = one.frames[1]
    assert isinstance(fault, Fault) and fault.kind == "wrong size"
    assert fault.detail == "front/1.png has 80 x 48 px, the rig's camera 160 x 96"


def test_a_lost_camera_costs_the_stall_time_once(recorder: Recorder) -> None:
    """And is waited for again as soon as it shows a file, even one that comes after its set has gone."""
    recorder.frames(8, without=tuple(("front", n) for n in range(2, 5)))
    recorder.at(0.43, "front", "000004", encoded(4))
    live, _ = recorder.follow()
    sets, delays_s = [], []
    for one in live:
        sets.append(one)
        delays_s.append(recorder.now_s - 0.1 * int(one.token))
    assert picture_of(sets) == ["...", "...", ".n.", ".n.", ".n.", "...", "...", "..."]
    fault = sets[2].frames[1]
    assert isinstance(fault, Fault) and fault.detail == "no front/000002 within 200 ms"
    assert 0.2 <= delays_s[2] < 0.25
    assert max(delays_s[4:]) < 0.05


def test_a_camera_that_is_always_late_is_named_as_late(recorder: Recorder) -> None:
    recorder.frames(4, 1.0, without=tuple(("right", n) for n in range(4)))
    for number in range(4):
        recorder.at(number + 0.4, "right", f"{number:06d}", encoded(number))
    live, _ = recorder.follow()
    sets = list(live)
    assert picture_of(sets) == ["..n"] * 4
    fault = sets[-1].frames[2]
    assert isinstance(fault, Fault) and fault.detail == "no right/000003 within 200 ms (3 came later)"


def test_silence_is_said_and_so_is_its_end(recorder: Recorder) -> None:
    recorder.frames(1)
    for name in RIG.names:
        recorder.at(1.5, name, "000001", encoded(1))
    live, told = recorder.follow()
    assert len(list(live)) == 2
    assert told[0] == "no camera has sent anything for 1.0 s; the run ends after 2 s of that"
    assert told[1] == "frames again after 1.5 s of silence"


@pytest.mark.parametrize("drop", [False, True])
def test_a_follower_that_is_too_slow(drop: bool, recorder: Recorder) -> None:
    """In order by default; with `drop` the newest whole set, and the others are counted."""
    recorder.frames(20)
    live, _ = recorder.follow(drop=drop)
    tokens = []
    for one in live:
        tokens.append(int(one.token))
        recorder.sleep(0.45)  # the pipeline is at work
    assert tokens == sorted(set(tokens)) and tokens[-1] == 19
    if drop:
        assert 4 <= len(tokens) <= 6 and live.dropped == 20 - len(tokens)
    else:
        assert tokens == list(range(20)) and live.dropped == 0


def test_names_that_are_no_frames_are_passed_over(recorder: Recorder) -> None:
    recorder.frames(2)
    for name, suffix in ((".000009", ".jpg"), ("000009", ".jpg.part"), ("notes", ".txt")):
        recorder.put("front", name, b"x", suffix)
    live, _ = recorder.follow()
    assert [one.token for one in live] == ["000000", "000001"]


def test_a_recorder_may_delete_what_is_done(recorder: Recorder) -> None:
    recorder.frames(4)
    live, _ = recorder.follow()
    tokens = []
    for one in live:
        tokens.append(one.token)
        for name in RIG.names:
            (recorder.folder / name / f"{one.token}.jpg").unlink()
    assert tokens == [f"{n:06d}" for n in range(4)]


def test_nothing_at_all_is_an_error_that_names_the_layout(recorder: Recorder) -> None:
    live, _ = recorder.follow()
    with pytest.raises(FrameSourceError, match=r"no camera frame came within 2 s; expected left/000001.jpg"):
        list(live)
    with pytest.raises(FrameSourceError, match="no such folder to follow"):
        LiveFolder(recorder.folder / "missing", RIG)


def test_without_pillow_the_extra_is_named(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder.frames(1)
    monkeypatch.setitem(sys.modules, "PIL", None)
    live, _ = recorder.follow()
    with pytest.raises(MissingDependencyError, match=r"pip install 'bevdeploy\[media\]'"):
        list(live)


def test_beside_a_real_writer(tmp_path: Path) -> None:
    """A thread in real time: pieces of files, renames, garbage, a camera that dies; only order and content count."""
    for name in RIG.names:
        (tmp_path / name).mkdir()

    def write() -> None:
        for number in range(12):
            for name in RIG.names:
                if name == "right" and number >= 8:
                    continue
                content = encoded(number) if (name, number) != ("front", 5) else os.urandom(300)
                path = tmp_path / name / f"{number:06d}.jpg"
                if name == "left":
                    part = path.with_suffix(".part")
                    part.write_bytes(content)
                    part.rename(path)
                    continue
                with path.open("wb") as file:
                    for start in range(0, len(content), 2000):
                        file.write(content[start : start + 2000])
                        file.flush()
                        time.sleep(0.001)
            time.sleep(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    sets = list(LiveFolder(tmp_path, RIG, LiveOptions(stall_ms=1500.0, idle_seconds=2.5)))
    writer.join()
    assert [one.token for one in sets] == [f"{n:06d}" for n in range(12)]
    assert picture_of(sets) == ["..."] * 5 + [".d."] + ["..."] * 2 + ["..n"] * 4
    for number, one in enumerate(sets):
        for frame in one.frames:
            if not isinstance(frame, Fault):
                wanted = np.asarray(Image.open(io.BytesIO(encoded(number))))
                np.testing.assert_array_equal(frame, wanted)
