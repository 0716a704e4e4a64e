"""Raw image to network image: scale, then crop; as a 2-D affine `net_from_image`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import GeometryError


@dataclass(frozen=True)
class ImageTransform:
    """Resize a raw image to `resized_hw`, then cut `net_hw` out of it at `crop_yx`. All in pixels.

    Geometry takes a pixel's coordinate times the scale, minus the crop, as the field's training code does
    (BEVDet, lift-splat-shoot); resampling places pixel centres at half integers.
    """

    raw_hw: tuple[int, int]
    resized_hw: tuple[int, int]
    crop_yx: tuple[int, int]
    net_hw: tuple[int, int]

    @classmethod
    def fit(cls, raw_hw: tuple[int, int], net_hw: tuple[int, int]) -> ImageTransform:
        """The smallest uniform scale that fills the network image; what is left over falls off the top and both sides.

        1600 x 900 to 704 x 256 gives scale 0.44 and 140 rows off the top, the field's nuScenes setting.

        Raises:
            GeometryError: a size is not positive.
        """
        (raw_h, raw_w), (net_h, net_w) = raw_hw, net_hw
        if min(*raw_hw, *net_hw) < 1:
            raise GeometryError(f"image of {raw_w} x {raw_h} px for a network image of {net_w} x {net_h} px")
        scale = max(net_h / raw_h, net_w / raw_w)
        resized_h, resized_w = max(net_h, round(raw_h * scale)), max(net_w, round(raw_w * scale))
        return cls(raw_hw, (resized_h, resized_w), (resized_h - net_h, (resized_w - net_w) // 2), net_hw)

    @property
    def net_from_image(self) -> NDArray[np.float64]:
        """Affine [3, 3]: raw pixel (u, v, 1) to network pixel."""
        scale_y, scale_x = self.resized_hw[0] / self.raw_hw[0], self.resized_hw[1] / self.raw_hw[1]
        crop_y, crop_x = self.crop_yx
        return np.array([[scale_x, 0, -crop_x], [0, scale_y, -crop_y], [0, 0, 1.0]])
