"""The contract: its file, its digest, its checks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bevdeploy.errors import ContractError
from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry
from bevdeploy.runtime import Contract, Preprocessing, contract_path, load_contract
from bevdeploy.tasks import TaskSpec

Make = Callable[..., Contract]


@pytest.mark.parametrize("io", ["frames", "tensor"])
@pytest.mark.parametrize("geometry_mode, rig_digest", [("runtime", None), ("baked", "ab" * 32)])
def test_a_file_round_trips(tmp_path: Path, make_contract: Make, io: str, geometry_mode: str, rig_digest: Any) -> None:
    contract = make_contract(io=io, geometry_mode=geometry_mode, rig_digest=rig_digest)
    contract.save(tmp_path / "s.contract.json")
    again = load_contract(tmp_path / "s.contract.json")
    assert again == contract
    assert again.digest() == contract.digest()


def test_whole_metres_digest_as_floats(tmp_path: Path, make_contract: Make) -> None:
    """A grid written down as -5 m is read back as -5.0 m: still the same contract."""
    view = ViewGeometry(BEVGrid((-20, -12, -5), (2, 2, 8), (20, 12, 1)), DepthBins(1, 25, 2), (16, 32), (4, 8))
    contract = make_contract(geometry=view)
    contract.save(tmp_path / "s.contract.json")
    assert load_contract(tmp_path / "s.contract.json").digest() == contract.digest() == make_contract().digest()


def test_the_digest_sees_every_field(make_contract: Make, small_view: ViewGeometry) -> None:
    wide = ViewGeometry(small_view.grid, small_view.depth_bins, (16, 48), small_view.feature_hw)
    contracts = [
        make_contract(),
        make_contract(student="other"),
        make_contract(io="tensor"),
        make_contract(geometry_mode="baked"),
        make_contract(rig_digest="ab"),
        make_contract(raw_hw=(36, 65)),
        make_contract(outputs=()),
        make_contract(cameras=make_contract().cameras[::-1]),
        make_contract(geometry=wide),
        make_contract(table_sizes=make_contract().table_sizes.grown(2)),
        make_contract(tasks=TaskSpec(detections=6)),
        make_contract(preprocessing=Preprocessing(resize="antialias")),
        make_contract(preprocessing=Preprocessing(mean=(0.0, 0.0, 0.0))),
    ]
    assert len({contract.digest() for contract in contracts}) == len(contracts)


def test_graphs_and_plans_share_one_contract() -> None:
    folder = Path("out")
    for name in ("s.onnx", "s.fp32.onnx", "s.orin-nx-16gb.fp16.plan"):
        assert contract_path(folder / name) == folder / "s.contract.json"


@pytest.mark.parametrize(
    "change",
    [
        {"format": "bevdeploy.contract/0"},
        {"io": "video"},
        {"geometry_mode": None},
        {"surprise": 1},
        {"inputs": None},
        {"inputs": [{"name": "frames"}]},
        {"inputs": [{"name": "x", "shape": [1], "dtype": "float23", "unit": "", "meaning": ""}]},
        {"inputs": [{"name": "x", "shape": ["B"], "dtype": "float32", "unit": "", "meaning": ""}]},
        {"outputs": 7},
        {"cameras": None},
        {"raw_hw": [900]},
        {"raw_hw": "big"},
        {"geometry": {}},
        {"geometry": []},
        {"table_sizes": {"rows": 1}},
        {"table_sizes": {"rows": 1, "sums1": 1, "sums2": 1, "sums3": 1}},
        {"tasks": {"colour": "red"}},
        {"preprocessing": {"resize": "cubic"}},
        {"preprocessing": {"std": [1, 0, 1]}},
        {"preprocessing": {"mean": [1, 2]}},
        {"preprocessing": {"mean": ["red", "green", "blue"]}},
    ],
)
def test_damaged_contracts(tmp_path: Path, make_contract: Make, change: dict[str, Any]) -> None:
    path = tmp_path / "s.contract.json"
    path.write_text(json.dumps({**make_contract().document(), **change}))
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("key", ["student", "io", "inputs", "cameras", "geometry", "rig_digest", "tasks"])
def test_missing_keys(tmp_path: Path, make_contract: Make, key: str) -> None:
    document = make_contract().document()
    del document[key]
    path = tmp_path / "s.contract.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ContractError, match=key):
        load_contract(path)


def test_an_empty_grid_is_told_with_its_file(tmp_path: Path, make_contract: Make) -> None:
    document = make_contract().document()
    document["geometry"]["grid"]["count"] = [0, 12, 1]
    path = tmp_path / "s.contract.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ContractError, match=r"s\.contract\.json.*BEV grid is empty"):
        load_contract(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_files_that_are_no_contract(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.contract.json"
    path.write_bytes(content)
    with pytest.raises(ContractError, match="contract"):
        load_contract(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"missing.*bevdeploy export"):
        load_contract(tmp_path / "s.contract.json")


def test_feeds_are_checked(make_contract: Make) -> None:
    contract = make_contract()
    feeds = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in contract.inputs}
    contract.check_inputs(feeds)
    with pytest.raises(ContractError, match="takes the inputs"):
        contract.check_inputs({name: array for name, array in feeds.items() if name != "sum1"})
    with pytest.raises(ContractError, match="takes the inputs"):
        contract.check_inputs({**feeds, "more": feeds["sum1"]})
    with pytest.raises(ContractError, match=r"frames: expected uint8 \(6, 36, 64, 3\), got uint8 \(5, 36, 64, 3\)"):
        contract.check_inputs({**feeds, "frames": feeds["frames"][:5]})
    with pytest.raises(ContractError, match=r"cell_row: expected int32.*got int64"):
        contract.check_inputs({**feeds, "cell_row": feeds["cell_row"].astype(np.int64)})
