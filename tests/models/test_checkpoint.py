"""Checkpoints: what was saved is what is loaded; all else is one line of CheckpointError, and nothing is executed."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bevdeploy.errors import CheckpointError, OutputError
from bevdeploy.models import Student, build_student, load_checkpoint, save_checkpoint
from bevdeploy.models.checkpoint import checkpoint_note

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def saved(small: Student, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good checkpoint; tests read it only."""
    path = tmp_path_factory.mktemp("checkpoint") / "small.pt"
    save_checkpoint(path, small, {"cell_m": 1.6}, "for tests")
    return path


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Callable[[Path], str]:
    """The message with which a file is refused: one line that begins with its path, and nothing else on the screen."""

    def message(path: Path) -> str:
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(path)
        text = str(caught.value)
        assert text.startswith(f"{path}: ") and len(text.splitlines()) == 1
        assert capfd.readouterr() == ("", "")
        return text

    return message


def changed(saved: Path, path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The good document, changed in place or replaced by what `change` returns."""
    document = torch.load(saved, weights_only=True)
    result = change(document)
    torch.save(result if isinstance(result, dict | list | torch.Tensor) else document, path)
    return path


def test_round_trip(saved: Path, small: Student) -> None:
    student = load_checkpoint(saved)
    assert student.spec == small.spec and not student.training
    want = small.state_dict()
    got = student.state_dict()
    assert list(got) == list(want) and all(torch.equal(got[key], want[key]) for key in want)
    assert checkpoint_note(saved) == "for tests"


def test_arguments_come_back(tmp_path: Path) -> None:
    arguments = {"cell_m": 3.2, "image_width_px": 160, "ego_state": True}
    path = tmp_path / "deep" / "folder" / "other.pt"
    save_checkpoint(path, build_student("tinybev_r18_small", arguments), arguments)
    spec = load_checkpoint(path).spec
    assert spec.geometry.grid.count == (32, 32, 1) and spec.geometry.net_hw == (128, 160) and spec.ego_state


class Marker:
    """Unpickling it creates a file."""

    def __init__(self, path: Path, how: str) -> None:
        self.path, self.how = path, how

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.path}",)) if self.how == "system" else (open, (str(self.path), "w"))


@pytest.mark.parametrize("how", ["system", "open"])
@pytest.mark.parametrize("container", ["pickle", "zip", "legacy", "beside good weights", "as a weight"])
def test_code_in_a_file_is_refused_and_not_run(
    saved: Path, tmp_path: Path, how: str, container: str, refused: Callable[[Path], str]
) -> None:
    path, marker = tmp_path / "evil.pt", tmp_path / "marker"
    evil = Marker(marker, how)
    if container == "pickle":
        path.write_bytes(pickle.dumps({"format": "bevdeploy.checkpoint/1", "weights": evil}))
    elif container == "zip":
        torch.save(evil, path)
    elif container == "legacy":
        torch.save({"weights": evil}, path, _use_new_zipfile_serialization=False)
    elif container == "beside good weights":
        changed(saved, path, lambda document: document.update(note=evil))
    else:
        changed(saved, path, lambda document: document["weights"].update({"detection.shared.0.weight": evil}))
    assert "refused: reading it would need more than weights" in refused(path)
    assert not marker.exists()
    # the trap itself works: whoever reads the file carelessly springs it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the file that `open` leaves open
        torch.load(path, weights_only=False) if container != "pickle" else pickle.loads(path.read_bytes())
    assert marker.exists()


def test_truncated_anywhere(saved: Path, tmp_path: Path, refused: Callable[[Path], str]) -> None:
    content, path = saved.read_bytes(), tmp_path / "cut.pt"
    chosen = random.Random(1)
    size = len(content)
    tail = [size - n for n in (1, 2, 21, 22, 23, 100, 1000, 10_000)]
    for length in [1, 2, 3, 4, 30, 64, 200, 1000, *tail, *(chosen.randrange(size) for _ in range(24))]:
        path.write_bytes(content[:length])
        refused(path)


def test_a_flipped_bit_is_found_or_harmless(saved: Path, tmp_path: Path, small: Student) -> None:
    """Weights, names and structure are under checksums; a time stamp or a padding byte of the archive is not."""
    content, path = saved.read_bytes(), tmp_path / "flipped.pt"
    chosen = random.Random(2)
    size, want, found = len(content), small.state_dict(), 0
    places = [*range(0, 64, 7), *(chosen.randrange(size) for _ in range(40)), *(size - n for n in range(1, 4000, 131))]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << chosen.randrange(8)
        path.write_bytes(damaged)
        try:
            got = load_checkpoint(path).state_dict()
        except CheckpointError as error:
            assert len(str(error).splitlines()) == 1
            found += 1
        else:
            assert all(torch.equal(got[key], want[key]) for key in want), f"byte {place}"
    assert found > 40


def test_one_flipped_bit_of_a_weight_is_found(saved: Path, tmp_path: Path, refused: Callable[[Path], str]) -> None:
    """The middle of the file is the middle of a weight; torch itself would read it as another number."""
    path = tmp_path / "flipped.pt"
    damaged = bytearray(saved.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    assert torch.load(path, weights_only=True)["note"] == "for tests"
    assert "wrong checksum" in refused(path)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 5000, b"PK\x03\x04", b"PK\x05\x06" + b"\0" * 18, b"\x80\x04.", b"{}\n", b"\xff" * 100]
)
def test_what_is_no_checkpoint_at_all(content: bytes, tmp_path: Path, refused: Callable[[Path], str]) -> None:
    path = tmp_path / "noise.pt"
    path.write_bytes(content)
    refused(path)


def test_missing_file_and_folder(tmp_path: Path, refused: Callable[[Path], str]) -> None:
    assert "no such file; write one: bevdeploy init" in refused(tmp_path / "absent.pt")
    assert "directory" in refused(tmp_path)


def test_a_torchscript_archive(tmp_path: Path, refused: Callable[[Path], str]) -> None:
    path = tmp_path / "script.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.script(torch.nn.ReLU()).save(str(path))
    assert "damaged checkpoint" in refused(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["weights"], '"format" is None, not'),
        (lambda d: [1, 2], "not a bevdeploy checkpoint: it holds a list"),
        (lambda d: torch.zeros(3), "not a bevdeploy checkpoint: it holds a Tensor"),
        (lambda d: d.update(format="bevdeploy.checkpoint/9"), "\"format\" is 'bevdeploy.checkpoint/9'"),
        (lambda d: d.update(student="tinybev_r19"), "unknown student 'tinybev_r19'; known are"),
        (lambda d: d.update(student=18), "damaged checkpoint"),
        (lambda d: d.update(arguments=None), "damaged checkpoint"),
        (lambda d: d.update(weights=[]), "damaged checkpoint"),
        (lambda d: d.update(arguments={"depth": 34}), "takes no option 'depth'"),
        (lambda d: d.update(arguments={3: 34}), "takes no option 3"),
        (lambda d: d.update(arguments={"cell_m": "wide"}), "cell_m must be float, got 'wide'"),
        (lambda d: d.update(arguments={"cell_m": 1e-320}), "infinity"),
        (lambda d: d.update(arguments={"cell_m": [1.6]}), "cell_m must be float"),
        (lambda d: d.update(arguments={"ego_state": True}), "planning.ego.bias, planning.ego.weight"),
        (lambda d: d["weights"].__delitem__("planning.scene.bias"), "1 missing (planning.scene.bias), 0 unknown"),
        (lambda d: d["weights"].update(extra=torch.ones(1)), "0 missing, 1 unknown (extra)"),
        (lambda d: d["weights"].update({5: torch.ones(1)}), "0 missing, 1 unknown (5)"),
        (lambda d: d["weights"].update({"planning.scene.bias": torch.ones(3)}), "expected (64,), got (3,)"),
        (lambda d: d["weights"].update({"planning.scene.bias": 7}), "expected (64,), got int"),
        (
            lambda d: d["weights"]["planning.scene.bias"].fill_(float("nan")).sum().item(),
            "planning.scene.bias holds NaN",
        ),
        (
            lambda d: d["weights"]["planning.scene.bias"].fill_(float("inf")).sum().item(),
            "planning.scene.bias holds NaN",
        ),
    ],
)
def test_documents_that_do_not_fit(
    saved: Path, tmp_path: Path, change: Callable[[dict[str, Any]], Any], words: str, refused: Callable[[Path], str]
) -> None:
    assert words in refused(changed(saved, tmp_path / "changed.pt", change))


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path: Path, small: Student) -> None:
    """A file-size limit stands for a full disk: torch's writer stops in the middle of the weights."""
    path = tmp_path / "small.pt"
    path.write_bytes(b"the file before")
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from bevdeploy.errors import OutputError\n"
        "from bevdeploy.models import save_checkpoint, tinybev_r18_small\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try:\n    save_checkpoint(Path(sys.argv[1]), tinybev_r18_small(), {})\n"
        "except OutputError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, cwd=REPOSITORY, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{path}: not written") and "disk full" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["small.pt"]
    assert path.read_bytes() == b"the file before"


def test_ctrl_c_leaves_the_old_file_and_no_part(
    tmp_path: Path, small: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "small.pt"
    path.write_bytes(b"the file before")

    def interrupted(document: Any, part: Path) -> None:
        part.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, small, {})
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"the file before"]


def test_a_folder_that_cannot_be_is_an_output_error(tmp_path: Path, small: Student) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"small\.pt: cannot be written"):
        save_checkpoint(tmp_path / "file" / "small.pt", small, {})
