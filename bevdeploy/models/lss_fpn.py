"""Images to features at stride 8: a backbone of three scales and BEVFusion's GeneralizedLSSFPN (Liu et al., 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bevdeploy.models.blocks import conv_bn_relu, resized
from bevdeploy.models.resnet50 import ResNet50
from bevdeploy.models.swin import SwinT

STRIDE = 8
"""Of the features."""


class GeneralizedLSSFPN(nn.Module):
    """From coarse to fine: the coarser map upsampled onto the finer, joined, a 1x1 and a 3x3 convolution."""

    def __init__(self, inputs: tuple[int, int, int], channels: int) -> None:
        super().__init__()
        fine, middle, coarse = inputs
        self.middle = nn.Sequential(conv_bn_relu(middle + coarse, channels, 1), conv_bn_relu(channels, channels))
        self.fine = nn.Sequential(conv_bn_relu(fine + channels, channels, 1), conv_bn_relu(channels, channels))

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> Tensor:
        """[B, C_i, H_i, W_i] at strides 8, 16 and 32 to [B, channels, H/8, W/8]."""
        up = resized(coarse, (middle.shape[-2], middle.shape[-1]))
        joined = self.middle(torch.cat([middle, up], 1))  # [B, channels, H/16, W/16]
        up = resized(joined, (fine.shape[-2], fine.shape[-1]))
        features: Tensor = self.fine(torch.cat([fine, up], 1))  # [B, channels, H/8, W/8]
        return features


class LSSFPNEncoder(nn.Module):
    """Backbone and neck."""

    def __init__(self, backbone: SwinT | ResNet50, channels: int = 256) -> None:
        super().__init__()
        self.backbone = backbone
        fine, middle, coarse = backbone.channels[-3:]
        self.neck = GeneralizedLSSFPN((fine, middle, coarse), channels)

    def forward(self, images: Tensor) -> Tensor:
        """[B*N, 3, H, W] to [B*N, channels, H/8, W/8], sizes rounded up."""
        fine, middle, coarse = self.backbone(images)[-3:]
        features: Tensor = self.neck(fine, middle, coarse)
        return features
