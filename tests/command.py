"""Running the command `airlock` in this process, as `main()` runs it."""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass

from airlock.entrypoints.main import main


@dataclass
class Said:
    """What a command said."""

    code: int
    out: str
    err: str


def run_cli(*arguments: str) -> Said:
    """Run `airlock ARGUMENTS` in this process."""
    before, out, err = sys.argv, io.StringIO(), io.StringIO()
    sys.argv = ["airlock", *arguments]
    code = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    finally:
        sys.argv = before
    return Said(code, out.getvalue(), err.getvalue())
