"""The picture of a training's log, drawn beside its checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bevdeploy.errors import MissingDependencyError
from bevdeploy.report.curve_picture import curve_picture
from bevdeploy.report.image_bytes import save_png
from bevdeploy.train.training_log import read_log

FILMED = ("loss", "gradient_norm", "learning_rate", "keyframes_per_s")
"""Columns of the log that are drawn beside the terms."""


def drawn_curves(path: Path, title: str) -> Path | None:
    """`out/s.curves.png` from `out/s.log.csv`, for the checkpoint `out/s.pth`; None where Pillow is not installed.

    Raises:
        OutputError: the log cannot be read, or the picture cannot be written.
    """
    rows = read_log(path.with_suffix(".log.csv"))
    names = list(dict.fromkeys(name for row in rows for name in row))
    shown = [name for name in names if name in FILMED or name.endswith("_loss")]
    curves = {}
    for name in shown:
        known = [row for row in rows if name in row]
        curves[name.removesuffix("_loss").replace("_", " ")] = (
            np.array([row["step"] for row in known]),
            np.array([row[name] for row in known]),
        )
    picture = path.with_suffix(".curves.png")
    try:
        save_png(curve_picture(title, curves), picture)
    except MissingDependencyError:
        return None
    return picture
