"""Training's resize is deployment's, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from bevdeploy.geometry.resample import network_image, rows_of_fit
from bevdeploy.runtime.contract import Preprocessing
from bevdeploy.runtime.preprocess import images_from_frames


@pytest.mark.parametrize("resize", ["linear", "antialias"])
@pytest.mark.parametrize(
    ("raw_hw", "net_hw"), [((90, 160), (26, 70)), ((64, 64), (64, 64)), ((31, 77), (48, 120)), ((200, 50), (20, 50))]
)
def test_network_images_are_those_of_deployment(
    rng: np.random.Generator, resize: str, raw_hw: tuple[int, int], net_hw: tuple[int, int]
) -> None:
    frame = rng.integers(0, 256, (*raw_hw, 3)).astype(np.uint8)
    plain = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), resize)  # type: ignore[arg-type]
    want = images_from_frames([frame], net_hw, plain)[0, 0].transpose(1, 2, 0)  # [H, W, 3]
    first, last = rows_of_fit(raw_hw, net_hw, resize == "antialias")
    got = network_image(frame[first:last], raw_hw, net_hw, resize == "antialias")
    if resize == "linear":
        assert got.tobytes() == want.tobytes()
    else:  # a product of matrices: fewer terms, in another order
        np.testing.assert_allclose(got, want, atol=1e-4)
    assert 0 <= first < last <= raw_hw[0]


def test_rows_that_nothing_depends_on_are_not_needed() -> None:
    assert rows_of_fit((900, 1600), (256, 704)) == (318, 900)
