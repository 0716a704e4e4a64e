"""Result files in the nuScenes detection format: read with checks, and written.

Format: nuScenes detection task, https://www.nuscenes.org/object-detection, "Results format".
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bevdeploy.errors import DataSetError
from bevdeploy.paths import write_text
from bevdeploy.tasks import DETECTION_TASKS

Row = dict[str, Any]
Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""Boxes in the global frame by sample token; a sample without boxes has an empty list."""

MAX_BOXES = 500
"""Per sample; the devkit refuses more."""

CLASSES = tuple(name for group in DETECTION_TASKS for name in group)

ATTRIBUTES = (
    "pedestrian.moving",
    "pedestrian.sitting_lying_down",
    "pedestrian.standing",
    "cycle.with_rider",
    "cycle.without_rider",
    "vehicle.moving",
    "vehicle.parked",
    "vehicle.stopped",
)
"""nuScenes' attributes; a box may also have none, ''."""

META: Mapping[str, bool] = {
    "use_camera": True,
    "use_lidar": False,
    "use_radar": False,
    "use_map": False,
    "use_external": False,
}
"""What a camera-only student used."""

_LENGTHS = {"translation": 3, "size": 3, "rotation": 4, "velocity": 2}
_KEYS = ("sample_token", *_LENGTHS, "detection_name", "detection_score", "attribute_name")
_LARGEST = 1e9


@dataclass(frozen=True, eq=False)
class ResultFile:
    """A result file that passed the checks."""

    path: Path
    meta: Mapping[str, Any]
    results: Rows


def read_results(path: Path, known_tokens: Collection[str] | None = None) -> ResultFile:
    """Read a result file.

    Args:
        path: JSON file with `meta` and `results`.
        known_tokens: samples of the data set; None leaves tokens unchecked.

    Raises:
        DataSetError: the file is unreadable, or `checked_results` refuses what is in it.
    """
    try:
        document = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise DataSetError(f"{path}: cannot be read ({error.strerror or error}); name a result file") from error
    except (ValueError, RecursionError) as error:
        raise DataSetError(f"{path}: not a JSON file ({error}); write the results again") from error
    if not isinstance(document, dict) or not isinstance(document.get("results"), dict):
        raise DataSetError(f"{path}: no object 'results' in it; a result file has 'meta' and 'results'")
    if not isinstance(document.get("meta"), dict):
        raise DataSetError(f"{path}: no object 'meta' in it; nuScenes' evaluation asks for one")
    return ResultFile(Path(path), document["meta"], checked_results(document["results"], str(path), known_tokens))


def write_results(path: Path, results: Rows, meta: Mapping[str, Any] = META) -> None:
    """Write a result file that the devkit takes.

    Raises:
        DataSetError: `checked_results` refuses the boxes.
        OutputError: the file cannot be written.
    """
    checked_results(results, "results")
    document = {"meta": dict(meta), "results": {token: list(rows) for token, rows in results.items()}}
    write_text(Path(path), json.dumps(document, allow_nan=False))


def checked_results(results: Rows, source: str, known_tokens: Collection[str] | None = None) -> Rows:
    """The same results, if nuScenes' evaluation can use them; extra keys of a box are allowed.

    Unlike the devkit, velocities must be numbers: it would leave a NaN out of the mean velocity error, so a detector
    that gives none would look better than one that guesses.

    Args:
        results: boxes by sample token.
        source: file or origin for messages.
        known_tokens: samples of the data set; None leaves tokens unchecked.

    Raises:
        DataSetError: an unknown or misplaced sample token, more than `MAX_BOXES` boxes, a missing key, a list of
            another length, a value that is no finite number, a size that is not positive, a rotation of zero length,
            an unknown class or attribute.
    """
    known = None if known_tokens is None else frozenset(known_tokens)
    for token, rows in results.items():
        if known is not None and token not in known:
            raise DataSetError(f"{source}: sample {token!r} is not in the data set; score it with the set it is of")
        if not isinstance(rows, (list, tuple)):
            raise DataSetError(f"{source}: sample {token}: expected a list of boxes, got {type(rows).__name__}")
        if len(rows) > MAX_BOXES:
            raise DataSetError(f"{source}: sample {token} has {len(rows)} boxes, at most {MAX_BOXES} count; drop some")
        for index, row in enumerate(rows):
            fault = _fault(row, token)
            if fault:
                raise DataSetError(f"{source}: sample {token}, box {index}: {fault}; write the results again")
    return results


def _fault(row: Any, token: str) -> str | None:
    """What is wrong with a box; None where nothing is."""
    if not isinstance(row, dict):
        return f"expected an object, got {type(row).__name__}"
    missing = [key for key in _KEYS if key not in row]
    if missing:
        return f"{', '.join(missing)} missing"
    if row["sample_token"] != token:
        return f"its sample_token is {row['sample_token']!r}"
    for key, length in _LENGTHS.items():
        values = row[key]
        if not isinstance(values, (list, tuple)) or len(values) != length:
            return f"{key} must be a list of {length} numbers, got {values!r}"
        if not all(_is_number(value) for value in values):
            return f"{key} must be {length} finite numbers, got {values!r}"
    if not _is_number(row["detection_score"]):
        return f"detection_score must be a finite number, got {row['detection_score']!r}"
    if min(row["size"]) <= 0:
        return f"size must be positive, got {row['size']!r}"
    if sum(value * value for value in row["rotation"]) < 1e-12:
        return f"rotation must be a quaternion, got {row['rotation']!r}"
    if row["detection_name"] not in CLASSES:
        return f"unknown class {row['detection_name']!r}, there is {', '.join(CLASSES)}"
    if row["attribute_name"] not in ("", *ATTRIBUTES):
        return f"unknown attribute {row['attribute_name']!r}, there is {', '.join(ATTRIBUTES)} and ''"
    return None


def _is_number(value: Any) -> bool:
    """A finite number of a credible size; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST
