"""The order of the data: every keyframe once per epoch, whatever came before, split over the processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from bevdeploy.errors import TrainingError
from bevdeploy.models import Student
from bevdeploy.train.detection_targets import CentreRule
from bevdeploy.train.loading import batches, draws

StreetOf = Callable[[Student, int], Any]


def test_an_epoch_is_a_permutation_and_the_next_one_another() -> None:
    drawn = [draw for step in range(14) for draw in draws(7, 3, 5, step)]
    epochs = [[draw.position for draw in drawn[k : k + 7]] for k in range(0, 42, 7)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 4
    assert len({draw.seed for draw in drawn}) == 42, "every draw is augmented in its own way"
    assert [draw.position for step in range(14) for draw in draws(7, 3, 6, step)] != [draw.position for draw in drawn]


def test_processes_share_out_what_one_would_take() -> None:
    for step in range(5):
        together = [draw for rank in range(3) for draw in draws(11, 2, 1, step, rank, 3)]
        assert together == draws(11, 6, 1, step)


def test_variants_repeat_and_the_first_is_not_augmented() -> None:
    drawn = [draw for step in range(60) for draw in draws(5, 2, 0, step, variants=3)]
    assert len(set(drawn)) == 15
    assert Counter(drawn).most_common()[-1][1] == 120 // 15
    assert Counter(draw.seed is None for draw in drawn) == {False: 80, True: 40}


class Counting:
    """A source that counts what it is asked."""

    def __init__(self, source: Any) -> None:
        self.source, self.asked = source, Counter[tuple[int, int | None]]()

    @property
    def tokens(self) -> tuple[str, ...]:
        return self.source.tokens

    def sample(self, position: int, seed: int | None = None) -> Any:
        self.asked[position, seed] += 1
        return self.source.sample(position, seed)


def test_kept_variants_are_made_once(tiny: Student, street_of: StreetOf) -> None:
    source = Counting(street_of(tiny, 3))
    made = list(batches(source, tiny.spec, CentreRule(), batch=2, seed=0, steps=range(9), variants=2))
    assert len(made) == 9 and len(source.asked) == 6 and set(source.asked.values()) == {1}
    list(batches(source, tiny.spec, CentreRule(), batch=2, seed=0, steps=range(3)))
    assert source.asked.total() == 12


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_hold_what_was_drawn(tiny: Student, street_of: StreetOf, workers: int) -> None:
    source = street_of(tiny, 4)
    made = list(batches(source, tiny.spec, CentreRule(), batch=2, seed=3, steps=range(1, 4), workers=workers))
    for step, batch in zip(range(1, 4), made, strict=True):
        expected = draws(4, 2, 3, step)
        assert batch.tokens == tuple(source.tokens[draw.position] for draw in expected)
        for k, draw in enumerate(expected):
            assert np.array_equal(batch.images[k].numpy(), source.samples[draw.position].view.images)
            n = int((batch.targets.labels[k] >= 0).sum())
            assert n > 3 and bool((batch.targets.labels[k, :n] >= 0).all()) and not batch.targets.boxes[k, n:].any()
        inputs = batch.inputs()
        assert inputs.images.shape == (2, 6, 3, 64, 176) and inputs.ego_state is None
        assert inputs.images.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
        pixel = batch.images[1, 2, 5, 7].double()
        mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
        torch.testing.assert_close(inputs.images[1, 2, :, 5, 7].double(), (pixel - mean) / std, rtol=1e-5, atol=1e-6)
        assert batch.inputs(ego_state=True).ego_state is batch.ego_state


def test_no_keyframes_and_other_images_are_refused(tiny: Student, street_of: StreetOf) -> None:
    class Empty:
        tokens = ()

    with pytest.raises(TrainingError, match="no keyframe to train on"):
        next(batches(Empty(), tiny.spec, CentreRule(), batch=1, seed=0, steps=range(1)))  # type: ignore[arg-type]
    source = street_of(tiny, 1)
    source.samples[0].view.images.resize((6, 64, 100, 3), refcheck=False)
    with pytest.raises(TrainingError, match=r"street-0: images of \[\(6, 64, 100, 3\)\], but tinybev_r18_small takes"):
        next(batches(source, tiny.spec, CentreRule(), batch=1, seed=0, steps=range(1)))
