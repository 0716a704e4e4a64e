"""The card of `doctor`: the machine, its libraries, its jobs, its parser."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bevdeploy.engines.doctor_report import DoctorReport
from bevdeploy.engines.installation import Installation

_MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("○", "yellow")}


def doctor_card(report: DoctorReport) -> RenderableType:
    """All of the report; a mark for yes, no and unknown stands in front of each line that is one."""
    return Group(
        _machine_table(report),
        Text(),
        _library_table(report.installation),
        Text(),
        _job_table(report),
        *_parser(report),
    )


def _machine_table(report: DoctorReport) -> Table:
    found = report.installation
    machine = found.machine
    table = _table("machine", "")
    gpu = "none, or no NVIDIA driver"
    if found.gpu is not None:
        gpu = f"{found.gpu.name}, compute capability {found.gpu.sm}, CUDA driver {found.gpu.cuda_version}"
    elif found.sm is not None:
        gpu = f"compute capability {found.sm} by the board's name; the driver did not answer"
    disk = "not readable" if found.free_disk_gib is None else f"{found.free_disk_gib:.1f} GiB free here"
    memory = machine.memory_total_mib
    rows = {
        "board": machine.board,
        "cpu": f"{machine.cpu or 'not readable'}, {machine.cores} cores, {found.architecture}",
        "memory": "not readable" if memory is None else f"{memory:.0f} MiB",
        "disk": disk,
        "GPU": gpu,
        "JetPack": f"{machine.jetpack or 'no nvidia-jetpack package'}; L4T {found.l4t}" if found.jetson else None,
        "power mode": machine.power_mode,
        "DLA": report.dla if found.sm is not None else None,
        "nvcc": found.nvcc,
        "cmake": found.cmake,
        "TensorRT of the system": found.system_tensorrt,
    }
    for name, value in rows.items():
        if value is not None:
            table.add_row(name, Text(value))
    return table


def _library_table(found: Installation) -> Table:
    table = _table("library", "version", "")
    table.add_row("python", found.python, "")
    for name, version in found.libraries.items():
        note = Text(found.import_errors.get(name, ""), "red")
        if name.startswith("onnxruntime") and version is not None and found.providers is not None:
            note = Text(f"providers: {', '.join(found.providers)}")
        table.add_row(name, Text(version) if version is not None else Text("-", "dim"), note)
    if not found.deep:
        table.add_row("", "", Text("installed versions; whether they import: --deep", "dim"))
    return table


def _job_table(report: DoctorReport) -> Table:
    table = _table("", "job", "why", "what to do")
    for job in report.jobs:
        table.add_row(_mark(job.possible), job.job, Text(job.reason), Text(job.mend or ""))
    return table


def _parser(report: DoctorReport) -> list[RenderableType]:
    if report.tensorrt is None:
        return []
    table = _table("", f"ONNX parser of TensorRT {report.tensorrt}", "since", "what export and build do")
    for feature in report.parser:
        table.add_row(_mark(feature.holds), feature.name, feature.since or "never", feature.consequence)
    return [Text(), table, Text("from NVIDIA's documents, not tried here", "dim")]


def _mark(possible: bool | None) -> Text:
    return Text(*_MARKS[possible])


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
