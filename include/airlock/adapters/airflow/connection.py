"""A connection of Airflow, read by a child process, because Airlock itself knows no Airflow.

The child (`airlock_airflow.slack_connection`) answers through a pipe: secrets are never on a
command line, in a file or in a log. It gets this process's environment without Airlock's own part.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from airlock.domain.errors import Invalid, Unreachable

#: Importing Airflow alone takes seconds on a busy machine.
PATIENCE_S = 120.0
_MODULE = "airlock_airflow.slack_connection"


def read(connection: str, root: Path, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the Slack settings a connection holds.

    Raises:
        Invalid: if this process has nothing of Airflow's, or the connection is refused.
        Unreachable: if Airflow's database or the child did not answer.
    """
    environment = os.environ if environ is None else environ
    if not any(name.startswith("AIRFLOW_") for name in environment):
        raise Invalid(
            f"AIRLOCK_SLACK_CONNECTION names {connection!r}, but this process has none of "
            "Airflow's settings, so it cannot look there",
            next_step="Give it AIRFLOW_HOME and the AIRFLOW__* variables of Airflow's API server, "
            "or set AIRLOCK_SLACK_BOT_TOKEN and the others instead.",
        )
    answer = _ask(connection, root, environment)
    if "error" in answer:
        kind = Unreachable if answer["kind"] == "unreachable" else Invalid
        raise kind(answer["error"], next_step=answer["next_step"])
    return answer


def _ask(connection: str, root: Path, environment: Mapping[str, str]) -> dict[str, str]:
    child_environment = {
        name: value for name, value in environment.items() if not name.startswith("AIRLOCK_")
    }
    child_environment["PYTHONPATH"] = os.pathsep.join(
        (str(root / "include"), str(root / "plugins"))
    )
    try:
        completed = subprocess.run(
            [sys.executable, "-m", _MODULE, connection],
            cwd=root,
            env=child_environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE_S,
            check=False,
        )
        answer: dict[str, str] = json.loads(completed.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise Unreachable(
            f"the connection {connection!r} of Airflow could not be read "
            f"({type(error).__name__} instead of an answer)",
            next_step=f"Run `python -m {_MODULE} {connection} >/dev/null` in the same environment: "
            "it says why.",
        ) from None
    return answer
