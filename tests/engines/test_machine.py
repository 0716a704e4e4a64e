"""The machine's state from a made-up Orin, from nothing, and from tools that misbehave."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bevdeploy.engines import machine
from bevdeploy.engines.machine import machine_state, peak_memory_mib, warnings_of

RELEASE = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64"
FILES = {
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\n\nprocessor\t: 1\nmodel name\t: B\n",
    "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
    "proc/sys/kernel/osrelease": "5.15.148-tegra\n",
    "proc/loadavg": "0.52 0.58 0.59 1/467 12345\n",
    "proc/meminfo": "MemTotal:       64330752 kB\nMemFree:          100 kB\nMemAvailable:   32165376 kB\n",
    "proc/self/status": "Name:\tpython\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n",
    "etc/nv_tegra_release": RELEASE + "\n# KERNEL_VARIANT: oot\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "schedutil\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq": "115200\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_min_freq": "729600\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1000000\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "2000000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "2201600\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_max_freq": "<unsupported>\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "decoy\n",
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "3\n",
    "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": "4\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48500\n",
    "sys/class/thermal/thermal_zone10/type": "tj-thermal\n",
    "sys/class/thermal/thermal_zone10/temp": "51000\n",
    "sys/class/thermal/thermal_zone2/type": "gpu-thermal\n",
    "sys/class/thermal/thermal_zone3/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone3/temp": "49000\n",
}
TOOLS = {
    "nvpmodel": "NV Power Mode: MAXN\n0\n",
    "jetson_clocks": "SOC family:tegra234  Machine:Jetson AGX Orin\nOnline CPUs: 0-11\n",
    "dpkg-query": "6.2+b77",
}


@pytest.fixture
def orin(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def tool(command: Sequence[str]) -> str | None:
    return TOOLS.get(command[0])


def test_an_orin(orin: Path) -> None:
    state = machine_state(orin, tool)
    assert state.board == "NVIDIA Jetson AGX Orin Developer Kit"
    assert state.cpu == "ARMv8 Processor rev 1 (v8l)"
    assert state.kernel == "5.15.148-tegra"
    assert state.governors == ("schedutil",)
    assert (state.clock_min_mhz, state.clock_mhz, state.clock_max_mhz) == (115.2, 1500.0, 2201.6)
    assert state.throttles == 7
    assert state.load_1min == 0.52
    # zone 2 has no reading, as a GPU that is switched off; a second zone of one type keeps its own name
    assert state.temperatures_c == {"cpu-thermal": 48.5, "cpu-thermal (thermal_zone3)": 49.0, "tj-thermal": 51.0}
    assert (state.memory_total_mib, state.memory_available_mib) == (62823.0, 31411.5)
    assert state.jetson_release == RELEASE
    assert (state.power_mode, state.jetpack) == ("MAXN", "6.2+b77")
    assert state.jetson_clocks == ("SOC family:tegra234  Machine:Jetson AGX Orin", "Online CPUs: 0-11")
    assert set(state.versions) == {"bevdeploy", "numpy", "python"}
    json.dumps(state.document())


def test_nothing_readable_is_none_and_no_error(tmp_path: Path) -> None:
    state = machine_state(tmp_path / "nowhere", lambda command: None)
    known = {"architecture", "cores", "versions"}
    assert {key for key, value in state.document().items() if value is not None} == known
    assert state.cores >= 1


def test_this_machine() -> None:
    state = machine_state()
    assert state.cores >= 1
    assert json.loads(json.dumps(state.document()))["architecture"] == state.architecture


def script(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def test_tools_are_run_where_they_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orin: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    script(tools, "nvpmodel", '[ "$1" = -q ] && echo "NV Power Mode: MODE_30W" && echo 2')
    script(tools, "jetson_clocks", "echo 'Error: must be root' >&2; exit 1")
    script(tools, "dpkg-query", "while :; do :; done")
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(machine, "TOOL_SECONDS", 0.3)
    state = machine_state(orin)
    assert (state.power_mode, state.jetson_clocks, state.jetpack) == ("MODE_30W", None, None)


def test_warnings(orin: Path) -> None:
    state = replace(machine_state(orin, tool), cores=12)
    calm = replace(state, governors=("performance",))
    assert warnings_of(calm, calm) == ()
    (governor,) = warnings_of(state, state)
    assert "governor schedutil" in governor and "sudo jetson_clocks" in governor
    (desktop,) = warnings_of(replace(state, jetson_release=None), state)
    assert "cpupower" in desktop
    (load,) = warnings_of(replace(calm, load_1min=12.01), calm)
    assert "load average 12.01 on 12 cores" in load
    (throttled,) = warnings_of(calm, replace(calm, throttles=9))
    assert "throttling set in 2 times" in throttled
    (mode,) = warnings_of(calm, replace(calm, power_mode="15W"))
    assert "from MAXN to 15W" in mode


def test_peak_memory(orin: Path, tmp_path: Path) -> None:
    assert peak_memory_mib(orin) == 2.0
    fallback, here = peak_memory_mib(tmp_path / "nowhere"), peak_memory_mib()
    assert fallback is not None and fallback > 1
    assert here is not None and here > 1
