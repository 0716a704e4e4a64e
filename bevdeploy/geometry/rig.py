"""The camera rig: ordered cameras with intrinsics and extrinsics, and its file.

The order of the cameras is part of every contract: camera `n` of the rig is image `n` of the network.
The file format is described in docs/rig.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bevdeploy.errors import GeometryError
from bevdeploy.geometry.frames import compose, rotation_from_quaternion
from bevdeploy.paths import write_text

RIG_FORMAT = "bevdeploy.rig/1"
MAX_SIDE_PX = 2**14
"""Of a raw image; beyond, a slip of the keyboard asks for all the memory there is."""
_CAMERA_KEYS = {"name", "width_px", "height_px", "K", "ego_from_cam"}


@dataclass(frozen=True, eq=False)
class Camera:
    """One camera: pixels of the raw image, x right, y down, z forward."""

    name: str
    width_px: int
    height_px: int
    K: NDArray[np.float64]
    """Intrinsics [3, 3], pixels of the raw image."""
    ego_from_cam: NDArray[np.float64]
    """Extrinsics [4, 4]: camera coordinates to ego coordinates, metres."""

    def __post_init__(self) -> None:
        def fail(what: str) -> GeometryError:
            return GeometryError(f"camera {self.name!r}: {what}")

        if not self.name:
            raise GeometryError("a camera without a name; names map image files to cameras")
        if not (1 <= self.width_px <= MAX_SIDE_PX and 1 <= self.height_px <= MAX_SIDE_PX):
            raise fail(f"image of {self.width_px} x {self.height_px} px, a side has 1 to {MAX_SIDE_PX}")
        if self.K.shape != (3, 3) or not np.isfinite(self.K).all():
            raise fail("K must be nine finite numbers, 3 rows of 3")
        if self.K[0, 0] <= 0 or self.K[1, 1] <= 0 or not np.allclose(self.K[2], [0, 0, 1]):
            raise fail("K needs positive focal lengths and a last row 0 0 1 (pixels of the raw image)")
        if self.ego_from_cam.shape != (4, 4) or not np.isfinite(self.ego_from_cam).all():
            raise fail("ego_from_cam must be sixteen finite numbers, 4 rows of 4")
        rotation = self.ego_from_cam[:3, :3]
        rigid = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) and np.linalg.det(rotation) > 0
        if not rigid or not np.allclose(self.ego_from_cam[3], [0, 0, 0, 1]):
            raise fail("ego_from_cam is not a rotation and a translation (last row 0 0 0 1)")


@dataclass(frozen=True, eq=False)
class CameraRig:
    """The cameras in network order."""

    cameras: tuple[Camera, ...]

    def __post_init__(self) -> None:
        if not self.cameras:
            raise GeometryError("a rig without cameras")
        names = [camera.name for camera in self.cameras]
        if len(set(names)) != len(names):
            raise GeometryError(f"camera names must differ, got {', '.join(names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Camera names in network order."""
        return tuple(camera.name for camera in self.cameras)

    @property
    def image_hw(self) -> tuple[int, int]:
        """Raw image height and width in pixels, one for all cameras.

        Raises:
            GeometryError: the cameras' images differ in size.
        """
        sizes = {(camera.height_px, camera.width_px) for camera in self.cameras}
        if len(sizes) != 1:
            listed = ", ".join(f"{c.name} {c.width_px}x{c.height_px}" for c in self.cameras)
            raise GeometryError(
                f"the cameras' raw images differ in size ({listed}); one stack of frames needs one size. Resize them "
                "to one size and scale K with them"
            )
        return sizes.pop()

    def digest(self) -> str:
        """SHA-256 of order, sizes, intrinsics and extrinsics: what index tables depend on."""
        state = hashlib.sha256()
        for camera in self.cameras:
            state.update(f"{camera.name}|{camera.width_px}|{camera.height_px}|".encode())
            state.update(np.ascontiguousarray(camera.K, "<f8").tobytes())
            state.update(np.ascontiguousarray(camera.ego_from_cam, "<f8").tobytes())
        return state.hexdigest()

    def save(self, path: Path) -> None:
        """Write the rig file; a killed write leaves the old file."""
        document = {
            "format": RIG_FORMAT,
            "cameras": [
                {
                    "name": camera.name,
                    "width_px": camera.width_px,
                    "height_px": camera.height_px,
                    "K": camera.K.tolist(),
                    "ego_from_cam": camera.ego_from_cam.tolist(),
                }
                for camera in self.cameras
            ],
        }
        write_text(path, json.dumps(document, indent=1) + "\n")


def load_rig(path: Path) -> CameraRig:
    """The rig of a file.

    Raises:
        GeometryError: the file is missing, is not a rig file, or describes an impossible rig.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        raise GeometryError(f"{path}: cannot read the rig file ({error})") from error
    except (ValueError, RecursionError) as error:  # ValueError: also numbers of more digits than Python reads
        raise GeometryError(f"{path}: not a JSON rig file ({error}); see docs/rig.md") from error
    if not isinstance(document, dict) or document.get("format") != RIG_FORMAT:
        raise GeometryError(f'{path}: not a rig file: "format" must be "{RIG_FORMAT}"; see docs/rig.md')
    cameras = document.get("cameras")
    if not isinstance(cameras, list):
        raise GeometryError(f'{path}: "cameras" must be a list; see docs/rig.md')
    try:
        return CameraRig(tuple(_camera_from_document(camera) for camera in cameras))
    except GeometryError as error:
        raise GeometryError(f"{path}: {error}") from error


def _camera_from_document(document: Any) -> Camera:
    if not isinstance(document, Mapping):
        raise GeometryError("each camera must be an object; see docs/rig.md")
    name = document.get("name")
    missing = sorted(_CAMERA_KEYS - set(document))
    unknown = sorted(set(document) - _CAMERA_KEYS)
    if missing or unknown or not isinstance(name, str):
        raise GeometryError(f"camera {name!r}: missing keys {missing}, unknown keys {unknown}; see docs/rig.md")
    sizes = document["width_px"], document["height_px"]
    if not all(isinstance(size, int) and not isinstance(size, bool) for size in sizes):
        raise GeometryError(f"camera {name!r}: width_px and height_px must be whole numbers, got {sizes}")
    return Camera(name, *sizes, _numbers(name, "K", document["K"]), _extrinsics(name, document["ego_from_cam"]))


def _extrinsics(name: str, value: Any) -> NDArray[np.float64]:
    if not isinstance(value, Mapping):
        return _numbers(name, "ego_from_cam", value)
    if set(value) != {"rotation_wxyz", "translation_m"}:
        raise GeometryError(f"camera {name!r}: ego_from_cam takes a 4x4 matrix, or rotation_wxyz and translation_m")
    translation_m = _numbers(name, "translation_m", value["translation_m"])
    if translation_m.shape != (3,):
        raise GeometryError(f"camera {name!r}: translation_m must be three numbers")
    return compose(rotation_from_quaternion(_numbers(name, "rotation_wxyz", value["rotation_wxyz"])), translation_m)


def _numbers(name: str, key: str, value: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise GeometryError(f"camera {name!r}: {key} is not an array of numbers ({error})") from error
