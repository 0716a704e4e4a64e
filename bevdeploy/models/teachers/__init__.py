"""Teachers: what students learn from. They may see lidar, and are never exported."""

from bevdeploy.models.teachers.builders import TEACHERS as TEACHERS
from bevdeploy.models.teachers.checkpoint import build_teacher as build_teacher
from bevdeploy.models.teachers.checkpoint import load_teacher as load_teacher
from bevdeploy.models.teachers.checkpoint import save_teacher as save_teacher
from bevdeploy.models.teachers.inputs import LidarPoints as LidarPoints
from bevdeploy.models.teachers.inputs import TeacherInputs as TeacherInputs
from bevdeploy.models.teachers.inputs import lidar_points as lidar_points
from bevdeploy.models.teachers.teacher import Teacher as Teacher

__all__ = [
    "TEACHERS",
    "LidarPoints",
    "Teacher",
    "TeacherInputs",
    "build_teacher",
    "lidar_points",
    "load_teacher",
    "save_teacher",
]
