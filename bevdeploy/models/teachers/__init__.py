"""Teachers: what students learn from. They may see lidar, and are never exported."""

from bevdeploy.models.teachers.builders import TEACHERS as TEACHERS
from bevdeploy.models.teachers.inputs import LidarPoints as LidarPoints
from bevdeploy.models.teachers.inputs import TeacherInputs as TeacherInputs
from bevdeploy.models.teachers.inputs import lidar_points as lidar_points
from bevdeploy.models.teachers.teacher import Teacher as Teacher

__all__ = ["TEACHERS", "LidarPoints", "Teacher", "TeacherInputs", "lidar_points"]
