"""Camera frames and a rig in, a BEV result out: what an application runs, without PyTorch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bevdeploy.errors import ContractError, FrameSourceError
from bevdeploy.geometry.camera_parameters import camera_parameters_of_rig
from bevdeploy.geometry.pool_tables import tables_from_indices
from bevdeploy.geometry.ranks import seen_indices
from bevdeploy.geometry.rig import CameraRig
from bevdeploy.runtime.bev_memory import BevMemory, Moment
from bevdeploy.runtime.contract import Contract
from bevdeploy.runtime.postprocess import result_from_dense, result_from_frames
from bevdeploy.runtime.preprocess import images_from_frames
from bevdeploy.runtime.result import BevResult
from bevdeploy.runtime.runner import Runner
from bevdeploy.tasks import EGO_STATE

Frames = Sequence[NDArray[np.uint8]]
"""RGB images [Hraw, Wraw, 3], one per camera in network order."""


@dataclass(frozen=True)
class StageTimes:
    """Host wall clock of one frame's stages, ms."""

    preprocess_ms: float
    network_ms: float
    postprocess_ms: float

    @property
    def total_ms(self) -> float:
        """From frames in memory to the result."""
        return self.preprocess_ms + self.network_ms + self.postprocess_ms


class Pipeline:
    """A runner, its contract and a rig. `recalibrate` swaps the rig without touching the engine.

    With a temporal student it also holds the memory of the drive: one pipeline serves one vehicle.
    """

    def __init__(
        self, runner: Runner, contract: Contract, rig: CameraRig, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.runner = runner
        self.contract = contract
        self.rig = rig
        self.clock = clock  # seconds
        self.memory = BevMemory(contract) if contract.state else None
        """What a temporal student is fed back; None for students of single frames."""
        self._of_rig: dict[str, NDArray[Any]] = {}
        self.last_times = StageTimes(0.0, 0.0, 0.0)
        self.recalibrate(rig)

    def recalibrate(self, rig: CameraRig) -> None:
        """Take over a new calibration; with runtime geometry its index tables replace the old ones.

        Raises:
            ContractError: other cameras than the graph's, other image sizes, or another rig than the baked one.
            TableOverflowError: the rig needs larger tables than the graph declares.
        """
        contract = self.contract
        if rig.names != contract.cameras:
            raise ContractError(
                f"the graph expects the cameras {', '.join(contract.cameras)} in this order, "
                f"the rig has {', '.join(rig.names)}"
            )
        if contract.io == "frames" and rig.image_hw != contract.raw_hw:
            raise ContractError(
                f"the graph takes raw images of {contract.raw_hw[1]} x {contract.raw_hw[0]} px, the rig's are "
                f"{rig.image_hw[1]} x {rig.image_hw[0]} px; export for this rig: bevdeploy export CKPT --rig FILE"
            )
        if contract.geometry_mode == "baked":
            if rig.digest() != contract.rig_digest:
                raise ContractError(
                    "another rig is baked into this graph; export for this one "
                    "(bevdeploy export CKPT --geometry baked --rig FILE) or with --geometry runtime"
                )
        else:
            indices = seen_indices(rig, contract.geometry)
            tables = tables_from_indices(indices, contract.geometry, len(rig.cameras), contract.table_sizes)
            self._of_rig = {name: table.copy() for name, table in tables.arrays().items()}
        if contract.takes("camera_parameters"):
            self._of_rig["camera_parameters"] = camera_parameters_of_rig(rig, contract.geometry.net_hw)[None].copy()
        for array in self._of_rig.values():
            array.flags.writeable = False  # a runner may know an array by its identity
        self.rig = rig

    def feeds(
        self, frames: Frames, ego_state: ArrayLike | None = None, moment: Moment | None = None
    ) -> dict[str, NDArray[Any]]:
        """The graph's inputs for one frame per camera; arguments as `infer`.

        Raises:
            FrameSourceError: a camera is missing, or an image has another size than the rig's.
        """
        self._check_frames(frames)
        geometry: dict[str, NDArray[Any]] = dict(self._of_rig)
        if self.takes_ego_state:
            state = np.zeros(EGO_STATE) if ego_state is None else np.asarray(ego_state)
            geometry["ego_state"] = state.reshape(1, EGO_STATE).astype(np.float32)
        if self.memory is not None:
            geometry |= self.memory.feeds(moment)
        if self.contract.io == "frames":
            return {"frames": np.stack(frames), **geometry}  # [N, Hraw, Wraw, 3]
        images = images_from_frames(frames, self.contract.geometry.net_hw, self.contract.preprocessing)
        return {"images": images, **geometry}  # [1, N, 3, H, W]

    @property
    def takes_ego_state(self) -> bool:
        """Whether the plan of this student reads the ego vehicle's state."""
        return self.contract.takes("ego_state")

    def infer(self, frames: Frames, ego_state: ArrayLike | None = None, moment: Moment | None = None) -> BevResult:
        """The BEV result of one frame per camera; stage times are in `last_times`.

        Args:
            frames: RGB images [Hraw, Wraw, 3], one per camera in network order.
            ego_state: [9] velocity (m/s), acceleration (m/s2) and rotation rate (rad/s), for students that read it;
                None means standing still.
            moment: time, pose and scene, for temporal students; None makes it a first frame, which is not remembered.

        Raises:
            FrameSourceError: as `feeds`.
        """
        start = self.clock()
        feeds = self.feeds(frames, ego_state, moment)
        ready = self.clock()
        outputs = self.runner.run(feeds)
        done = self.clock()
        decode = result_from_frames if self.contract.io == "frames" else result_from_dense
        result = decode(outputs, self.contract)
        if self.memory is not None:
            self.memory.keep(moment, outputs)
        end = self.clock()
        self.last_times = StageTimes((ready - start) * 1e3, (done - ready) * 1e3, (end - done) * 1e3)
        return result

    def _check_frames(self, frames: Frames) -> None:
        cameras = self.rig.cameras
        if len(frames) != len(cameras):
            raise FrameSourceError(
                f"{len(frames)} images for {len(cameras)} cameras; "
                f"one is needed for each of {', '.join(self.rig.names)}"
            )
        for camera, frame in zip(cameras, frames, strict=True):
            if frame.shape != (camera.height_px, camera.width_px, 3) or frame.dtype != np.uint8:
                raise FrameSourceError(
                    f"{camera.name}: expected uint8 RGB {camera.width_px} x {camera.height_px} px, "
                    f"got {frame.dtype} {frame.shape}"
                )
