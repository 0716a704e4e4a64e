"""A world while it is written: a hidden folder in its root that keeps finished parts, so that a killed run goes on.

`.world/plan.json` holds the options, `.world/parts/NAME.json` the document of each finished part. The tables are
written to `.world/tables` and renamed to `v1.0-mini` last: a root that has them is complete, and `world.json` beside
the tables says what it is.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bevdeploy.data.world.options import WORLD_FORMAT, WorldOptions, command_flags
from bevdeploy.data.world.recording import Part, files_of
from bevdeploy.errors import OutputError
from bevdeploy.paths import check_writable, write_text

WORK = ".world"
SUMMARY = "world.json"


def work_folder(root: Path) -> Path:
    """Where a root keeps what is not finished."""
    return root / WORK


def finished_summary(root: Path, options: WorldOptions) -> dict[str, Any] | None:
    """What `world.json` says of a complete world of these options; None where the root is new or half-finished.

    Raises:
        OutputError: the folder holds something else: another world, files of others, or half of another world.
    """
    summaries = sorted(root.glob(f"v1.0-*/{SUMMARY}")) if root.is_dir() else []
    for path in summaries:
        document = _document(path)
        identity = document.get("identity")
        if identity != options.identity():
            flags = command_flags(identity if isinstance(identity, dict) else {})
            raise OutputError(f"{root}: holds another synthetic world ({flags}); name another folder")
        return document
    if os.path.lexists(root) and not root.is_dir():
        raise OutputError(f"{root}: not a folder; name another one")
    plan = work_folder(root) / "plan.json"
    if plan.is_file():
        identity = _document(plan)
        if identity != options.identity():
            raise OutputError(
                f"{root}: half of another world is here, by {identity.get('made_by')}: go on with "
                f"{command_flags(identity)}, name another folder, or delete this one"
            )
        return None
    try:
        others = root.is_dir() and any(path.name != WORK for path in root.iterdir())
    except OSError as error:
        raise OutputError(f"{root}: cannot be listed ({error.strerror or error}); name another folder") from error
    if others:
        raise OutputError(f"{root}: holds files that are not of a synthetic world; name a new folder")
    return None


@contextmanager
def writing(root: Path, options: WorldOptions) -> Iterator[Path]:
    """The work folder, made where it is missing; one process at a time.

    Raises:
        OutputError: it cannot be written, or another process is writing this world.
    """
    work = work_folder(root)
    check_writable(work / "plan.json")
    try:
        (work / "parts").mkdir(parents=True, exist_ok=True)
        lock = (work / "lock").open("w")
    except OSError as error:
        raise OutputError(f"{root}: cannot be written ({error.strerror or error}); write elsewhere") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(f"{root}: another process is writing this world; wait for it") from error
        if not (work / "plan.json").is_file():
            write_text(work / "plan.json", json.dumps(options.identity(), indent=1) + "\n")
        yield work


def finished_part(root: Path, part: Part) -> dict[str, Any] | None:
    """The document of a part whose files are all there, whole; None where it, or a file of it, has to be recorded."""
    path = work_folder(root) / "parts" / f"{part.name}.json"
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        whole = all((root / file).stat().st_size == size for file, size in files_of(document).items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return document if whole else None


def keep_part(root: Path, part: Part, document: dict[str, Any]) -> None:
    """Store a part's document, once its files are written.

    Raises:
        OutputError: it cannot be written.
    """
    text = json.dumps(document, separators=(",", ":"))
    write_text(work_folder(root) / "parts" / f"{part.name}.json", text + "\n")


def complete(root: Path, options: WorldOptions, summary: dict[str, Any]) -> None:
    """Turn the work folder's tables into the root's.

    Raises:
        OutputError: the root cannot be written.
    """
    tables = work_folder(root) / "tables"
    document = {"format": WORLD_FORMAT, "identity": options.identity(), **summary}
    write_text(tables / SUMMARY, json.dumps(document, indent=1) + "\n")
    try:
        tables.rename(root / options.version)
    except OSError as error:
        raise OutputError(f"{root / options.version}: cannot be written ({error.strerror or error})") from error
    discard_work(root)


def discard_work(root: Path) -> None:
    """Remove the work folder of a complete world."""
    shutil.rmtree(work_folder(root), ignore_errors=True)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise OutputError(f"{path}: cannot be read ({error}); delete {path.parent.parent} or name another") from error
    if not isinstance(document, dict):
        raise OutputError(f"{path}: not written by bevdeploy; name another folder")
    return document
