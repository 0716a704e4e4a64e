"""`bevdeploy doctor`: what this machine has, what it can do, and what to install for the rest."""

from __future__ import annotations

from bevdeploy.engines.capabilities import capabilities
from bevdeploy.engines.doctor_report import DoctorReport
from bevdeploy.engines.installation import Installation, Probe, installation
from bevdeploy.engines.parser_features import parser_features, version_numbers


def doctor(probe: Probe | None = None, deep: bool = False) -> DoctorReport:
    """Look at the machine; None asks this one. Never fails.

    A deep look imports the installed libraries, each in a process of its own.
    """
    found = installation(probe or Probe(), deep)
    tensorrt = found.libraries["tensorrt"] or found.system_tensorrt
    return DoctorReport(found, capabilities(found), tensorrt, parser_features(tensorrt), _dla(found, tensorrt))


def _dla(found: Installation, tensorrt: str | None) -> str:
    """TensorRT's own count where it was asked, else what its documents say, marked as such."""
    if found.dla_cores is not None:
        return f"{found.dla_cores} cores, says TensorRT"
    if found.sm != 87:
        return "none known on this machine"
    if tensorrt is None:
        return "unknown: no TensorRT to ask"
    documents = "the documents have it on AGX Orin up to 10.7 and again from 11.4.1; 10.16 of JetPack 7.2 comes without"
    within = version_numbers(tensorrt) < (10, 8) or version_numbers(tensorrt) >= (11, 4, 1)
    asked = "TensorRT gave no answer" if found.deep else "not asked, --deep does"
    return f"unknown ({asked}); with TensorRT {tensorrt} {'expected' if within else 'not expected'}: {documents}"
