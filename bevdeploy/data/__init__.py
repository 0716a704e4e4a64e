"""Where camera frames come from: images, videos, nuScenes, a made-up street. Imports without Pillow, PyAV or devkit."""

from bevdeploy.data.frame_folder import count_frame_sets as count_frame_sets
from bevdeploy.data.frame_folder import frame_sets_from_folder as frame_sets_from_folder
from bevdeploy.data.frame_folder import rig_of_folder as rig_of_folder
from bevdeploy.data.frame_set import FrameSet as FrameSet
from bevdeploy.data.live_folder import LiveFolder as LiveFolder
from bevdeploy.data.live_folder import LiveOptions as LiveOptions
from bevdeploy.data.nuscenes import NuScenesFrames as NuScenesFrames
from bevdeploy.data.nuscenes import frame_sets_from_nuscenes as frame_sets_from_nuscenes
from bevdeploy.data.nuscenes import is_nuscenes_root as is_nuscenes_root
from bevdeploy.data.partial_set import Fault as Fault
from bevdeploy.data.partial_set import PartialSet as PartialSet
from bevdeploy.data.synthetic import synthetic_frame_sets as synthetic_frame_sets
from bevdeploy.data.synthetic import synthetic_scene as synthetic_scene
from bevdeploy.data.true_boxes import TrueBoxes as TrueBoxes
from bevdeploy.data.video import VideoFolder as VideoFolder
from bevdeploy.data.video import is_video_folder as is_video_folder

__all__ = [
    "Fault",
    "FrameSet",
    "LiveFolder",
    "LiveOptions",
    "NuScenesFrames",
    "PartialSet",
    "TrueBoxes",
    "VideoFolder",
    "count_frame_sets",
    "frame_sets_from_folder",
    "frame_sets_from_nuscenes",
    "is_nuscenes_root",
    "is_video_folder",
    "rig_of_folder",
    "synthetic_frame_sets",
    "synthetic_scene",
]
