"""Taps: the BEV features and outputs of one forward by name, taken from a student without changing its graph.

| name | of `bevdeploy.models.Student` |
| --- | --- |
| `lift` | what the view transform hands to the BEV encoder |
| `bev_s0`, `bev_s1`, `bev_s2` | the BEV encoder's three stages |
| `bev_neck` | the BEV features that all heads share |

A teacher hands the same names, from a live network or from a cache, possibly with other channels and sizes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from bevdeploy.errors import TrainingError
from bevdeploy.geometry import BEVGrid
from bevdeploy.models import Student, StudentOutputs
from bevdeploy.models.blocks import BasicBlock
from bevdeploy.models.outputs import dense_outputs
from bevdeploy.tasks import TaskSpec

FEATURES = ("lift", "bev_s0", "bev_s1", "bev_s2", "bev_neck")
"""Names of features, in the order of the forward."""

Head = Callable[[Tensor], tuple[Tensor, Tensor]]
"""BEV features [B, C, Y, X] to heat map logits [B, classes, Y, X] and box codes [B, G, 10, Y, X]."""

Site = tuple[nn.Module, bool]
"""A module, and whether its input is tapped instead of its output."""

Tapping = TypeVar("Tapping", bound="ModuleTaps")

_HANDLES = threading.Lock()
"""torch numbers its hooks without a lock; two with one number would overwrite each other."""


@dataclass(frozen=True, eq=False)
class Taps:
    """Tensors of one forward."""

    features: Mapping[str, Tensor]
    """Name to [B, C, Y, X]."""
    outputs: Mapping[str, Tensor]
    """Field of `StudentOutputs` to its tensor."""

    def feature(self, name: str) -> Tensor:
        """One feature [B, C, Y, X].

        Raises:
            TrainingError: it was not tapped.
        """
        return _named(self.features, "feature", name)

    def output(self, name: str) -> Tensor:
        """One output, shaped as in `StudentOutputs`.

        Raises:
            TrainingError: it is not there.
        """
        return _named(self.outputs, "output", name)

    def detached(self) -> Taps:
        """The same values without their graph."""
        return Taps(
            {name: value.detach() for name, value in self.features.items()},
            {name: value.detach() for name, value in self.outputs.items()},
        )


@dataclass(frozen=True, eq=False)
class TapForm:
    """What a network taps: known before its first forward, so that adapters can be built."""

    features: Mapping[str, tuple[int, int, int]]
    """Name to C, Y, X. Every feature covers the whole grid, whatever its size."""
    outputs: frozenset[str]
    """Fields of `StudentOutputs`."""
    grid: BEVGrid
    tasks: TaskSpec
    head: Head | None = None
    """A teacher's detection head on its `bev_neck`; None where only cached tensors are left of it. Whoever hands it
    moves it to the device of the tensors."""


class ModuleTaps:
    """Forward hooks on modules for the time of a `with` block.

    Only forwards of the thread that entered the block are taken, the last one of several. The hooks read and return
    nothing, so the forward is the same to the bit, and on leaving the block the module is as it was.
    """

    def __init__(self, sites: Mapping[str, Site]) -> None:
        self._sites = sites
        self._handles: list[RemovableHandle] = []
        self._features: dict[str, Tensor] = {}
        self._thread: int | None = None

    def __enter__(self: Tapping) -> Tapping:
        if self._thread is not None:
            raise TrainingError(f"these {type(self).__name__} are in use; make one for each `with` block")
        self._features, self._thread = {}, threading.get_ident()
        with _HANDLES:
            for name, (module, of_input) in self._sites.items():
                if of_input:
                    self._handles.append(module.register_forward_pre_hook(self._input_hook(name)))
                else:
                    self._handles.append(module.register_forward_hook(self._output_hook(name)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with _HANDLES:
            for handle in self._handles:
                handle.remove()
        self._handles, self._thread = [], None

    def taps(self, outputs: StudentOutputs) -> Taps:
        """What the last forward left, with its outputs.

        Raises:
            TrainingError: the network has not run inside the block.
        """
        missing = [name for name in self._sites if name not in self._features]
        if missing:
            raise TrainingError(f"no forward has passed {', '.join(missing)}; run the network inside the `with` block")
        return Taps(dict(self._features), outputs.present())

    def _input_hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            self._take(name, inputs[0])

        return hook

    def _output_hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            self._take(name, output)

        return hook

    def _take(self, name: str, value: Tensor) -> None:
        if threading.get_ident() == self._thread:
            self._features[name] = value


class StudentTaps(ModuleTaps):
    """Hooks on a student."""

    def __init__(self, student: Student) -> None:
        super().__init__(_sites(student))


def student_form(student: Student) -> TapForm:
    """What a student taps, from its modules alone.

    Raises:
        TrainingError: it has other modules than `bevdeploy.models.Student`.
    """
    _sites(student)
    encoder, grid = student.bev_encoder, student.spec.geometry.grid
    _, rows, columns = grid.shape_zyx
    first = _first_convolution(encoder.stage1)
    features, size = {"lift": (first.in_channels, rows, columns)}, (rows, columns)
    for n, stage in enumerate((encoder.stage1, encoder.stage2, encoder.stage3)):
        stride = _first_convolution(stage).stride[0]
        size = -(-size[0] // stride), -(-size[1] // stride)  # a padded convolution rounds up
        features[f"bev_s{n}"] = (_block(stage, -1).conv2.out_channels, *size)
    features["bev_neck"] = (encoder.channels, rows, columns)
    outputs = dense_outputs(student.spec.tasks, student.spec.temporal)
    return TapForm(features, frozenset(outputs), grid, student.spec.tasks)


def form_of_taps(taps: Taps, grid: BEVGrid, tasks: TaskSpec, head: Head | None = None) -> TapForm:
    """The form of what a network has handed once: the way for a teacher or a cache."""
    features = {name: (value.shape[1], value.shape[2], value.shape[3]) for name, value in taps.features.items()}
    return TapForm(features, frozenset(taps.outputs), grid, tasks, head)


def _sites(student: Student) -> dict[str, Site]:
    paths = {
        "lift": ("bev_encoder", True),
        "bev_s0": ("bev_encoder.stage1", False),
        "bev_s1": ("bev_encoder.stage2", False),
        "bev_s2": ("bev_encoder.stage3", False),
        "bev_neck": ("bev_encoder", False),
    }
    sites = {}
    for name, (path, of_input) in paths.items():
        try:
            sites[name] = student.get_submodule(path), of_input
        except AttributeError as error:
            raise TrainingError(
                f"{student.spec.name} has no module {path!r}, where {name!r} is tapped: distillation knows the modules "
                "of bevdeploy's own students; keep their names in yours"
            ) from error
    return sites


def _first_convolution(stage: nn.Sequential) -> nn.Conv2d:
    return next(module for module in stage.modules() if isinstance(module, nn.Conv2d))


def _block(stage: nn.Sequential, index: int) -> BasicBlock:
    block = stage[index]
    assert isinstance(block, BasicBlock)
    return block


def _named(tensors: Mapping[str, Tensor], kind: str, name: str) -> Tensor:
    if name not in tensors:
        raise TrainingError(f"no {kind} {name!r} was tapped, there are {', '.join(tensors) or 'none'}")
    return tensors[name]
