"""What runs in a car: contract, runners, and the pipeline from camera frames to a BEV result. No PyTorch."""

from bevdeploy.runtime.bev_memory import BevMemory as BevMemory
from bevdeploy.runtime.bev_memory import Moment as Moment
from bevdeploy.runtime.contract import Contract as Contract
from bevdeploy.runtime.contract import Preprocessing as Preprocessing
from bevdeploy.runtime.contract import StateSpec as StateSpec
from bevdeploy.runtime.contract import TensorSpec as TensorSpec
from bevdeploy.runtime.contract import contract_path as contract_path
from bevdeploy.runtime.contract import load_contract as load_contract
from bevdeploy.runtime.onnx_runner import OnnxRunner as OnnxRunner
from bevdeploy.runtime.pipeline import Pipeline as Pipeline
from bevdeploy.runtime.pipeline import StageTimes as StageTimes
from bevdeploy.runtime.result import BevResult as BevResult
from bevdeploy.runtime.runner import FakeRunner as FakeRunner
from bevdeploy.runtime.runner import LayerTime as LayerTime
from bevdeploy.runtime.runner import Runner as Runner
from bevdeploy.runtime.runner import RunnerInfo as RunnerInfo
from bevdeploy.runtime.tensorrt_runner import TensorRTRunner as TensorRTRunner

__all__ = [
    "BevMemory",
    "BevResult",
    "Contract",
    "FakeRunner",
    "LayerTime",
    "Moment",
    "OnnxRunner",
    "Pipeline",
    "Preprocessing",
    "Runner",
    "RunnerInfo",
    "StageTimes",
    "StateSpec",
    "TensorRTRunner",
    "TensorSpec",
    "contract_path",
    "load_contract",
]
