"""The TensorRT runner: plans of TensorRT 10.3 to 11.x and of TensorRT-RTX, without PyTorch.

A frame is copied into pinned memory, from there to the GPU, computed, and copied back into pinned memory: all queued on
one stream that is waited for once. It was tried with fakes of TensorRT and PyCUDA that check every call, and on no
device; docs/tensorrt_runner.md says what that proves. One runner serves one thread at a time.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import EngineError
from bevdeploy.runtime.contract import Contract, contract_path, load_contract
from bevdeploy.runtime.cuda_memory import cuda_device
from bevdeploy.runtime.manifest import check_manifest, load_manifest, manifest_path
from bevdeploy.runtime.runner import Arrays, LayerTime, RunnerInfo
from bevdeploy.runtime.tensorrt_library import tensorrt_library
from bevdeploy.runtime.tensorrt_session import TensorRTSession


class TensorRTRunner:
    """A plan on a GPU; `open` it, and close it to give its memory back (the end of the process does too)."""

    def __init__(self, session: TensorRTSession) -> None:
        self.contract = session.contract
        self.last_stages_ms: dict[str, float] = {}
        """Of the last frame: upload, compute and download by the GPU's clock, staging by the host's."""
        self._session: TensorRTSession | None = session
        self._name = str(session.path)
        self._busy = threading.Lock()
        self._release = weakref.finalize(self, session.release)

    @classmethod
    def open(cls, path: Path, contract: Contract | None = None) -> TensorRTRunner:
        """The runner of a built plan; without `contract`, the one beside the file is loaded.

        Everything that the manifest can tell is checked before the library sees the plan.

        Raises:
            EngineError: the plan or its manifest is missing or damaged, or the plan was built for another version, GPU,
                plugin or export; there is no GPU here, or its memory does not suffice.
            ContractError: the contract is missing or damaged, or the plan's tensors are not the contract's.
            MissingDependencyError: TensorRT (or TensorRT-RTX) or PyCUDA is not installed.
        """
        path = Path(path)
        content = _content(path)
        manifest = load_manifest(manifest_path(path))
        contract = contract or load_contract(contract_path(path))

        def check(library_version: str, sm: int | None = None) -> None:
            check_manifest(
                manifest,
                path,
                content,
                backend=manifest.backend,
                library_version=library_version,
                sm=sm,
                contract_digest=contract.digest(),
                rig_digest=contract.rig_digest,
            )

        check(manifest.library_version)  # what needs neither the library nor a GPU
        library = tensorrt_library(manifest.backend)
        check(library.version)
        device = cuda_device()
        check(library.version, device.sm)
        with device.active(f"{path}: cannot be loaded"):
            return cls(TensorRTSession(path, content, manifest, contract, library, device))

    def info(self) -> RunnerInfo:
        """TensorRT or TensorRT-RTX on a GPU.

        Raises:
            EngineError: the runner is closed.
        """
        session = self._opened()
        return RunnerInfo(
            backend=session.library.backend,
            device=session.device.name,
            threads=None,
            precision=session.manifest.precision,
            versions={
                session.library.backend: session.library.version,
                **session.device.versions,
                "numpy": np.__version__,
            },
        )

    def run(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Outputs of one frame by name, in arrays of their own.

        Images are copied to the GPU in every frame, pool tables where they differ from those that are there: a table
        that cannot be written to is known by its identity, any other is compared value by value.

        Raises:
            ContractError: a feed's name, shape or dtype differs from the contract.
            EngineError: the GPU could not run the plan, the runner is closed, or another thread is using it.
        """
        self.contract.check_inputs(feeds)
        with self._alone() as session:
            outputs, self.last_stages_ms = session.frame(feeds)
            return outputs

    def profile(self, feeds: Arrays, frames: int) -> list[LayerTime]:
        """Mean time of each layer over `frames` runs after the warm-up, longest first.

        A layer's kind is known only where the plan was built with detailed profiling verbosity; else it is `layer`.

        Raises:
            ContractError: as `run`.
            EngineError: as `run`, or `frames` is less than 1.
        """
        if frames < 1:
            raise EngineError(f"a profile needs at least 1 frame, got {frames}")
        self.contract.check_inputs(feeds)
        with self._alone() as session:
            session.frame(feeds)
            return session.layers(frames)

    def close(self) -> None:
        """Free the GPU's and the pinned memory; a second time does nothing.

        Raises:
            EngineError: another thread is using the runner.
        """
        if self._session is not None:
            with self._alone():
                self._session = None
                self._release()

    def __enter__(self) -> TensorRTRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> TensorRTSession:
        if self._session is None:
            raise EngineError(f"{self._name}: the runner is closed; open it again: TensorRTRunner.open(path)")
        return self._session

    @contextmanager
    def _alone(self) -> Iterator[TensorRTSession]:
        if not self._busy.acquire(blocking=False):
            raise EngineError(f"{self._name}: another thread is using this runner; open one for each thread")
        try:
            yield self._opened()
        finally:
            self._busy.release()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise EngineError(f"{path}: no such plan; build one: bevdeploy build ONNX -t TARGET") from error
    except OSError as error:
        raise EngineError(f"{path}: cannot be read ({error.strerror or error})") from error
