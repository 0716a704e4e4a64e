"""Keyframes that are decoded once and kept in memory, for trainings one after the other on the same data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bevdeploy.data.sample import Sample
from bevdeploy.train.loading import SampleSource
from bevdeploy.train.targets import own_points


class Remembered:
    """A `SampleSource` without augmentation."""

    def __init__(self, source: SampleSource, limit: int | None = None) -> None:
        self._source = source
        self.tokens = source.tokens[:limit]
        self._kept: dict[int, Sample] = {}

    def sample(self, position: int, seed: int | None = None) -> Sample:
        """A keyframe; the seed of an augmentation is passed over."""
        if position not in self._kept:
            made = self._source.sample(position, None)
            self._kept[position] = replace(made, previous=None, points=np.ascontiguousarray(own_points(made.points)))
        return self._kept[position]
