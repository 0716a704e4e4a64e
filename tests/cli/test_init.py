"""`bevdeploy init`: what is in the file, and what the seed decides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from bevdeploy.models import load_checkpoint  # noqa: E402
from bevdeploy.models.checkpoint import checkpoint_note  # noqa: E402

STUDENT = "tinybev_r18_small"
SMALL = ("--option", "image_width_px=64", "--option", "image_height_px=32", "--option", "cell_m=6.4")


def weights(path: Path) -> dict[str, Any]:
    return load_checkpoint(path).state_dict()


def equal(first: Path, second: Path) -> bool:
    a, b = weights(first), weights(second)
    assert list(a) == list(b)
    return all(torch.equal(a[key], b[key]) for key in a)


def test_options_reach_the_student_and_the_report(tmp_path: Path, bevdeploy_cli: Any) -> None:
    done = bevdeploy_cli(
        "init", STUDENT, *SMALL, "--option", "ego_state=true", "-o", tmp_path / "s.pth", "--json", tmp_path / "s.json"
    )
    assert done.code == 0, done.err
    student = load_checkpoint(tmp_path / "s.pth")
    assert student.spec.name == STUDENT
    assert student.spec.geometry.net_hw == (32, 64)
    assert student.spec.geometry.grid.count == (16, 16, 1)
    assert student.spec.ego_state
    report = json.loads((tmp_path / "s.json").read_text())
    assert report["image_hw"] == [32, 64]
    assert report["parameters"] == sum(parameter.numel() for parameter in student.parameters())
    assert f"{report['parameters'] / 1e6:.2f} M parameters, 64 x 32 px" in done.out
    assert f"bevdeploy export {tmp_path / 's.pth'}" in done.out.replace("\n", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.json", "s.pth"]


def test_the_seed_decides_the_weights(tmp_path: Path, bevdeploy_cli: Any) -> None:
    for name, seed in (("a", "3"), ("again", "3"), ("b", "4")):
        assert bevdeploy_cli("init", STUDENT, *SMALL, "--seed", seed, "-o", tmp_path / f"{name}.pth").code == 0
    assert equal(tmp_path / "a.pth", tmp_path / "again.pth")
    assert not equal(tmp_path / "a.pth", tmp_path / "b.pth")
    assert "seed 4" in checkpoint_note(tmp_path / "b.pth")


def test_norms_have_seen_images(checkpoint: Path) -> None:
    state = weights(checkpoint)
    means = [value for key, value in state.items() if key.endswith("running_mean")]
    assert len(means) > 20
    assert all(value.abs().max() > 0 for value in means)


def test_a_backbone_file_replaces_the_seed(tmp_path: Path, bevdeploy_cli: Any) -> None:
    assert bevdeploy_cli("init", STUDENT, *SMALL, "--seed", "1", "-o", tmp_path / "one.pth").code == 0
    own = load_checkpoint(tmp_path / "one.pth").image_encoder.backbone.state_dict()
    given = {f"module.backbone.{key}": value for key, value in own.items()}
    given["module.backbone.fc.weight"] = torch.zeros(10, 128)
    torch.save(given, tmp_path / "resnet18.pth")
    done = bevdeploy_cli(
        "init", STUDENT, *SMALL, "--seed", "2", "--backbone", tmp_path / "resnet18.pth", "-o", tmp_path / "two.pth"
    )
    assert done.code == 0, done.err
    assert "backbone: resnet18.pth" in done.out
    kernels = load_checkpoint(tmp_path / "two.pth").image_encoder.backbone.state_dict()
    assert all(torch.equal(kernels[key], own[key]) for key in own if key.endswith("conv1.weight"))
    assert not equal(tmp_path / "one.pth", tmp_path / "two.pth")


def test_a_backbone_of_another_width_is_refused(tmp_path: Path, bevdeploy_cli: Any, checkpoint: Path) -> None:
    own = load_checkpoint(checkpoint).image_encoder.backbone.state_dict()
    torch.save({**own, "conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "wide.pth")
    torch.save({key: own[key] for key in list(own)[:9]}, tmp_path / "part.pth")
    torch.save(own["conv1.weight"], tmp_path / "tensor.pth")
    for name, word in (("wide", "(64, 3, 7, 7)"), ("part", "missing"), ("tensor", "state dict"), ("none", "no such")):
        file = tmp_path / f"{name}.pth"
        done = bevdeploy_cli("init", STUDENT, *SMALL, "--backbone", file, "-o", tmp_path / "x" / "s.pth")
        done.fails("CheckpointError", str(file), word)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("cell_m=1000", ["empty"]),
        ("cell_m=0", ["empty"]),
        ("cell_m=-1.6", ["empty"]),
        ("cell_m=nan", ["cell_m=nan", "finite"]),
        ("cell_m=inf", ["cell_m=inf", "finite"]),
        ("cell_m=1e-9", ["cells", "at most"]),
        ("cell_m=20", ["--option cell_m"]),
        ("image_width_px=0", ["at least 1 x 1"]),
        ("image_height_px=-5", ["at least 1 x 1"]),
        ("image_width_px=100000", ["100000 x 128 px", "at most", "--option image_width_px"]),
        ("image_width_px=99999999999999999999", ["99999999999999999999"]),
        ("image_width_px=wide", ["image_width_px=wide", "int"]),
        ("image_widht_px=64", ["did you mean image_width_px?"]),
        ("image_width_px", ["expected key=value"]),
        ("ego_state=maybe", ["ego_state=maybe", "bool"]),
    ],
)
def test_options_that_make_no_student(tmp_path: Path, bevdeploy_cli: Any, option: str, words: list[str]) -> None:
    bevdeploy_cli("init", STUDENT, "--option", option, "-o", tmp_path / "s.pth").fails("CheckpointError", *words)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_student_and_seeds_beyond_torch(tmp_path: Path, bevdeploy_cli: Any) -> None:
    done = bevdeploy_cli("init", "tinybev_r18_smal", "-o", tmp_path / "s.pth")
    done.fails("CheckpointError", "did you mean tinybev_r18_small?")
    for seed in ("-1", str(2**63), "one"):
        done = bevdeploy_cli("init", STUDENT, "--seed", seed, "-o", tmp_path / "s.pth")
        assert done.code == 2
        assert "--seed" in done.err
    assert list(tmp_path.iterdir()) == []
