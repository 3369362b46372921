"""A process that reads for this one, over a connection of its own.

A new program and no fork: this process may have threads. What it has to know, the password in the
database's URL among it, goes through its standard input; the answer comes back as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import airlock


class Helper:
    """Runs `airlock.adapters.sql_store.log.parallel_reader_process`."""

    def __init__(self, request: bytes) -> None:
        """Start it; a machine that cannot is one more way to have no answer."""
        self._answer = b""
        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airlock.adapters.sql_store.log.parallel_reader_process"],
                env={**os.environ, **_ENVIRONMENT},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        self._talk = threading.Thread(target=self._listen, args=(request,), daemon=True)
        self._talk.start()

    @property
    def pid(self) -> int | None:
        """The process's id."""
        return self._process.pid if self._process else None

    def _listen(self, request: bytes) -> None:
        if self._process:
            with contextlib.suppress(OSError):
                self._answer = self._process.communicate(request)[0]

    def answer(self, patience_s: float) -> Mapping[str, Any] | None:
        """Wait for its answer; None if it has none or is not done in time."""
        self._talk.join(patience_s)
        if self._talk.is_alive() or self._process is None or self._process.returncode != 0:
            return None
        try:
            document = json.loads(self._answer)
        except ValueError:
            return None
        return document if isinstance(document, dict) else None

    def failed(self) -> bool:
        """Say whether it has ended without an answer."""
        return not self._talk.is_alive() and self.answer(0) is None

    def stop(self) -> None:
        """End it, done or not."""
        if self._process:
            self._process.kill()
        self._talk.join()


_ENVIRONMENT = {
    "PYTHONPATH": str(Path(airlock.__file__).resolve().parents[1]),
    "PYTHONSAFEPATH": "1",  # nothing from the folder it happens to be started in
}
