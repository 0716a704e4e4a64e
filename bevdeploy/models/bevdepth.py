"""`bevdepth_r50`: BEVDepth (Li et al., AAAI 2023) with two frames, detection alone; sizes of its public configuration.

What differs from it: a 3x3 convolution for the deformable one of the depth net, no depth refinement, cross-entropy for
the depth, 100 boxes a frame, and the BEV of the frame before as an input that the graph itself emitted one frame
earlier, where the public code lifts the earlier images once more.
"""

from __future__ import annotations

from bevdeploy.errors import GeometryError
from bevdeploy.geometry import BEVGrid, DepthBins, ViewGeometry
from bevdeploy.models import bev_trunk, pyramid_encoder
from bevdeploy.models.bev_trunk import BEVTrunk
from bevdeploy.models.depth_net import DepthNet
from bevdeploy.models.heads import DetectionHead
from bevdeploy.models.pyramid_encoder import PyramidEncoder
from bevdeploy.models.spec import StudentSpec
from bevdeploy.models.student import Student
from bevdeploy.models.view_transform import ViewTransform
from bevdeploy.tasks import TaskSpec

STRIDE = 16
"""Of the image features."""
WIDTH = 64
"""Of the published size; all channels grow and shrink with it."""


def bevdepth_r50(
    image_height_px: int = 256,
    image_width_px: int = 704,
    cell_m: float = 0.8,
    half_extent_m: float = 51.2,
    depth_step_m: float = 0.5,
    width: int = 64,
) -> Student:
    """78.1 M parameters: ResNet-50, 6 x 256 x 704 images, 128 x 128 cells of 0.8 m, depths from 2 to 58 m, two frames.

    A `width` below 64 shrinks all channels alike, 8 to an eighth: for tests.

    Raises:
        GeometryError: sizes that do not fit together.
    """
    if width % 8 or not 8 <= width <= 256:
        raise GeometryError(f"width must be a multiple of 8 from 8 to 256, got {width}")
    net_hw = image_height_px, image_width_px
    if min(net_hw) < 1 or any(side % pyramid_encoder.SIDE_MULTIPLE for side in net_hw):
        raise GeometryError(
            f"network images of {image_width_px} x {image_height_px} px: both sides must be multiples of "
            f"{pyramid_encoder.SIDE_MULTIPLE}"
        )
    grid = BEVGrid.centred(half_extent_m, cell_m, (-5.0, 3.0))
    if any(count % bev_trunk.SIDE_MULTIPLE or count < 2 * bev_trunk.SIDE_MULTIPLE for count in grid.count[:2]):
        raise GeometryError(
            f"BEV grid of {grid.count[0]} x {grid.count[1]} cells: both must be multiples of "
            f"{bev_trunk.SIDE_MULTIPLE}, at least {2 * bev_trunk.SIDE_MULTIPLE}; change half_extent_m or cell_m"
        )
    feature_hw = image_height_px // STRIDE, image_width_px // STRIDE
    geometry = ViewGeometry(grid, DepthBins(2.0, 58.0, depth_step_m), net_hw, feature_hw)

    def channels(published: int) -> int:
        return published * width // WIDTH

    tasks = TaskSpec().only("detection")
    spec = StudentSpec("bevdepth_r50", geometry, channels(256), tasks, camera_aware=True, state_channels=channels(80))
    features, bins = channels(512), geometry.depth_bins.count
    depth_net = DepthNet(features, features, bins, spec.state_channels)
    return Student(
        spec,
        PyramidEncoder(width, features),
        ViewTransform(features, bins, spec.state_channels, depth_context=depth_net),
        BEVTrunk(2 * spec.state_channels, channels(160), spec.bev_channels),
        detection=DetectionHead(spec.bev_channels, tasks.detection_tasks, channels(64)),
    )
