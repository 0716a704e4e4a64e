"""DoctorReport: what a machine has, what it can do, what its TensorRT's parser takes. Card and JSON come from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bevdeploy.engines.capabilities import Capability
from bevdeploy.engines.installation import Installation
from bevdeploy.engines.parser_features import ParserFeature

DOCTOR_FORMAT = "bevdeploy.doctor/1"


@dataclass(frozen=True)
class DoctorReport:
    """One look at one machine."""

    installation: Installation
    jobs: tuple[Capability, ...]
    tensorrt: str | None
    """Version whose parser is described: the one that Python sees, else the system's."""
    parser: tuple[ParserFeature, ...]
    dla: str
    """In words: what is known of the deep-learning accelerator."""

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "format": DOCTOR_FORMAT,
            "jobs": [asdict(job) for job in self.jobs],
            "tensorrt": self.tensorrt,
            "parser": [asdict(feature) for feature in self.parser],
            "dla": self.dla,
            "installation": self.installation.document(),
        }
