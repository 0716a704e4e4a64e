"""Student: image encoder, view transform, BEV encoder and up to five heads; forward is what is exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bevdeploy.batch import StudentInputs
from bevdeploy.models.bev_encoder import BEVEncoder
from bevdeploy.models.bev_trunk import BEVTrunk
from bevdeploy.models.bev_warp import warped_bev
from bevdeploy.models.heads import DetectionHead, MapHead, MotionHead, OccupancyHead, PlanningHead
from bevdeploy.models.heads.outputs_of_heads import outputs_of_heads
from bevdeploy.models.image_encoder import ImageEncoder
from bevdeploy.models.lss_fpn import LSSFPNEncoder
from bevdeploy.models.outputs import StudentOutputs
from bevdeploy.models.pyramid_encoder import PyramidEncoder
from bevdeploy.models.spec import StudentSpec
from bevdeploy.models.view_transform import ViewTransform


class Student(nn.Module):
    """A camera-only BEV student. Inputs and outputs are the same in training, ONNX and the car."""

    group_of_class: Tensor

    def __init__(
        self,
        spec: StudentSpec,
        image_encoder: ImageEncoder | PyramidEncoder | LSSFPNEncoder,
        view_transform: ViewTransform,
        bev_encoder: BEVEncoder | BEVTrunk,
        detection: DetectionHead | None = None,
        map_head: MapHead | None = None,
        occupancy: OccupancyHead | None = None,
        motion: MotionHead | None = None,
        planning: PlanningHead | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.image_encoder = image_encoder
        self.view_transform = view_transform
        self.bev_encoder = bev_encoder
        self.detection = detection
        self.map = map_head
        self.occupancy = occupancy
        self.motion = motion
        self.planning = planning
        self.register_buffer("group_of_class", torch.tensor(spec.tasks.group_of_class), persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """What the image encoder computes in."""
        return next(self.image_encoder.parameters()).dtype

    def forward(self, inputs: StudentInputs) -> StudentOutputs:
        """Dense outputs of all tasks; shapes in `StudentInputs` and `StudentOutputs`."""
        pooled = self.pooled_bev(inputs)  # [B, Z*C, Y, X]
        if not self.spec.temporal:
            return outputs_of_heads(self, self.bev_encoder(pooled), inputs.ego_state)
        both = torch.cat([pooled, self._earlier_bev(inputs, pooled)], 1)  # [B, 2*C, Y, X]
        outputs = outputs_of_heads(self, self.bev_encoder(both), inputs.ego_state)
        return outputs._replace(bev_state=pooled.float())

    def pooled_bev(self, inputs: StudentInputs) -> Tensor:
        """What the images of this moment alone say: [B, Z*C, Y, X]."""
        cameras = inputs.images.shape[1]
        images = inputs.images.flatten(0, 1).to(self.dtype)  # [B*N, 3, H, W]
        features = self.image_encoder(images)  # [B*N, Ci, Hf, Wf]
        lift = self.view_transform.lift
        depth, feat = lift(features, cameras, inputs.camera_parameters)  # [B, N, D, Hf, Wf], [B, N, Hf, Wf, C]
        return self.view_transform.splat(depth, feat, inputs.pool)

    def _earlier_bev(self, inputs: StudentInputs, pooled: Tensor) -> Tensor:
        """The earlier BEV [B, C, Y, X] in the present ego frame; zeros where there is none."""
        if inputs.previous_bev is None or inputs.previous_from_current is None:
            return torch.zeros_like(pooled)
        warped = warped_bev(inputs.previous_bev, inputs.previous_from_current, self.spec.geometry.grid)
        return warped.to(pooled.dtype)
