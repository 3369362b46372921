"""The frame of every child: read the request, do the work, write the result or the failure.

A child dies with its parent, and adopts its own orphans, so that nothing outlives the lab.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airlock.adapters.jobs.errors import CheckBroke, LabInterrupted
from airlock.domain.digest import canonical_json
from airlock.domain.errors import AirlockError

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def run(work: Callable[[dict[str, Any]], dict[str, Any]]) -> int:
    """Do *work* on argv's request file; an error of ours becomes a named failure."""
    request_file, result_file = Path(sys.argv[1]), Path(sys.argv[2])
    request = json.loads(request_file.read_text())
    _tie_to_parent(request["parent"])
    try:
        result = {"result": work(request)}
        body = canonical_json(result)
    except AirlockError as error:
        body = canonical_json(_failure(type(error).__name__, error.message, error.next_step))
    except Exception as error:
        traceback.print_exc()
        text = f"{request['stage']} of {request['name']} broke: {type(error).__name__}: {error}"
        # A disk or a memory that is full may have room the next time; the same rows stay the same.
        kind = LabInterrupted if isinstance(error, OSError | MemoryError) else CheckBroke
        body = canonical_json(_failure(kind.__name__, text[:2000], ""))
    temporary = result_file.with_suffix(".tmp")
    temporary.write_bytes(body)
    temporary.replace(result_file)
    return 0


def _failure(kind: str, message: str, next_step: str) -> dict[str, Any]:
    return {"failure": kind, "message": message, "nextStep": next_step}


def _tie_to_parent(parent: int) -> None:
    """Ask Linux to kill us when the parent dies, and to give us our orphans."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
