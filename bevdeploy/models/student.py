"""Student: image encoder, view transform, BEV encoder and up to five heads; forward is what is exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bevdeploy.batch import StudentInputs
from bevdeploy.models.bev_encoder import BEVEncoder
from bevdeploy.models.heads import DetectionHead, MapHead, MotionHead, OccupancyHead, PlanningHead
from bevdeploy.models.heads.decoder import bev_memory
from bevdeploy.models.heads.detection import cell_positions, gathered_codes, peaks
from bevdeploy.models.image_encoder import ImageEncoder
from bevdeploy.models.outputs import StudentOutputs
from bevdeploy.models.spec import StudentSpec
from bevdeploy.models.view_transform import ViewTransform


class Student(nn.Module):
    """A camera-only BEV student. Inputs and outputs are the same in training, ONNX and the car."""

    group_of_class: Tensor

    def __init__(
        self,
        spec: StudentSpec,
        image_encoder: ImageEncoder,
        view_transform: ViewTransform,
        bev_encoder: BEVEncoder,
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
        cameras = inputs.images.shape[1]
        images = inputs.images.flatten(0, 1).to(self.dtype)  # [B*N, 3, H, W]
        features = self.image_encoder(images)  # [B*N, Ci, Hf, Wf]
        depth, feat = self.view_transform.lift(features, cameras)  # [B, N, D, Hf, Wf], [B, N, Hf, Wf, C]
        pooled = self.view_transform.splat(depth, feat, inputs.pool)  # [B, Z*C, Y, X]
        encoded = self.bev_encoder(pooled)  # [B, Cb, Y, X]

        # From here on coordinates, box codes and queries stay float32, whatever the convolutions compute in.
        outputs = StudentOutputs(encoded.float())
        if self.map is not None:
            outputs = outputs._replace(map_logits=self.map(encoded).float())
        if self.occupancy is not None:
            outputs = outputs._replace(occupancy_logits=self.occupancy(encoded))
        if self.detection is not None:
            heatmap, box_codes = (output.float() for output in self.detection(encoded))
            agents = peaks(heatmap, self.spec.tasks.detections)  # [B, K]
            outputs = outputs._replace(heatmap=heatmap, box_codes=box_codes, agents=agents)
        return self._with_queries(outputs, inputs)

    def _with_queries(self, outputs: StudentOutputs, inputs: StudentInputs) -> StudentOutputs:
        """Motion and plan, whose queries attend to the BEV features."""
        if self.motion is None and self.planning is None:
            return outputs
        bev, memory = outputs.bev, bev_memory(outputs.bev)  # [B, S, Cb]
        if self.motion is not None:
            heatmap, box_codes, agents = outputs.heatmap, outputs.box_codes, outputs.agents
            assert heatmap is not None and box_codes is not None and agents is not None
            codes = gathered_codes(box_codes, agents, self.group_of_class)  # [B, K, 10]
            scores = heatmap.flatten(1).gather(1, agents).sigmoid()  # [B, K]
            rows, columns = bev.shape[-2:]
            size = torch.tensor([columns, rows], device=bev.device, dtype=bev.dtype)
            positions = cell_positions(agents, codes, columns, rows) / size  # [B, K, 2]
            offsets, mode_logits = self.motion(bev, memory, positions, codes, scores)
            outputs = outputs._replace(trajectory_offsets=offsets, trajectory_logits=mode_logits)
        if self.planning is not None:
            outputs = outputs._replace(plans=self.planning(bev, memory, inputs.ego_state))
        return outputs
