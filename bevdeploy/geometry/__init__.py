"""Frames, rigs, grids and index tables: NumPy only, and the same on a workstation and in a car."""

from bevdeploy.geometry.bev_pool_numpy import bev_pool_numpy as bev_pool_numpy
from bevdeploy.geometry.bev_pool_numpy import bev_pool_tables_numpy as bev_pool_tables_numpy
from bevdeploy.geometry.camera_parameters import camera_parameters as camera_parameters
from bevdeploy.geometry.camera_parameters import camera_parameters_of_rig as camera_parameters_of_rig
from bevdeploy.geometry.frustum import ViewGeometry as ViewGeometry
from bevdeploy.geometry.grid import BEVGrid as BEVGrid
from bevdeploy.geometry.grid import DepthBins as DepthBins
from bevdeploy.geometry.image_transform import ImageTransform as ImageTransform
from bevdeploy.geometry.map_grid import map_grid as map_grid
from bevdeploy.geometry.plane_motion import plane_motion as plane_motion
from bevdeploy.geometry.pool_tables import PoolTables as PoolTables
from bevdeploy.geometry.pool_tables import TableSizes as TableSizes
from bevdeploy.geometry.pool_tables import tables_from_rig as tables_from_rig
from bevdeploy.geometry.ranks import BEVPoolIndices as BEVPoolIndices
from bevdeploy.geometry.ranks import indices_from_rig as indices_from_rig
from bevdeploy.geometry.rig import Camera as Camera
from bevdeploy.geometry.rig import CameraRig as CameraRig
from bevdeploy.geometry.rig import load_rig as load_rig
from bevdeploy.geometry.surround_rig import surround_rig as surround_rig

__all__ = [
    "BEVGrid",
    "BEVPoolIndices",
    "Camera",
    "CameraRig",
    "DepthBins",
    "ImageTransform",
    "PoolTables",
    "TableSizes",
    "ViewGeometry",
    "bev_pool_numpy",
    "bev_pool_tables_numpy",
    "camera_parameters",
    "camera_parameters_of_rig",
    "indices_from_rig",
    "load_rig",
    "map_grid",
    "plane_motion",
    "surround_rig",
    "tables_from_rig",
]
