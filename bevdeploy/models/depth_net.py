"""Camera-aware depth: the same pixels mean another depth under another focal length (Li et al., AAAI 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bevdeploy.errors import ContractError
from bevdeploy.models.aspp import ASPP
from bevdeploy.models.blocks import BasicBlock, conv_bn_relu
from bevdeploy.models.camera_encoder import CameraEncoder


class DepthNet(nn.Module):
    """BEVDepth's: gates for depth and context, three residual blocks and a spatial pyramid for depth.

    A 3x3 convolution stands where BEVDepth's public code has a deformable one, which no TensorRT parser takes.
    """

    def __init__(self, inputs: int, middle: int, depth_bins: int, context: int) -> None:
        super().__init__()
        self.reduce = conv_bn_relu(inputs, middle)
        self.camera = CameraEncoder(middle)
        self.depth = nn.Sequential(
            *(BasicBlock(middle, middle) for _ in range(3)),
            ASPP(middle),
            conv_bn_relu(middle, middle),
            nn.Conv2d(middle, depth_bins, 1),
        )
        self.context = nn.Conv2d(middle, context, 1)

    def forward(self, features: Tensor, camera_parameters: Tensor | None) -> Tensor:
        """Features [B*N, inputs, Hf, Wf] and camera parameters [B, N, 27] to [B*N, D + C, Hf, Wf], depth logits first.

        Raises:
            ContractError: there are no camera parameters.
        """
        if camera_parameters is None:
            raise ContractError("this student needs StudentInputs.camera_parameters [B, N, 27]; it was built with them")
        reduced = self.reduce(features)  # [B*N, middle, Hf, Wf]
        of_depth, of_context = (gate.to(reduced.dtype) for gate in self.camera(camera_parameters))
        return torch.cat([self.depth(reduced * of_depth), self.context(reduced * of_context)], 1)
