"""One small student whose outputs depend on its inputs, and what to feed it; built once for all tests of models."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from bevdeploy.batch import StudentInputs
from bevdeploy.geometry import CameraRig, indices_from_rig, surround_rig
from bevdeploy.models import Student
from bevdeploy.models.untrained import calibrate_norms, untrained_student
from bevdeploy.ops import PoolRanks, pool_ranks


@pytest.fixture(scope="session")
def rig() -> CameraRig:
    """Six cameras of 800 x 450 px."""
    return surround_rig(800, 450)


@pytest.fixture(scope="session")
def images() -> torch.Tensor:
    """[2, 6, 3, 128, 352], normalised noise: neither sample is like the other."""
    return torch.randn(2, 6, 3, 128, 352, generator=torch.Generator().manual_seed(11))


@pytest.fixture(scope="session")
def calibrated(rig: CameraRig, images: torch.Tensor) -> Callable[..., Student]:
    """Students in evaluation mode by their builder's arguments; two calls give two students with equal weights."""

    def student(**arguments: bool | float) -> Student:
        made = untrained_student("tinybev_r18_small", arguments, seed=3)
        calibrate_norms(made, list(images), rig)
        return made.eval()

    return student


@pytest.fixture(scope="session")
def small(calibrated: Callable[..., Student]) -> Student:
    """The small student; tests must leave it as it is."""
    return calibrated()


@pytest.fixture(scope="session")
def ranks_of(rig: CameraRig) -> Callable[[Student, int], PoolRanks]:
    """Ranks of a batch; the cameras of sample k have moved k places on, so that no two samples share their geometry."""

    def ranks(student: Student, batch: int) -> PoolRanks:
        view = student.spec.geometry
        rigs = [CameraRig(rig.cameras[k:] + rig.cameras[:k]) for k in range(batch)]
        return pool_ranks([indices_from_rig(each, view) for each in rigs], view, len(rig.cameras))

    return ranks


@pytest.fixture(scope="session")
def inputs_of(images: torch.Tensor, ranks_of: Callable[[Student, int], PoolRanks]) -> Callable[..., StudentInputs]:
    """Inputs of the small student for a batch of one or two."""

    def inputs(student: Student, batch: int = 1) -> StudentInputs:
        return StudentInputs(images[:batch], ranks_of(student, batch))

    return inputs
