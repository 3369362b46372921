"""The supervisor's program, which a full disk does not end.

The library writes a log line that cannot be written to standard error, and opens a new file when
one is full. Both can fail on a full disk, and either would end the supervisor and everything
with it, or close the output of a program for good. Here such a line is lost, and the file is opened
again as soon as that works.
"""

from __future__ import annotations

import contextlib
from typing import Any

from supervisor import loggers, supervisord


class PatientHandler(loggers.RotatingFileHandler):  # type: ignore[misc]  # it has no types
    """Writes what can be written."""

    stream: Any

    def emit(self, record: Any) -> None:
        """Write a line, or lose it."""
        with contextlib.suppress(OSError, ValueError):
            if self.stream.closed:
                self.stream = open(self.baseFilename, "ab")  # noqa: SIM115 - it stays open
                self.closed = False
            super().emit(record)

    def handleError(self) -> None:
        """Say nothing: there is nowhere to say it."""


def main() -> None:
    """Run `supervisord` with the arguments of this process."""
    loggers.RotatingFileHandler = PatientHandler
    loggers.FileHandler.handleError = PatientHandler.handleError
    supervisord.main()


if __name__ == "__main__":
    main()
