"""Student: image encoder, view transform, BEV encoder and five heads, in this order; forward is what is exported."""

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
    """A camera-only BEV student of five tasks. Inputs and outputs are the same in training, ONNX and the car."""

    group_of_class: Tensor

    def __init__(
        self,
        spec: StudentSpec,
        image_encoder: ImageEncoder,
        view_transform: ViewTransform,
        bev_encoder: BEVEncoder,
        detection: DetectionHead,
        map_head: MapHead,
        occupancy: OccupancyHead,
        motion: MotionHead,
        planning: PlanningHead,
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
        heatmap, box_codes = (output.float() for output in self.detection(encoded))
        map_logits, occupancy_logits = self.map(encoded).float(), self.occupancy(encoded)
        bev = encoded.float()
        agents = peaks(heatmap, self.spec.tasks.detections)  # [B, K]
        codes = gathered_codes(box_codes, agents, self.group_of_class)  # [B, K, 10]
        scores = heatmap.flatten(1).gather(1, agents).sigmoid()  # [B, K]
        rows, columns = bev.shape[-2:]
        size = torch.tensor([columns, rows], device=bev.device, dtype=bev.dtype)
        positions = cell_positions(agents, codes, columns, rows) / size  # [B, K, 2]
        memory = bev_memory(bev)  # [B, S, Cb]
        offsets, mode_logits = self.motion(bev, memory, positions, codes, scores)
        return StudentOutputs(
            bev=bev,
            heatmap=heatmap,
            box_codes=box_codes,
            map_logits=map_logits,
            occupancy_logits=occupancy_logits,
            agents=agents,
            trajectory_offsets=offsets,
            trajectory_logits=mode_logits,
            plans=self.planning(bev, memory, inputs.ego_state),
        )
