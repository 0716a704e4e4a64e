"""The keyframes of a teacher: those that a student of all cameras can learn from, with what the teacher sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from bevdeploy.data.augment import Augmentation
from bevdeploy.data.index import SampleIndex
from bevdeploy.data.sample import Sample
from bevdeploy.data.samples import Samples
from bevdeploy.models.teachers import Teacher

VirtualPoints = Literal["annotations"] | Path


@dataclass(frozen=True, eq=False)
class TeacherSamples:
    """A `SampleSource`. A teacher without cameras has one image loaded, of no use and hardly a pixel, not six."""

    whole: Samples
    """All cameras: which keyframes there are."""
    seen: Samples
    """What is loaded."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """One per keyframe."""
        return self.whole.tokens

    @property
    def skipped(self) -> int:
        """Keyframes of the split that are left out since an image or the lidar file is absent."""
        return self.whole.skipped

    def sample(self, position: int, seed: int | None = None) -> Sample:
        """One keyframe; augmented as the seed says, not at all with None.

        Raises:
            DataSetError: as `Samples.sample`.
        """
        return self.seen.sample(self._places[position], seed)

    @cached_property
    def _places(self) -> list[int]:
        place = {keyframe: position for position, keyframe in enumerate(self.seen.keyframes)}
        return [place[keyframe] for keyframe in self.whole.keyframes]


def teacher_samples(
    index: SampleIndex,
    teacher: Teacher,
    split: str | None,
    sweeps: int,
    virtual_points: VirtualPoints | None = None,
    augmentation: Augmentation | None = None,
    seed: int = 0,
) -> TeacherSamples:
    """Keyframes of a split for a teacher.

    Args:
        index: of the data set.
        teacher: whose geometry and tasks they are made for.
        split: or scene; None takes all.
        sweeps: lidar files per keyframe.
        virtual_points: as `Samples.virtual_points`.
        augmentation: of samples that are asked for with a seed.
        seed: of the virtual points.

    Raises:
        DataSetError: nothing is left of the split.
    """
    whole = Samples(
        index,
        teacher.spec.tasks,
        teacher.spec.geometry,
        split=split,
        lidar_sweeps=sweeps,
        augmentation=augmentation,
        seed=seed,
        virtual_points=virtual_points,
    )
    return TeacherSamples(whole, whole if teacher.camera is not None else replace(whole, cameras=whole.cameras[:1]))
