"""An engine file and a rig as a pipeline, whatever computes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bevdeploy.errors import ContractError, EngineError, GeometryError
from bevdeploy.geometry import CameraRig, surround_rig
from bevdeploy.runtime import Contract, OnnxRunner, Pipeline
from bevdeploy.runtime.tensorrt_runner import TensorRTRunner

CHECKPOINTS = (".pth", ".pt", ".ckpt")


def open_pipeline(engine: Path, rig: CameraRig | None = None, threads: int | None = None) -> Pipeline:
    """The pipeline of a plan, an ONNX file or a checkpoint; without a rig, the made-up surround rig.

    `threads` is for those that compute on the CPU.

    Raises:
        EngineError: the file is of no known kind, missing or damaged, or a plan that cannot run on this machine.
        MissingDependencyError: the library that runs the file is not installed.
        ContractError: the graph does not belong to its contract, or the rig does not fit it.
        CheckpointError: the checkpoint is missing, damaged or unsafe.
    """
    if engine.suffix in CHECKPOINTS:
        return _checkpoint_pipeline(engine, rig or surround_rig(), threads)
    if engine.suffix == ".plan":
        return _plan_pipeline(engine, rig)
    if engine.suffix != ".onnx":
        raise EngineError(
            f"{engine}: neither a plan (.plan) nor an ONNX file (.onnx) nor a checkpoint ({', '.join(CHECKPOINTS)})"
        )
    runner = OnnxRunner.open(engine, threads)
    assert runner.contract is not None
    with errors_naming(str(engine)):
        return Pipeline(runner, runner.contract, rig or default_rig(runner.contract))


@contextmanager
def errors_naming(what: str) -> Iterator[None]:
    """Put a file or frame in front of what a check of rig, contract or tables says."""
    try:
        yield
    except (ContractError, GeometryError) as error:
        raise type(error)(f"{what}: {error}") from error


def default_rig(contract: Contract) -> CameraRig:
    """The surround rig at the contract's image size.

    Raises:
        ContractError: the graph was exported for other cameras, or with another rig baked in.
    """
    height_px, width_px = contract.raw_hw
    rig = surround_rig(width_px, height_px)
    if rig.names != contract.cameras:
        raise ContractError(f"the graph was exported for the cameras {', '.join(contract.cameras)}; give --rig FILE")
    if contract.geometry_mode == "baked" and rig.digest() != contract.rig_digest:
        raise ContractError("a rig is baked into this graph that is not the default one; give it: --rig FILE")
    return rig


def _plan_pipeline(path: Path, rig: CameraRig | None) -> Pipeline:
    runner = TensorRTRunner.open(path)
    try:
        with errors_naming(str(path)):
            return Pipeline(runner, runner.contract, rig or default_rig(runner.contract))
    except BaseException:
        runner.close()
        raise


def _checkpoint_pipeline(path: Path, rig: CameraRig, threads: int | None) -> Pipeline:
    from bevdeploy.export import load_recipe
    from bevdeploy.export.onnx_export import deploy_module, reference_contract
    from bevdeploy.export.torch_runner import TorchRunner
    from bevdeploy.models import load_checkpoint

    student = load_checkpoint(path)
    recipe = load_recipe(student.spec.name)
    with errors_naming(str(path)):
        contract = reference_contract(student, recipe, rig, "frames")
        return Pipeline(TorchRunner(deploy_module(student, contract), contract, threads), contract, rig)
