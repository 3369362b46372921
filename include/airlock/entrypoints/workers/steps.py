"""The steps of a worker's round: each by itself, so that none stops another.

Rules:
* A step that fails, whatever with, is said once, tried again after a growing pause, and costs the
  other steps nothing.
* When each step last ended well, and what it last failed with, is written to a file for
  `airlock status`; that it cannot be written (a full disk) stops nothing.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airlock.domain.clock import stamp
from airlock.domain.errors import AirlockError

log = logging.getLogger("airlock.work")

#: Seconds between two tries of a step that fails, at first and at most.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
#: Seconds between two writings of the file, unless something changed.
_WRITE_EVERY_S = 10.0


@dataclass
class Step:
    """One thing a round does. *act* is called with nothing; what it returns is not looked at.

    *notes*: what has to be known of it beside whether it works, in sentences.
    """

    name: str
    act: Callable[[], object]
    notes: Callable[[], Sequence[str]] = tuple
    error: str = ""
    succeeded_at: str = ""
    _pause: float = 0.0
    _not_before: float = 0.0

    def run(self, logged: Collection[str] = ()) -> bool:
        """Do it if it is time; say whether it was done. Raises nothing.

        *logged*: the errors of other steps, which are in the log already.
        """
        if time.monotonic() < self._not_before:
            return False
        try:
            self.act()
        except Exception as error:
            self._failed(error, logged)
            return False
        if self.error:
            log.info("it works again: %s", self.name)
        self.error, self._pause, self._not_before = "", 0.0, 0.0
        self.succeeded_at = stamp(datetime.now(UTC))
        return True

    def _failed(self, error: Exception, logged: Collection[str]) -> None:
        self._pause = min(max(FIRST_PAUSE_S, self._pause * 2), LONGEST_PAUSE_S)
        self._not_before = time.monotonic() + self._pause
        message = error.message if isinstance(error, AirlockError) else repr(error)
        if message == self.error or message in logged:
            self.error = message
            return
        self.error = message
        if isinstance(error, AirlockError):
            log.warning("%s %s", message, error.next_step)
        else:
            log.error("to %s broke", self.name, exc_info=error)


@dataclass
class Round:
    """The steps of one worker, in order. *file*: where `airlock status` reads how they fare."""

    steps: Sequence[Step]
    file: Path | None = None
    _written: Mapping[str, Any] = field(default_factory=dict)
    _write_at: float = 0.0

    def run(self) -> int:
        """Run every step; return how many were done."""
        count = sum(step.run({step.error for step in self.steps}) for step in self.steps)
        with contextlib.suppress(OSError):
            self._write()
        return count

    def forget(self) -> None:
        """Remove the file: a process that ended as asked is late with nothing."""
        if self.file is not None:
            with contextlib.suppress(OSError):
                self.file.unlink(missing_ok=True)

    def _write(self) -> None:
        states = {step.name: (step.error, tuple(step.notes())) for step in self.steps}
        if self.file is None or (states == self._written and time.monotonic() < self._write_at):
            return
        rows = [
            {
                "name": step.name,
                "succeededAt": step.succeeded_at,
                "error": step.error,
                "notes": list(states[step.name][1]),
            }
            for step in self.steps
        ]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.file.with_suffix(".new")
        fresh.write_text(json.dumps({"at": stamp(datetime.now(UTC)), "steps": rows}))
        os.replace(fresh, self.file)
        self._written, self._write_at = states, time.monotonic() + _WRITE_EVERY_S
