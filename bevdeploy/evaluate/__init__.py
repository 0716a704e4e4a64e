"""What the outputs are worth: metrics of the five tasks and of tracks, from arrays and result files. No network runs.

A metric that cannot be computed is None with the reason, never 0 and never NaN.
"""

from bevdeploy.evaluate.detection import DetectionScore as DetectionScore
from bevdeploy.evaluate.detection import score_detection as score_detection
from bevdeploy.evaluate.footprints import Footprints as Footprints
from bevdeploy.evaluate.footprints import future_footprints as future_footprints
from bevdeploy.evaluate.map import MapScore as MapScore
from bevdeploy.evaluate.metric import Metric as Metric
from bevdeploy.evaluate.motion import MotionScore as MotionScore
from bevdeploy.evaluate.occupancy import OccupancyScore as OccupancyScore
from bevdeploy.evaluate.planning import PlanningScore as PlanningScore
from bevdeploy.evaluate.result_file import ResultFile as ResultFile
from bevdeploy.evaluate.result_file import checked_results as checked_results
from bevdeploy.evaluate.result_file import read_results as read_results
from bevdeploy.evaluate.result_file import write_results as write_results
from bevdeploy.evaluate.result_rows import detection_rows as detection_rows
from bevdeploy.evaluate.score_difference import MetricChange as MetricChange
from bevdeploy.evaluate.score_difference import ScoreDifference as ScoreDifference
from bevdeploy.evaluate.score_difference import difference as difference
from bevdeploy.evaluate.scoreboard import Scores as Scores
from bevdeploy.evaluate.scoreboard import load_scores as load_scores
from bevdeploy.evaluate.task_scores import TaskScores as TaskScores
from bevdeploy.evaluate.task_scores import TrueFrame as TrueFrame
from bevdeploy.evaluate.task_scores import scores_of_results as scores_of_results
from bevdeploy.evaluate.tracker import tracks_of_scene as tracks_of_scene
from bevdeploy.evaluate.tracking import TrackingScore as TrackingScore
from bevdeploy.evaluate.tracking import score_tracking as score_tracking

__all__ = [
    "DetectionScore",
    "Footprints",
    "MapScore",
    "Metric",
    "MetricChange",
    "MotionScore",
    "OccupancyScore",
    "PlanningScore",
    "ResultFile",
    "ScoreDifference",
    "Scores",
    "TaskScores",
    "TrackingScore",
    "TrueFrame",
    "checked_results",
    "detection_rows",
    "difference",
    "future_footprints",
    "load_scores",
    "read_results",
    "score_detection",
    "score_tracking",
    "scores_of_results",
    "tracks_of_scene",
    "write_results",
]
