"""Untrained students whose outputs depend on their inputs: latency work and parity can start before training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bevdeploy.batch import StudentInputs
from bevdeploy.geometry import CameraRig, camera_parameters_of_rig, indices_from_rig
from bevdeploy.geometry.plane_motion import STANDING_STILL
from bevdeploy.models.blocks import BasicBlock
from bevdeploy.models.bottleneck import Bottleneck
from bevdeploy.models.camera_norm import CameraNorm
from bevdeploy.models.checkpoint import Argument, build_student
from bevdeploy.models.student import Student
from bevdeploy.models.swin import DropPath
from bevdeploy.ops import pool_ranks
from bevdeploy.tasks import EGO_STATE

RESIDUAL_SCALE = 0.25
"""Residual branches start small (Goyal et al., 2017, start at 0): at 1, a fresh stack of norms amplifies rounding by an
order of magnitude more, as no trained network does. Not 0, so that every layer still shows in the outputs."""
BOTTLENECK_SCALE = 0.1
"""Of ResNet-50's sixteen blocks, twice those of ResNet-18: at 0.25 a fresh one's float16 BEV is 1.3 % off."""


def untrained_student(name: str, arguments: Mapping[str, Argument], seed: int) -> Student:
    """A student with seeded weights: He initialisation of convolutions before a norm, torch's defaults elsewhere.

    Raises:
        CheckpointError: the name or an argument is unknown, or a value does not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = build_student(name, arguments)
        initialise(student)
    return student


def initialise(model: nn.Module) -> None:
    """First weights of a model that was just built, from torch's generator."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(module, BasicBlock):
            nn.init.constant_(module.bn2.weight, RESIDUAL_SCALE)
        if isinstance(module, Bottleneck):
            nn.init.constant_(module.bn3.weight, BOTTLENECK_SCALE)


@torch.no_grad()
def calibrate_norms(student: Student, images: Sequence[Tensor], rig: CameraRig) -> None:
    """Set every batch norm's statistics to those of a forward over `images`, each [N, 3, H, W], normalised.

    A fresh network's norms assume unit variance, which its activations are far from: its outputs would hardly depend on
    its inputs, and no parity check could tell a right graph from a wrong one.
    """
    every = [module for module in student.modules() if isinstance(module, nn.BatchNorm2d)]
    norms = [norm for norm in every if not isinstance(norm, CameraNorm)]  # those know of more than one rig already
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    geometry = student.spec.geometry
    indices = indices_from_rig(rig, geometry)
    student.train()
    for norm in set(every) - set(norms):
        norm.eval()
    for module in student.modules():
        if isinstance(module, DropPath):  # statistics are those of the whole network
            module.eval()
    parameters = torch.from_numpy(camera_parameters_of_rig(rig, geometry.net_hw))[None]  # [1, N, 27]
    state: dict[str, Tensor] = {}
    for frame in images:
        ranks = pool_ranks([indices], geometry, len(rig.cameras))
        ego_state = frame.new_zeros(1, EGO_STATE) if student.spec.ego_state else None
        outputs = student(StudentInputs(frame[None], ranks, ego_state, parameters, **state))
        if outputs.bev_state is not None:  # the next frame is of the same place
            still = torch.from_numpy(STANDING_STILL)[None]  # [1, 2, 3]
            state = {"previous_bev": outputs.bev_state, "previous_from_current": still}
    student.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
