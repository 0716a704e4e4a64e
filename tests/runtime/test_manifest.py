"""The manifest: its file, what is refused in it, and the machines, exports and plans that it does not fit."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

from bevdeploy.errors import EngineError
from bevdeploy.runtime.manifest import (
    EngineManifest,
    check_manifest,
    load_manifest,
    manifest_path,
    plan_path,
)

PLAN = b"the bytes of a plan"
HERE: dict[str, Any] = {"backend": "tensorrt", "library_version": "10.3.0", "sm": 87, "contract_digest": "c" * 64}


@pytest.fixture
def manifest() -> EngineManifest:
    return EngineManifest(
        plan="s.orin-agx-64gb.fp16.plan",
        plan_sha256=hashlib.sha256(PLAN).hexdigest(),
        onnx="s.fp16.onnx",
        onnx_sha256="0" * 64,
        contract_digest="c" * 64,
        rig_digest=None,
        target="orin-agx-64gb",
        backend="tensorrt",
        library_version="10.3.0",
        cuda_version="12.6",
        compute_capabilities=(87,),
        pool="native",
        plugin_sha256=None,
        precision="fp16",
        flags=("strongly_typed", "workspace_mib=4096"),
        bevdeploy_version="0.1.0",
    )


@pytest.fixture
def plan(manifest: EngineManifest, tmp_path: Path) -> Path:
    return tmp_path / manifest.plan


def saved(document: Any, folder: Path) -> Path:
    path = folder / "x.plan.manifest.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_names_beside_the_graph() -> None:
    plan = plan_path(Path("out/s.fp32.onnx"), "rtx", "fp32")
    assert plan == Path("out/s.rtx.fp32.plan")
    assert manifest_path(plan) == Path("out/s.rtx.fp32.plan.manifest.json")


def test_a_file_round_trips(manifest: EngineManifest, tmp_path: Path) -> None:
    for each in (
        manifest,
        replace(manifest, pool="plugin", plugin_sha256="d" * 64, rig_digest="e" * 64),
        replace(manifest, backend="tensorrt_rtx", compute_capabilities=(), cuda_version=None, flags=()),
    ):
        each.save(tmp_path / "m.json")
        assert load_manifest(tmp_path / "m.json") == each
        assert json.loads((tmp_path / "m.json").read_text())["format"] == "bevdeploy.manifest/1"


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"m.json: missing; .* bevdeploy build ONNX -t TARGET"):
        load_manifest(tmp_path / "m.json")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "bevdeploy.manifest/2"}', "[" * 100000, "\x00\xff"])
def test_what_is_no_manifest(content: str, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(content, encoding="latin-1")
    with pytest.raises(EngineError, match=r"m\.json: (not|cannot be read as) a manifest"):
        load_manifest(tmp_path / "m.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sm": 87}, "unknown keys ['sm']"),
        ({"plan_sha256": "12"}, "plan_sha256: expected 64 hexadecimal digits, got '12'"),
        ({"plan": "../../etc/passwd"}, "plan: expected a file name without folders"),
        ({"onnx": ".."}, "onnx: expected a file name without folders"),
        ({"backend": "onnxruntime"}, "backend: expected tensorrt or tensorrt_rtx, got 'onnxruntime'"),
        ({"backend": []}, "backend: expected tensorrt or tensorrt_rtx, got []"),
        ({"pool": "plugin"}, "pool plugin and plugin_sha256 None contradict each other"),
        ({"plugin_sha256": "d" * 64}, "contradict each other"),
        ({"compute_capabilities": [8.7]}, "compute_capabilities: expected a list such as [87], got [8.7]"),
        ({"compute_capabilities": [True]}, "compute_capabilities: expected"),
        ({"flags": "tf32"}, "flags: expected a list of texts"),
        ({"target": "rtx\n; rm -rf ."}, "target: expected a text"),
        ({"library_version": 10.3}, "library_version: expected a text, got 10.3"),
    ],
)
def test_wrong_values(changes: dict[str, Any], message: str, manifest: EngineManifest, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as refused:
        load_manifest(saved({**manifest.document(), **changes}, tmp_path))
    assert message in str(refused.value)


@pytest.mark.parametrize("field", [field.name for field in fields(EngineManifest)])
def test_every_key_is_needed(field: str, manifest: EngineManifest, tmp_path: Path) -> None:
    document = manifest.document()
    del document[field]
    with pytest.raises(EngineError, match=f"missing key '{field}'"):
        load_manifest(saved(document, tmp_path))


def test_a_mutated_file_is_refused_or_read_as_what_it_says(manifest: EngineManifest, tmp_path: Path) -> None:
    rng, outcomes = random.Random(3), {"read": 0, "refused": 0}
    junk = [None, True, -1, 10**30, 1.5, "", "x", "ä\ud800", [], [[]], {}, {"a": 1}, "c" * 64, ["s"], [87, -1]]
    text = bytearray(manifest.text(), "utf-8")
    for n in range(600):
        if n % 2:
            document = {**manifest.document(), rng.choice(sorted(asdict(manifest))): rng.choice(junk)}
            path = saved(document, tmp_path)
        else:
            mutant = bytearray(text)
            for _ in range(rng.randint(1, 4)):
                mutant[rng.randrange(len(mutant))] = rng.randrange(256)
            path = tmp_path / "x.plan.manifest.json"
            path.write_bytes(mutant[: rng.randint(1, len(mutant))] if n % 4 else mutant)
        try:
            loaded = load_manifest(path)
        except EngineError as error:
            outcomes["refused"] += 1
            assert str(path) in str(error)
        else:
            outcomes["read"] += 1
            assert loaded.document() == json.loads(path.read_text(encoding="utf-8"))
    assert min(outcomes.values()) > 20, outcomes


def test_a_plan_of_this_machine_passes(manifest: EngineManifest, plan: Path) -> None:
    check_manifest(manifest, plan, PLAN, **HERE)
    check_manifest(manifest, plan, PLAN, **{**HERE, "sm": None, "contract_digest": None})
    check_manifest(manifest, plan, PLAN, **HERE, rig_digest="a" * 64)  # runtime geometry takes any rig
    portable = replace(manifest, backend="tensorrt_rtx", compute_capabilities=())
    check_manifest(portable, plan, PLAN, **{**HERE, "backend": "tensorrt_rtx", "sm": 120})


@pytest.mark.parametrize(
    ("changes", "here", "line"),
    [
        ({}, {"library_version": "10.16.2"}, "TensorRT version: built with 10.3.0, here 10.16.2"),
        ({}, {"backend": "tensorrt_rtx"}, "library: built with TensorRT, here TensorRT-RTX"),
        ({}, {"sm": 110}, "compute capability: built with 87, here 110"),
        ({}, {"contract_digest": "f" * 64}, "contract: built with cccccccccccc, here ffffffffffff"),
        ({"rig_digest": "e" * 64}, {"rig_digest": "a" * 64}, "baked rig: built with eeeeeeeeeeee, here aaaaaaaaaaaa"),
        ({"pool": "plugin", "plugin_sha256": "d" * 64}, {}, "plugin library: built with dddddddddddd, here none"),
        (
            {"pool": "plugin", "plugin_sha256": "d" * 64},
            {"plugin_sha256": "b" * 64},
            "plugin library: built with dddddddddddd, here bbbbbbbbbbbb",
        ),
        ({"plan_sha256": "9" * 64}, {}, "the manifest is of a plan 999999999999"),
    ],
)
def test_what_differs_is_refused_with_the_command(
    changes: dict[str, Any], here: dict[str, Any], line: str, manifest: EngineManifest, plan: Path
) -> None:
    foreign = replace(manifest, **changes)
    with pytest.raises(EngineError) as refused:
        check_manifest(foreign, plan, PLAN, **{**HERE, **here})
    message = str(refused.value)
    assert line in message
    assert message.count("\n  ") == 1, "one difference, one line"
    assert message.endswith(f"Build it here: {foreign.rebuild_command(plan)}")


def test_all_differences_are_told_at_once(manifest: EngineManifest, plan: Path) -> None:
    with pytest.raises(EngineError) as refused:
        check_manifest(manifest, plan, PLAN + b"!", **{**HERE, "sm": 86, "library_version": "11.4.1"})
    assert str(refused.value).count("\n  ") == 3


def test_the_rebuild_command_repeats_what_was_asked(manifest: EngineManifest) -> None:
    command = manifest.rebuild_command(Path("s.orin-agx-64gb.fp16.plan"))
    assert command == "bevdeploy build s.fp16.onnx -t orin-agx-64gb"
    asked = replace(manifest, pool="plugin", plugin_sha256="d" * 64, flags=("tf32",), target="my boards/agx.toml")
    assert asked.rebuild_command(Path("out/x.plan")) == (
        "bevdeploy build out/s.fp16.onnx -t 'my boards/agx.toml' --pool plugin --tf32 -o out/x.plan"
    )
