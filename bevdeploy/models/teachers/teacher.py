"""Teacher: lidar pillars, and cameras where it has them, to BEV features and the heads of its tasks. Never exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bevdeploy.errors import ContractError
from bevdeploy.models.blocks import conv_bn_relu
from bevdeploy.models.heads import DetectionHead, MapHead, MotionHead, OccupancyHead, PlanningHead
from bevdeploy.models.heads.outputs_of_heads import outputs_of_heads
from bevdeploy.models.image_encoder import ImageEncoder
from bevdeploy.models.outputs import StudentOutputs
from bevdeploy.models.spec import StudentSpec
from bevdeploy.models.teachers.inputs import TeacherInputs
from bevdeploy.models.teachers.pillars import PillarEncoder
from bevdeploy.models.teachers.second import SecondBackbone, SecondFPN
from bevdeploy.models.view_transform import ViewTransform


class CameraBranch(nn.Module):
    """Images to BEV features by lift and splat, as in a student."""

    def __init__(self, image_encoder: ImageEncoder, view_transform: ViewTransform) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.view_transform = view_transform

    @property
    def channels(self) -> int:
        """Of the BEV features."""
        return self.view_transform.channels * self.view_transform.z_count


class Teacher(nn.Module):
    """A detector, segmenter or planner that sees lidar; outputs as a student's, so that the same losses train it.

    Modules are named after BEVFusion's: `fuser` yields the low-level BEV features, `neck` the decoded ones.
    """

    group_of_class: Tensor

    def __init__(
        self,
        spec: StudentSpec,
        pillars: PillarEncoder,
        lidar: nn.Module,
        camera: CameraBranch | None,
        fuser: nn.Module,
        backbone: SecondBackbone,
        neck: SecondFPN,
        detection: DetectionHead | None = None,
        map_head: MapHead | None = None,
        occupancy: OccupancyHead | None = None,
        motion: MotionHead | None = None,
        planning: PlanningHead | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.pillars = pillars
        self.lidar = lidar
        self.camera = camera
        self.fuser = fuser
        self.backbone = backbone
        self.neck = neck
        self.detection = detection
        self.map = map_head
        self.occupancy = occupancy
        self.motion = motion
        self.planning = planning
        self.register_buffer("group_of_class", torch.tensor(spec.tasks.group_of_class), persistent=False)

    @property
    def backbone_scale(self) -> int:
        """Cells of the backbone's input along a cell of the grid: lidar alone enters it as pillars."""
        return self.pillars.rows // self.spec.geometry.grid.count[1] if isinstance(self.lidar, nn.Identity) else 1

    def forward(self, inputs: TeacherInputs) -> StudentOutputs:
        """Dense outputs of the teacher's tasks; `bev` is the neck's output.

        Raises:
            ContractError: a teacher with cameras got none.
        """
        bev = self.lidar(self.pillars(inputs.lidar))  # [B, Cl, Y, X]
        if self.camera is not None:
            bev = torch.cat([self._camera_bev(self.camera, inputs), bev], 1)  # [B, Cc + Cl, Y, X]
        decoded = self.neck(self.backbone(self.fuser(bev)))  # [B, C, Y, X]
        ego_state = None if inputs.cameras is None else inputs.cameras.ego_state
        return outputs_of_heads(self, decoded, ego_state)

    def _camera_bev(self, camera: CameraBranch, inputs: TeacherInputs) -> Tensor:
        if inputs.cameras is None:
            raise ContractError(f"{self.spec.name} sees cameras too: TeacherInputs.cameras is None")
        images, pool = inputs.cameras.images, inputs.cameras.pool
        features = camera.image_encoder(images.flatten(0, 1))  # [B*N, Ci, Hf, Wf]
        depth, feat = camera.view_transform.lift(features, images.shape[1])
        bev: Tensor = camera.view_transform.splat(depth, feat, pool)  # [B, Cc, Y, X]
        return bev


def fused(inputs: int, outputs: int) -> nn.Module:
    """BEVFusion's fuser: one convolution over the joined features."""
    return conv_bn_relu(inputs, outputs)
