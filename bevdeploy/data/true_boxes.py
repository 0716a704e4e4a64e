"""TrueBoxes: what really stood around the vehicle, in the columns that students decode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bevdeploy.tasks import TaskSpec


@dataclass(frozen=True, eq=False)
class TrueBoxes:
    """Annotated or simulated boxes of one frame set, in the ego frame of its key time."""

    boxes: NDArray[np.float32]
    """[n, 9], columns of `tasks.BOX_FIELDS`; velocities are NaN where the annotations do not tell."""
    class_names: tuple[str, ...]
    """[n], names of the detection classes."""

    def labels(self, tasks: TaskSpec | None = None) -> NDArray[np.int32]:
        """[n], index into `tasks.classes`; -1 for a class that the task lacks."""
        classes = (tasks or TaskSpec()).classes
        indices = [classes.index(name) if name in classes else -1 for name in self.class_names]
        return np.array(indices, np.int32)  # [n]
