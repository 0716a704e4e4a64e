"""The state of the machine around a measurement: a latency without clocks, power mode and load cannot be compared.

Everything is read from files and from tools that may be absent; what cannot be read is None.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import bevdeploy
from bevdeploy.runtime.onnx_runner import available_cores

TOOL_SECONDS = 5.0
"""Longest time a tool such as nvpmodel may take."""

Tool = Callable[[Sequence[str]], "str | None"]
"""Standard output of a command, or None where it is absent or fails."""


@dataclass(frozen=True)
class MachineState:
    """One snapshot."""

    board: str | None
    """Model of the board, from the device tree."""
    cpu: str | None
    architecture: str
    kernel: str | None
    cores: int
    """Cores this process may use."""
    governors: tuple[str, ...] | None
    """Distinct cpufreq governors of all cores."""
    clock_min_mhz: float | None
    """Lowest clock that cpufreq may set, over all cores."""
    clock_mhz: float | None
    """Present clock, mean of all cores."""
    clock_max_mhz: float | None
    """Highest clock that cpufreq may set, over all cores."""
    throttles: int | None
    """Thermal throttle events of all cores since boot."""
    load_1min: float | None
    """Runnable processes, mean of the last minute."""
    temperatures_c: dict[str, float] | None
    """Readable thermal zones."""
    memory_total_mib: float | None
    memory_available_mib: float | None
    jetson_release: str | None
    """First line of /etc/nv_tegra_release."""
    jetpack: str | None
    power_mode: str | None
    """Name as `nvpmodel -q` prints it."""
    jetson_clocks: tuple[str, ...] | None
    """Lines of `jetson_clocks --show`; it needs root on most releases."""
    versions: dict[str, str]

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return asdict(self)


def machine_state(root: Path = Path("/"), tool: Tool | None = None) -> MachineState:
    """The state now; `root` is where `proc`, `sys` and `etc` are looked up. Never fails."""
    run = tool or output_of
    cpus = root / "sys/devices/system/cpu"
    governors = sorted({text for path in _per_cpu(cpus, "cpufreq/scaling_governor") if (text := _text(path))})
    lowest = _numbers(_per_cpu(cpus, "cpufreq/scaling_min_freq"))
    present = _numbers(_per_cpu(cpus, "cpufreq/scaling_cur_freq"))
    highest = _numbers(_per_cpu(cpus, "cpufreq/scaling_max_freq"))
    throttles = _numbers(_per_cpu(cpus, "thermal_throttle/core_throttle_count"))
    load = _text(root / "proc/loadavg")
    release = _text(root / "etc/nv_tegra_release")
    clocks = run(("jetson_clocks", "--show"))
    jetpack = run(("dpkg-query", "--showformat=${Version}", "--show", "nvidia-jetpack"))
    return MachineState(
        board=_text(root / "proc/device-tree/model"),
        cpu=_match(r"(?m)^model name\s*:\s*(.+)$", _text(root / "proc/cpuinfo")),
        architecture=platform.machine(),
        kernel=_text(root / "proc/sys/kernel/osrelease"),
        cores=available_cores(),
        governors=tuple(governors) or None,
        clock_min_mhz=min(lowest) / 1e3 if lowest else None,  # cpufreq counts in kHz
        clock_mhz=sum(present) / len(present) / 1e3 if present else None,
        clock_max_mhz=max(highest) / 1e3 if highest else None,
        throttles=int(sum(throttles)) if throttles else None,
        load_1min=_float(_match(r"^(\S+)", load)),
        temperatures_c=_temperatures_c(root / "sys/class/thermal") or None,
        memory_total_mib=_memory_mib(root, "MemTotal"),
        memory_available_mib=_memory_mib(root, "MemAvailable"),
        jetson_release=release.splitlines()[0] if release else None,
        jetpack=jetpack.strip() or None if jetpack else None,
        power_mode=_match(r"(?m)^NV Power Mode:\s*(\S.*?)\s*$", run(("nvpmodel", "-q"))),
        jetson_clocks=tuple(clocks.splitlines()) or None if clocks else None,
        versions={"bevdeploy": bevdeploy.__version__, "numpy": np.__version__, "python": platform.python_version()},
    )


def warnings_of(before: MachineState, after: MachineState) -> tuple[str, ...]:
    """What in the two snapshots makes a latency hard to compare or to repeat."""
    found = []
    if before.governors is not None and before.governors != ("performance",):
        mend = "sudo jetson_clocks" if before.jetson_release else "sudo cpupower frequency-set -g performance"
        found.append(f"governor {', '.join(before.governors)}: clocks follow the load; for steady figures: {mend}")
    if before.load_1min is not None and before.load_1min > before.cores:
        found.append(
            f"load average {before.load_1min:.2f} on {before.cores} cores before the start: others were working"
        )
    if before.throttles is not None and after.throttles is not None and after.throttles > before.throttles:
        found.append(f"thermal throttling set in {after.throttles - before.throttles} times during the measurement")
    if before.power_mode != after.power_mode:
        found.append(f"the power mode went from {before.power_mode} to {after.power_mode} during the measurement")
    return tuple(found)


def peak_memory_mib(root: Path = Path("/")) -> float | None:
    """Largest resident memory of this process so far, MiB; None where it cannot be read.

    VmHWM is read before `getrusage`: the latter's maximum is inherited from the process that started this one.
    """
    high_water_kib = _float(_match(r"(?m)^VmHWM:\s+(\d+) kB", _text(root / "proc/self/status")))
    if high_water_kib is not None:
        return high_water_kib / 1024
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if platform.system() == "Darwin" else peak / 2**10  # bytes on macOS, KiB elsewhere


def output_of(command: Sequence[str], seconds: float = TOOL_SECONDS) -> str | None:
    """Standard output of a command; None where it is absent, fails or takes longer than `seconds`."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode(errors="replace").strip("\0 \n") or None  # device-tree texts end with NUL
    except OSError:
        return None


def _match(pattern: str, text: str | None) -> str | None:
    found = re.search(pattern, text or "")
    return found.group(1) if found else None


def _float(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _per_cpu(cpus: Path, name: str) -> list[Path]:
    return sorted(cpus.glob(f"cpu[0-9]*/{name}"))


def _numbers(paths: Sequence[Path]) -> list[float]:
    return [number for path in paths if (number := _float(_text(path))) is not None]


def _temperatures_c(zones: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for zone in sorted(zones.glob("thermal_zone[0-9]*"), key=lambda path: (len(path.name), path.name)):
        milli_c = _float(_text(zone / "temp"))
        name = _text(zone / "type") or zone.name
        if milli_c is not None:
            found[f"{name} ({zone.name})" if name in found else name] = milli_c / 1e3
    return found


def _memory_mib(root: Path, key: str) -> float | None:
    kib = _float(_match(rf"(?m)^{key}:\s+(\d+) kB", _text(root / "proc/meminfo")))
    return None if kib is None else kib / 1024
