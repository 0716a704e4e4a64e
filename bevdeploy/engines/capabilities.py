"""What a machine can do with bevdeploy: each job, yes or no, why, and what to install."""

from __future__ import annotations

from dataclasses import dataclass

from bevdeploy.engines.installation import Installation
from bevdeploy.engines.parser_features import version_numbers

OLDEST_TENSORRT = "10.3"
"""That of JetPack 6.1; older ones were never aimed at."""
RTX_SMS = (75, 80, 86, 89, 120, 121)
"""Compute capabilities that TensorRT-RTX 1.7 serves."""

EXTRAS = {
    "torch": "export",
    "onnx": "export",
    "onnxscript": "export",
    "onnxruntime": "cpu",
    "pillow": "media",
    "jinja2": "media",
    "nuscenes-devkit": "nuscenes",
    "av": "video",
    "tensorrt": "tensorrt",
    "pycuda": "pycuda",
    "tensorrt_rtx": "rtx",
}
"""The extra that brings each library."""

EXPORTING = ("torch", "onnx", "onnxscript")
JETPACK = "sudo apt-get install tensorrt python3-libnvinfer"
SYSTEM_PACKAGES = "python3 -m venv --system-site-packages .venv, and install bevdeploy there"


@dataclass(frozen=True)
class Capability:
    """One job on this machine."""

    job: str
    possible: bool
    reason: str
    mend: str | None = None
    """What to install or where to go; None where nothing is missing."""


def capabilities(found: Installation) -> tuple[Capability, ...]:
    """All jobs, in the order in which a user comes to them."""
    return (
        _with_libraries("init", found, ("torch",)),
        _with_libraries("export", found, EXPORTING, runtime=True),
        _with_libraries("bench and run an ONNX file", found, (), runtime=True),
        _rtx_build(found),
        _tensorrt("build a TensorRT plan", found),
        _tensorrt("run a TensorRT plan", found, runs=True),
        _rtx_run(found),
        _plugin(found),
        _with_libraries("demo", found, (*EXPORTING, "pillow", "jinja2"), runtime=True),
        _with_libraries("run on video files", found, ("av", "pillow", "jinja2"), runtime=True),
        _with_libraries("run on nuScenes", found, ("nuscenes-devkit", "pillow", "jinja2"), runtime=True),
    )


def _with_libraries(job: str, found: Installation, names: tuple[str, ...], runtime: bool = False) -> Capability:
    if runtime and not found.has("onnxruntime-gpu"):
        names = (*names, "onnxruntime")
    missing = found.missing(*names)
    if missing:
        return Capability(job, False, _missing_text(found, missing), _install(found, missing))
    if runtime and found.has("onnxruntime", "onnxruntime-gpu"):
        return Capability(
            job,
            True,
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files",
            "pip uninstall onnxruntime onnxruntime-gpu, then install one of the extras cpu and gpu",
        )
    return Capability(job, True, "on the CPU")


def _rtx_build(found: Installation) -> Capability:
    job = "build a TensorRT-RTX plan"
    if found.jetson:
        return Capability(job, False, "TensorRT-RTX serves desktop cards, no Jetson", "build a TensorRT plan instead")
    missing = found.missing("tensorrt_rtx")
    if missing:
        return Capability(job, False, _missing_text(found, missing), _install(found, missing))
    return Capability(job, True, f"TensorRT-RTX {found.libraries['tensorrt_rtx']}; needs no GPU")


def _rtx_run(found: Installation) -> Capability:
    job = "run a TensorRT-RTX plan"
    if found.jetson:
        return Capability(job, False, "TensorRT-RTX serves desktop cards, no Jetson", "run a TensorRT plan instead")
    if found.gpu is None:
        return Capability(job, False, "no NVIDIA driver, or no GPU", "run it on a machine with an RTX card")
    if found.gpu.sm not in RTX_SMS:
        served = ", ".join(map(str, RTX_SMS))
        reason = f"{found.gpu.name} is compute capability {found.gpu.sm}; TensorRT-RTX serves {served}"
        return Capability(job, False, reason, "use TensorRT on this card")
    missing = found.missing("tensorrt_rtx", "pycuda")
    if missing:
        return Capability(job, False, _missing_text(found, missing), _install(found, missing))
    return Capability(job, True, f"on {found.gpu.name}")


def _tensorrt(job: str, found: Installation, runs: bool = False) -> Capability:
    version, system = found.libraries["tensorrt"], found.system_tensorrt
    if version is None:
        if system is not None:
            reason = f"TensorRT {system} is on the system, but this Python does not see it"
            return Capability(job, False, reason, f"sudo apt-get install python3-libnvinfer; {SYSTEM_PACKAGES}")
        return Capability(job, False, "no TensorRT", _install(found, ("tensorrt",)))
    if not found.has("tensorrt"):
        return Capability(job, False, _missing_text(found, ("tensorrt",)), _install(found, ("tensorrt",)))
    if version_numbers(version) < version_numbers(OLDEST_TENSORRT):
        mend = "move to JetPack 6.1 or later" if found.jetson else _install(found, ("tensorrt",))
        return Capability(job, False, f"TensorRT {version}; {OLDEST_TENSORRT} is the oldest supported", mend)
    if found.gpu is None:
        return Capability(
            job,
            False,
            f"TensorRT {version}, but no NVIDIA driver, or no GPU: kernels are measured where the plan will run",
            "go to the target; whether NVIDIA's parser takes a graph, TensorRT-RTX tells without a GPU",
        )
    if runs and not found.has("pycuda"):
        mend = f"{_install(found, ('pycuda',))}; it is compiled with the CUDA toolkit"
        return Capability(job, False, _missing_text(found, ("pycuda",)), mend)
    return Capability(job, True, f"TensorRT {version} on {found.gpu.name}, compute capability {found.gpu.sm}")


def _plugin(found: Installation) -> Capability:
    job = "compile the TensorRT plugin"
    tools = (("nvcc", found.nvcc), ("cmake", found.cmake), ("TensorRT headers", found.tensorrt_headers or None))
    missing = [name for name, there in tools if there is None]
    state = f"missing: {', '.join(missing)}" if missing else f"nvcc {found.nvcc}, cmake {found.cmake}"
    if not found.plugin_sources:
        return Capability(job, False, f"this version has no plugin sources ({state})", "take --pool native")
    if missing:
        mend = "sudo apt-get install nvidia-jetpack cmake" if found.jetson else "install the CUDA toolkit and TensorRT"
        return Capability(job, False, state, mend)
    return Capability(job, True, state)


def _missing_text(found: Installation, missing: tuple[str, ...]) -> str:
    broken = [
        f"{name} does not import ({found.import_errors[name]})" for name in missing if name in found.import_errors
    ]
    absent = [name for name in missing if name not in found.import_errors]
    return "; ".join([*broken, *([f"missing: {', '.join(absent)}"] if absent else [])])


def _install(found: Installation, missing: tuple[str, ...]) -> str:
    """The pip command, or what a Jetson wants instead."""
    if found.jetson and "tensorrt" in missing:
        return f"{JETPACK}; {SYSTEM_PACKAGES}"
    if found.jetson and "torch" in missing:
        return "export on another machine and copy the ONNX file with its contract"
    extras = ",".join(dict.fromkeys(EXTRAS[name] for name in missing))
    return f"pip install 'bevdeploy[{extras}]'"
