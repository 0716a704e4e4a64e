"""`results.jsonl`: the one file that grows while it is written, a whole line at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from bevdeploy.errors import OutputError
from bevdeploy.paths import check_writable


class ResultLines:
    """A file of JSON lines, replaced when the first line comes; each line is handed to the system in one piece.

    A run that is stopped leaves the lines of its finished frames. A disk that fills up costs the line that did not fit.
    SIGKILL inside the system call itself can leave a torn last line, one without its newline.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is written yet.

        Raises:
            OutputError: the place cannot be written.
        """
        check_writable(path)
        self.path = path
        self._file: int | None = None

    def __enter__(self) -> ResultLines:
        return self

    def append(self, document: Mapping[str, Any]) -> None:
        """Write one line.

        Raises:
            OutputError: the line cannot be written; the lines before it stand.
        """
        line = json.dumps(document).encode("utf-8") + b"\n"
        try:
            if self._file is None:
                self._file = _fresh_file(self.path)
            start = os.lseek(self._file, 0, os.SEEK_CUR)
            written = os.write(self._file, line)
            if written != len(line):
                os.ftruncate(self._file, start)
                raise OutputError(f"{self.path}: a line was not written (disk full?); the lines before it stand")
        except OSError as error:
            raise OutputError(
                f"{self.path}: a line was not written ({error.strerror or error}); the lines before it stand"
            ) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None and kind is None:  # a run without frames: an empty file instead of an older run's
            self._file = _fresh_file(self.path)
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _fresh_file(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); write elsewhere") from error
