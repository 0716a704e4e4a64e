"""Instance masks of a user's own 2D detector, from JSON: one file for all keyframes, or a folder with one for each.

The format is described in docs/data.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bevdeploy.data.instance_masks import InstanceMask, Mask, mask_of_polygons, mask_of_runs, runs_of_text
from bevdeploy.data.virtual_points import LABEL_CLASSES
from bevdeploy.errors import DataSetError
from bevdeploy.geometry.frames import Float64
from bevdeploy.geometry.rig import Camera

INSTANCES_FORMAT = "bevdeploy.instances/1"
FARTHEST_PX = 1e6
"""Beyond it a corner is damage."""
_SHAPES = ("polygon", "polygons", "box", "rle")
_PAGE = "see docs/data.md"


def instances_of_file(path: Path, token: str, cameras: Sequence[Camera]) -> tuple[tuple[InstanceMask, ...], ...]:
    """Masks of a keyframe in each camera, in the file's order.

    Args:
        path: an instance file, or a folder of `TOKEN.json`.
        token: of the sample.
        cameras: raw images; a camera that the keyframe does not list has none.

    Raises:
        DataSetError: the file is missing or damaged, lacks the keyframe, or an instance is impossible.
    """
    file = path / f"{token}.json" if path.is_dir() else path
    keyframes = _keyframes(file)
    if token not in keyframes:
        raise DataSetError(f"{file}: no keyframe {token}; run the detector on it, {_PAGE}")
    listed = keyframes[token]
    unknown = sorted(set(listed) - {camera.name for camera in cameras}) if isinstance(listed, Mapping) else []
    if not isinstance(listed, Mapping) or unknown:
        names = ", ".join(camera.name for camera in cameras)
        what = f"has cameras {', '.join(unknown)}" if unknown else "is no object"
        raise DataSetError(f"{file}: keyframe {token} {what}; its keys are cameras: {names}, {_PAGE}")
    found = []
    for camera in cameras:
        rows = listed.get(camera.name, [])
        if not isinstance(rows, list):
            raise DataSetError(f"{file}: keyframe {token}, {camera.name}: not a list of instances; {_PAGE}")
        try:
            masks = [_instance(row, camera) for row in rows]
        except (TypeError, ValueError, OverflowError) as error:
            raise DataSetError(f"{file}: keyframe {token}, {camera.name}: {error}; {_PAGE}") from error
        found.append(tuple(instance for instance in masks if instance.mask.any()))
    return tuple(found)


def check_instances(path: Path, tokens: Sequence[str]) -> None:
    """Refuse, before the work, a file or folder that lacks keyframes.

    Raises:
        DataSetError: there is no such file or folder, it is no instance file, or keyframes are not in it.
    """
    if path.is_dir():
        lacking = [token for token in tokens if not (path / f"{token}.json").is_file()]
    else:
        known = _keyframes(path)
        lacking = [token for token in tokens if token not in known]
    if lacking:
        raise DataSetError(
            f"{path}: {len(lacking)} of {len(tokens)} keyframes are not in it, the first is {lacking[0]}; run the "
            f"detector on them (one that sees nothing has an empty object), {_PAGE}"
        )


def _keyframes(file: Path) -> Mapping[str, Any]:
    try:
        stat = file.stat()
        if not file.is_file():
            raise DataSetError(f"{file}: not a file; {_PAGE}")
        return _read(file, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise DataSetError(f"{file}: cannot be read ({error.strerror or error}); {_PAGE}") from error
    except (ValueError, RecursionError) as error:
        raise DataSetError(f"{file}: not a JSON instance file ({error}); {_PAGE}") from error


@lru_cache(maxsize=2)
def _read(file: Path, mtime_ns: int, size: int) -> Mapping[str, Any]:
    """The file's keyframes, parsed once per process while the file does not change."""
    document = json.loads(file.read_text(encoding="utf-8"))
    keyframes = document.get("keyframes") if isinstance(document, dict) else None
    if not isinstance(keyframes, dict) or document.get("format") != INSTANCES_FORMAT:
        raise ValueError(f'"format" must be "{INSTANCES_FORMAT}", "keyframes" an object')
    return keyframes


def _instance(row: Any, camera: Camera) -> InstanceMask:
    """One instance; impossible ones raise ValueError or TypeError."""
    if not isinstance(row, Mapping):
        raise ValueError("an instance that is no object")
    class_name, score = row.get("class"), row.get("score")
    if class_name not in LABEL_CLASSES:
        raise ValueError(f"class {class_name!r}; there are {', '.join(LABEL_CLASSES)}")
    if not isinstance(score, (int, float)) or isinstance(score, bool) or not 0 <= score <= 1:
        raise ValueError(f"score {score!r} of a {class_name}; scores are from 0 to 1")
    shapes = [key for key in _SHAPES if key in row]
    unknown = sorted(set(row) - {"class", "score", *_SHAPES})
    if len(shapes) != 1 or unknown:
        raise ValueError(f"a {class_name} with keys {', '.join(sorted(row))}; give class, score and one of {_SHAPES}")
    mask, corner_px = _mask(shapes[0], row[shapes[0]], camera)
    return InstanceMask(class_name, float(score), mask, corner_px)


def _mask(shape: str, value: Any, camera: Camera) -> tuple[Mask, tuple[int, int]]:
    image_hw = camera.height_px, camera.width_px
    if shape == "rle":
        size, counts = (value.get("size"), value.get("counts")) if isinstance(value, Mapping) else (None, None)
        if size != [*image_hw]:
            raise ValueError(f"run lengths of size {size}, the camera's raw images are {[*image_hw]} (height, width)")
        runs = runs_of_text(counts) if isinstance(counts, str) else counts
        if not isinstance(runs, list) or not all(isinstance(run, int) for run in runs):
            raise ValueError("run lengths that are neither whole numbers nor COCO's text")
        return mask_of_runs(runs, image_hw), (0, 0)
    if shape == "box":
        left, top, right, bottom = _corners(np.asarray(value, np.float64), (4,))
        outlines = [np.array([[left, top], [right, top], [right, bottom], [left, bottom]])]
    else:
        outlines = [
            _corners(np.asarray(part, np.float64), (-1, 2)) for part in (value if shape[-1] == "s" else [value])
        ]
    return mask_of_polygons(outlines, image_hw)


def _corners(numbers: Float64, shape: tuple[int, ...]) -> Float64:
    """Corners in px; flat lists u, v, u, v, ... as COCO's are taken too."""
    if numbers.ndim > 2 or (numbers.ndim == 2 and numbers.shape[1] != 2) or not numbers.size:
        raise ValueError(
            f"corners of shape {list(numbers.shape)}; give pairs u, v, and a box as left, top, right, bottom"
        )
    if not (np.abs(numbers) <= FARTHEST_PX).all():  # NaN is not
        raise ValueError(f"corners beyond {FARTHEST_PX:g} px, or not finite")
    return numbers.reshape(shape)
