"""Training of students: targets, losses, the loop and its files. The devkit is not needed here."""

from bevdeploy.train.batch import TargetTensors as TargetTensors
from bevdeploy.train.batch import TrainBatch as TrainBatch
from bevdeploy.train.config import TrainConfig as TrainConfig
from bevdeploy.train.config import load_train_config as load_train_config
from bevdeploy.train.config import preset_names as preset_names
from bevdeploy.train.loading import SampleSource as SampleSource
from bevdeploy.train.loop import Fitted as Fitted
from bevdeploy.train.loop import Progress as Progress
from bevdeploy.train.loop import RunFiles as RunFiles
from bevdeploy.train.loop import fabric_of as fabric_of
from bevdeploy.train.loop import fit as fit
from bevdeploy.train.objective import Objective as Objective
from bevdeploy.train.task_objective import TaskObjective as TaskObjective
from bevdeploy.train.task_objective import task_terms as task_terms
from bevdeploy.train.task_weights import TaskWeights as TaskWeights
from bevdeploy.train.training_log import StepRow as StepRow

__all__ = [
    "Fitted",
    "Objective",
    "Progress",
    "RunFiles",
    "SampleSource",
    "StepRow",
    "TargetTensors",
    "TaskObjective",
    "TaskWeights",
    "TrainBatch",
    "TrainConfig",
    "fabric_of",
    "fit",
    "load_train_config",
    "preset_names",
    "task_terms",
]
