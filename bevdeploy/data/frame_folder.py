"""Frame sets of a folder of images; the layouts are described in docs/frames.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bevdeploy.data.frame_set import FrameSet
from bevdeploy.data.image_file import frame_from_image
from bevdeploy.errors import FrameSourceError
from bevdeploy.geometry.rig import CameraRig, load_rig

RIG_FILE = "rig.json"
"""The rig of a folder of frames, where no other is named."""

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Names that count as images, in any case; other files are passed over."""


def rig_of_folder(folder: Path) -> CameraRig:
    """The rig file `rig.json` that lies in a folder of frames.

    Raises:
        FrameSourceError: the folder or its rig file is missing.
        GeometryError: the rig file is broken.
    """
    path = _existing(folder) / RIG_FILE
    if not path.is_file():
        raise FrameSourceError(
            f"{path}: no rig file among the frames; put one there or name one with --rig FILE (see docs/rig.md)"
        )
    return load_rig(path)


def frame_sets_from_folder(folder: Path, rig: CameraRig) -> Iterator[FrameSet]:
    """The frame sets of a folder, in the natural order of their file stems (`2` before `10`).

    File names are checked at once, images are decoded one set at a time.

    Raises:
        FrameSourceError: the folder is missing or empty, a camera or a stem of it is missing; while iterating: an image
            is unreadable, truncated or of another size than its camera.
        MissingDependencyError: Pillow is not installed (while iterating).
    """
    return _decoded(_paths_by_stem(folder, rig), rig)


def count_frame_sets(folder: Path, rig: CameraRig) -> int:
    """How many sets `frame_sets_from_folder` yields; decodes nothing.

    Raises:
        FrameSourceError: as `frame_sets_from_folder` before iterating.
    """
    return len(_paths_by_stem(folder, rig))


def _decoded(paths_by_stem: dict[str, list[Path]], rig: CameraRig) -> Iterator[FrameSet]:
    for stem, paths in paths_by_stem.items():
        frames = (frame_from_image(path, camera) for path, camera in zip(paths, rig.cameras, strict=True))
        yield FrameSet(stem, None, tuple(frames), rig)


def _paths_by_stem(folder: Path, rig: CameraRig) -> dict[str, list[Path]]:
    """Paths of one set per stem, in rig order."""
    folder = _existing(folder)
    absent = [name for name in rig.names if not (folder / name).is_dir()]
    if len(absent) == len(rig.names):
        return {folder.resolve().name: _flat_paths(folder, rig)}
    if absent:
        raise FrameSourceError(f"{folder}: no subfolder for {_listed(absent)}; the rig has {', '.join(rig.names)}")
    by_camera = {name: _images(folder / name) for name in rig.names}
    stems = sorted(set().union(*by_camera.values()), key=natural_order)
    if not stems:
        raise FrameSourceError(f"{folder}: the cameras' subfolders hold no images ({', '.join(IMAGE_SUFFIXES)})")
    for name, images in by_camera.items():
        missing = [stem for stem in stems if stem not in images]
        if missing:
            raise FrameSourceError(
                f"{folder / name}: camera {name} has no image {_listed(missing)}, which another camera has; "
                "a frame set needs the same file stem in every camera's subfolder"
            )
    return {stem: [by_camera[name][stem] for name in rig.names] for stem in stems}


def _flat_paths(folder: Path, rig: CameraRig) -> list[Path]:
    """One image per camera in the folder itself."""
    images = _images(folder)
    absent = [name for name in rig.names if name not in images]
    if len(absent) == len(rig.names):
        what = f"{len(images)} images, none" if images else "no images and no subfolder"
        raise FrameSourceError(
            f"{folder}: {what} named after a camera of the rig ({', '.join(rig.names)}); "
            f"expected {rig.names[0]}/0001.jpg ... or {rig.names[0]}.jpg ... (see docs/frames.md)"
        )
    if absent:
        raise FrameSourceError(f"{folder}: no image for camera {_listed(absent)}; the rig has {', '.join(rig.names)}")
    return [images[name] for name in rig.names]


def _images(folder: Path) -> dict[str, Path]:
    """Image files of a folder by stem; hidden ones are passed over."""
    images: dict[str, Path] = {}
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise FrameSourceError(f"{folder}: cannot be listed ({error.strerror or error})") from error
    for path in paths:
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith(".") or path.is_dir():
            continue
        if path.stem in images:
            twice = f"{images[path.stem].name} and {path.name}"
            raise FrameSourceError(f"{folder}: {twice} are the same frame twice; remove one")
        images[path.stem] = path
    return images


def _existing(folder: Path) -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise FrameSourceError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'} of camera frames")
    return folder


def natural_order(stem: str) -> tuple[list[tuple[int, int | str]], str]:
    """Sort key with runs of ASCII digits as numbers; the stem itself parts `1` from `01`."""
    parts = re.split(r"([0-9]+)", stem)
    return [(0, int(part)) if part[:1].isdecimal() and part.isascii() else (1, part) for part in parts], stem


def _listed(names: list[str], limit: int = 6) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
