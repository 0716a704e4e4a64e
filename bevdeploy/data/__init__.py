"""Where camera frames come from: folders of images, nuScenes, a made-up street. Imports without Pillow or devkit."""

from bevdeploy.data.frame_folder import count_frame_sets as count_frame_sets
from bevdeploy.data.frame_folder import frame_sets_from_folder as frame_sets_from_folder
from bevdeploy.data.frame_folder import rig_of_folder as rig_of_folder
from bevdeploy.data.frame_set import FrameSet as FrameSet
from bevdeploy.data.nuscenes import NuScenesFrames as NuScenesFrames
from bevdeploy.data.nuscenes import frame_sets_from_nuscenes as frame_sets_from_nuscenes
from bevdeploy.data.nuscenes import is_nuscenes_root as is_nuscenes_root
from bevdeploy.data.synthetic import synthetic_frame_sets as synthetic_frame_sets
from bevdeploy.data.synthetic import synthetic_scene as synthetic_scene
from bevdeploy.data.true_boxes import TrueBoxes as TrueBoxes

__all__ = [
    "FrameSet",
    "NuScenesFrames",
    "TrueBoxes",
    "count_frame_sets",
    "frame_sets_from_folder",
    "frame_sets_from_nuscenes",
    "is_nuscenes_root",
    "rig_of_folder",
    "synthetic_frame_sets",
    "synthetic_scene",
]
