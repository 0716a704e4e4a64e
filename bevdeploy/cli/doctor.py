"""`bevdeploy doctor`: what this machine can do, and what to install for the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    deep: Annotated[
        bool, typer.Option("--deep", help="Import each library in a process of its own: slower, and sees broken ones.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")] = None,
) -> None:
    """Say what this machine has, which jobs it can do, what to install for the others, and what its TensorRT parses.

    Exit code 0 whatever is missing.
    """
    from bevdeploy.cli.console import say, spinner, write_report
    from bevdeploy.jobs.doctor import doctor as looked
    from bevdeploy.report.doctor_card import doctor_card

    with spinner("looking"):
        report = looked(deep=deep)
    say(doctor_card(report))
    write_report(json_file, report)
