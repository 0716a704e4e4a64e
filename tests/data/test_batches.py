"""Batches: the tensors of their samples, the same from any number of workers and after a break; flat memory."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bevdeploy.data.augment import Augmentation
from bevdeploy.data.batches import Batch, Normalisation, collate, epoch_order, loader
from bevdeploy.data.build_index import build_index
from bevdeploy.data.index import SampleIndex, open_index
from bevdeploy.data.samples import Samples
from bevdeploy.errors import DataSetError, GeometryError
from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry
from bevdeploy.ops import pool_ranks
from bevdeploy.runtime.contract import Preprocessing
from bevdeploy.tasks import TaskSpec

GEOMETRY = ViewGeometry(BEVGrid.centred(51.2, 3.2, (-5.0, 3.0)), DepthBins(1.0, 60.0, 2.0), (64, 176), (4, 11))


@pytest.fixture(scope="module")
def samples(mini_index: SampleIndex) -> Samples:
    return Samples(mini_index, TaskSpec(), GEOMETRY, previous=True)


def test_the_default_normalisation_is_deployments() -> None:
    assert (Normalisation().mean, Normalisation().std) == (Preprocessing().mean, Preprocessing().std)


def test_tensors_of_a_batch(samples: Samples) -> None:
    chosen = [samples[1], samples[2]]
    batch = collate(chosen, GEOMETRY, ego_state=True)
    images = batch.inputs.images
    assert images.shape == (2, 6, 3, 64, 176) and images.dtype == torch.float32 and images.is_contiguous()
    pixel = (chosen[1].view.images[3, 10, 20].astype(np.float64) - Normalisation().mean) / Normalisation().std
    np.testing.assert_allclose(images[1, 3, :, 10, 20], pixel, rtol=1e-5)
    for ours, want in zip(
        batch.inputs.pool.tensors(),
        pool_ranks([sample.view.indices for sample in chosen], GEOMETRY, 6).tensors(),
        strict=True,
    ):
        assert torch.equal(ours, want)
    assert batch.inputs.ego_state is not None
    np.testing.assert_array_equal(batch.inputs.ego_state[0], chosen[0].ego_state)
    assert batch.tokens == samples.tokens[1:] and batch.truths == (chosen[0].truth, chosen[1].truth)
    assert collate(chosen, GEOMETRY).inputs.ego_state is None
    with pytest.raises(GeometryError, match="no sample"):
        collate([], GEOMETRY)


def test_where_there_is_no_previous_keyframe_the_present_stands_in(samples: Samples) -> None:
    batch = collate([samples[1], samples[2]], GEOMETRY)
    assert batch.has_previous.tolist() == [False, True] and batch.previous is not None
    assert torch.equal(batch.previous.images[0], batch.inputs.images[0])
    assert not torch.equal(batch.previous.images[1], batch.inputs.images[1])
    np.testing.assert_array_equal(batch.bev_from_previous_bev[0], np.eye(4))
    motion = samples[2].bev_from_previous_bev
    assert motion is not None
    np.testing.assert_allclose(batch.bev_from_previous_bev[1], motion, atol=1e-5)
    assert collate([samples[0]], GEOMETRY).previous is None


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_an_epoch_visits_every_sample_once(processes: int) -> None:
    shares = [epoch_order(7, True, 3, 1, rank, processes) for rank in range(processes)]
    assert len({len(share) for share in shares}) == 1
    visited = np.concatenate(shares)
    assert set(visited) == set(range(7)) and len(visited) < 7 + processes
    assert not np.array_equal(epoch_order(50, True, 3, 1), epoch_order(50, True, 3, 2))
    np.testing.assert_array_equal(epoch_order(5, False, 3, 1), np.arange(5))
    np.testing.assert_array_equal(epoch_order(2, False, 0, 0, 2, 5), [0])


def test_workers_and_resumption_change_nothing(samples: Samples) -> None:
    augmented = replace(samples, augmentation=Augmentation(), previous=False)
    whole = list(loader(augmented, 1, 0, seed=5, epoch=3))
    for other in (
        list(loader(augmented, 1, 2, seed=5, epoch=3)),
        list(loader(augmented, 1, 1, seed=5, epoch=3, start_method="spawn")),
    ):
        assert_equal(whole, other)
    assert_equal(whole[2:], list(loader(augmented, 1, 0, seed=5, epoch=3, first_batch=2)))
    assert [len(batch.tokens) for batch in loader(augmented, 2, 0, shuffle=False)] == [2, 1]
    assert {batch.tokens[0] for batch in whole} == set(samples.tokens)
    again = next(loader(augmented, 3, 0, seed=5, epoch=4))
    assert not torch.equal(again.bev_from_ego.sum(), torch.cat([b.bev_from_ego for b in whole]).sum())


def assert_equal(some: list[Batch], others: list[Batch]) -> None:
    assert len(some) == len(others)
    for a, b in zip(some, others, strict=True):
        assert a.tokens == b.tokens
        assert torch.equal(a.inputs.images, b.inputs.images) and torch.equal(a.bev_from_ego, b.bev_from_ego)
        assert all(torch.equal(x, y) for x, y in zip(a.inputs.pool.tensors(), b.inputs.pool.tensors(), strict=True))
        np.testing.assert_array_equal(a.truths[0].boxes, b.truths[0].boxes)


def test_damage_is_reported_through_workers(own_root: Path) -> None:
    build_index(own_root)
    index = open_index(own_root)
    samples = Samples(index, TaskSpec(), GEOMETRY)
    path = index.root / index.arrays.image_path[1, 2].decode()
    path.write_bytes(path.read_bytes()[:5000])
    batches = list(loader(samples, 3, 1, shuffle=False))
    assert batches[0].tokens == (samples.tokens[0], samples.tokens[2], samples.tokens[2])
    assert len(batches[0].passed_over) == 1 and path.name in batches[0].passed_over[0]


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 0}, {"workers": -1}, {"rank": 2, "processes": 2}, {"first_batch": -1}]
)
def test_impossible_loaders_are_refused(samples: Samples, wrong: dict[str, int]) -> None:
    with pytest.raises(DataSetError, match="a loader of batches of"):
        loader(samples, **{"batch_size": 1, **wrong})  # type: ignore[arg-type]


@pytest.mark.slow
def test_memory_is_flat_over_an_epoch(own_root: Path) -> None:
    """Many keyframes that share the images of three: resident memory after 20 batches is that after 200."""
    build_index(own_root)
    index = open_index(own_root)
    arrays = index.arrays
    n = len(index)
    present = arrays.image_present.copy()
    present[:] = True
    for keyframe in range(3, n):
        for column in range(6):
            path = own_root / arrays.image_path[keyframe, column].decode()
            if not path.exists():
                shutil.copyfile(own_root / arrays.image_path[1, column].decode(), path)
    index = replace(index, arrays=replace(arrays, image_present=present))
    samples = Samples(index, TaskSpec(), GEOMETRY, augmentation=Augmentation(), cameras=("CAM_FRONT", "CAM_BACK"))
    assert len(samples) == n
    resident = []
    for epoch in range(5):
        for _ in loader(samples, 2, 0, seed=1, epoch=epoch):
            pass
        resident.append(resident_mib())
    assert resident[-1] - resident[1] < 8, resident  # 82 images of 4 MB would be 300 MiB


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
