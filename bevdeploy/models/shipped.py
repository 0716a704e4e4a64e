"""Trained checkpoints that come with bevdeploy: trained on the synthetic world, for the demo and for tests."""

from __future__ import annotations

from pathlib import Path

from bevdeploy.paths import data_dir


def shipped_checkpoint(student: str) -> Path | None:
    """The trained checkpoint of a named student, None where there is none; `export/trained/README.md` says how made."""
    path = data_dir("export") / "trained" / f"{student}.pth"
    return path if path.is_file() else None
