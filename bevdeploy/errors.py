"""The exception tree.

    BevDeployError
    ├── GeometryError            a rig, grid or table that cannot be used
    │   └── TableOverflowError   a rig needs larger pool tables than the graph declares
    ├── CheckpointError          a checkpoint that cannot be read or rebuilt
    ├── RecipeError              an export recipe or target profile with a wrong key or value
    ├── ContractError            a graph without its contract, or inputs that break it
    ├── EngineError              an engine file that cannot be loaded or run
    ├── FrameSourceError         camera frames that are missing, unreadable or of another size
    ├── DataSetError             a data set, index or result file that is missing, damaged or of another kind
    ├── TrainingError            training that cannot start, go on or resume
    ├── MissingDependencyError   an optional library is not installed
    └── OutputError              a result that could not be written

Each message says what happened, with which file and values, and the command that mends it.
"""

from __future__ import annotations

SHOWN_LETTERS = 6000
"""Of a message's line; the longest path has 4,096."""


class BevDeployError(Exception):
    """Root of everything that bevdeploy raises on purpose.

    Messages quote names and values of files that may be hostile: as text, control characters are escaped, blank lines
    left out and lines of a megabyte cut, so that a message is one block on any terminal.
    """

    def __str__(self) -> str:
        return "\n".join(_shown(line) for line in super().__str__().split("\n") if line.strip())


def _shown(line: str) -> str:
    if len(line) > SHOWN_LETTERS:
        line = f"{line[: SHOWN_LETTERS - 1000]} ... {line[-1000:]}"
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in line)


class GeometryError(BevDeployError):
    """A rig, grid, image transform or index table that cannot be used."""


class TableOverflowError(GeometryError):
    """A rig needs larger pool tables than the exported graph declares."""


class CheckpointError(BevDeployError):
    """A checkpoint that cannot be read, trusted or rebuilt."""


class RecipeError(BevDeployError):
    """An export recipe or target profile with an unknown key or a wrong value."""


class ContractError(BevDeployError):
    """A graph without its contract, or inputs that break it."""


class EngineError(BevDeployError):
    """An engine file (ONNX, plan) that cannot be loaded or run."""


class FrameSourceError(BevDeployError):
    """Camera frames that are missing, unreadable or of another size."""


class DataSetError(BevDeployError):
    """A data set, index or result file that is missing, damaged or of another kind."""


class TrainingError(BevDeployError):
    """Training that cannot start, go on or resume."""


class MissingDependencyError(BevDeployError):
    """An optional library is not installed; the message names the extra that brings it."""


class OutputError(BevDeployError):
    """A result that could not be written."""
