"""Students: named builders, their outputs and their checkpoints."""

from bevdeploy.models.backbone_weights import load_backbone_weights as load_backbone_weights
from bevdeploy.models.bevdepth import bevdepth_r50 as bevdepth_r50
from bevdeploy.models.bevfusion_camera import bevfusion_camera as bevfusion_camera
from bevdeploy.models.bevfusion_camera import bevfusion_camera_r50 as bevfusion_camera_r50
from bevdeploy.models.builders import STUDENTS as STUDENTS
from bevdeploy.models.builders import tinybev_r18 as tinybev_r18
from bevdeploy.models.builders import tinybev_r18_small as tinybev_r18_small
from bevdeploy.models.checkpoint import build_student as build_student
from bevdeploy.models.checkpoint import load_checkpoint as load_checkpoint
from bevdeploy.models.checkpoint import save_checkpoint as save_checkpoint
from bevdeploy.models.outputs import StudentOutputs as StudentOutputs
from bevdeploy.models.spec import StudentSpec as StudentSpec
from bevdeploy.models.student import Student as Student

__all__ = [
    "STUDENTS",
    "Student",
    "StudentOutputs",
    "StudentSpec",
    "bevdepth_r50",
    "bevfusion_camera",
    "bevfusion_camera_r50",
    "build_student",
    "load_backbone_weights",
    "load_checkpoint",
    "save_checkpoint",
    "tinybev_r18",
    "tinybev_r18_small",
]
