"""Images to image features at stride 16."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bevdeploy.models.blocks import conv_bn_relu, resized
from bevdeploy.models.resnet import ResNet18


class ImageEncoder(nn.Module):
    """Backbone, then C5 upsampled onto C4 and two convolutions."""

    def __init__(self, width: int = 64, channels: int = 256) -> None:
        super().__init__()
        self.backbone = ResNet18(width)
        self.neck = nn.Sequential(conv_bn_relu(12 * width, channels, 1), conv_bn_relu(channels, channels))

    def forward(self, images: Tensor) -> Tensor:
        """[B*N, 3, H, W] to [B*N, channels, Hf, Wf]."""
        c4, c5 = self.backbone(images)
        c5 = resized(c5, (c4.shape[-2], c4.shape[-1]))  # [B*N, 8*width, Hf, Wf]
        features: Tensor = self.neck(torch.cat([c4, c5], 1))
        return features
