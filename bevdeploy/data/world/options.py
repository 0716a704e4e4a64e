"""What a synthetic world is made of, as a user asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bevdeploy import __version__
from bevdeploy.errors import DataSetError
from bevdeploy.geometry.rig import MAX_SIDE_PX

WORLD_FORMAT = "bevdeploy.world/1"
SCENES = {"v1.0-mini": 10, "v1.0-trainval": 752}
"""Versions, with their highest number of scenes: one in five is for validation, and nuScenes names 150 of those."""
MAX_KEYFRAMES = 400
"""Of one scene: 200 s."""
MAX_SWEEPS = 10
MAX_WORKERS = 1024
MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class WorldOptions:
    """A world to write. All but `workers` decide its bytes.

    Raises:
        DataSetError: a value out of its range.
    """

    version: str = "v1.0-mini"
    scenes: int = 10
    keyframes: int = 40
    """Per scene, half a second apart."""
    width_px: int = 704
    height_px: int = 256
    sweeps: int = 1
    """Lidar sweeps per keyframe: 1 is only the keyframe's own, 10 is one every 50 ms as in nuScenes."""
    seed: int = 0
    workers: int = 1
    """Processes that render."""

    def __post_init__(self) -> None:
        if self.version not in SCENES:
            raise DataSetError(f"no synthetic version {self.version!r}; there is {', '.join(SCENES)}")
        for name, value, lowest, highest in (
            ("scenes", self.scenes, 2, SCENES[self.version]),
            ("keyframes", self.keyframes, 1, MAX_KEYFRAMES),
            ("width", self.width_px, 1, MAX_SIDE_PX),
            ("height", self.height_px, 1, MAX_SIDE_PX),
            ("sweeps", self.sweeps, 1, MAX_SWEEPS),
            ("workers", self.workers, 1, MAX_WORKERS),
            ("seed", self.seed, 0, MAX_SEED),
        ):
            if not lowest <= value <= highest:
                raise DataSetError(f"--{name} {value}: a world of {self.version} takes {lowest} to {highest}")

    def identity(self) -> dict[str, Any]:
        """What the bytes of the world follow from: its options, without `workers`, and who made it."""
        return {
            "format": WORLD_FORMAT,
            "made_by": f"bevdeploy {__version__}",
            "version": self.version,
            "scenes": self.scenes,
            "keyframes": self.keyframes,
            "width_px": self.width_px,
            "height_px": self.height_px,
            "sweeps": self.sweeps,
            "seed": self.seed,
        }

    def flags(self) -> str:
        """The options as the command line takes them."""
        return command_flags(self.identity())


def command_flags(identity: dict[str, Any]) -> str:
    """Options of a stored identity, as `bevdeploy data synth` takes them."""
    names = {"width_px": "width", "height_px": "height"}
    keys = ("version", "scenes", "keyframes", "width_px", "height_px", "sweeps", "seed")
    return " ".join(f"--{names.get(key, key)} {identity.get(key)}" for key in keys)
