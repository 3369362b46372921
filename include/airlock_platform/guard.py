"""Create MLflow's tables and its guard's, as the owner of MLflow's database.

The guard is a package of its own; it is run as a program and not imported here.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from airlock.domain.errors import Refused
from airlock_platform.components import PROTECTED
from airlock_platform.databases.server import Server

_ROLES = ("--app-role", "mlflow_app", "--guard-role", "airlock_guard")


def migrate(
    server: Server, python: Path, include: Path, protected: str, environment: Mapping[str, str]
) -> None:
    """Bring the tables up to date; safe to repeat.

    Raises:
        Refused: with the end of the program's output.
    """
    child_environment = {
        **environment,
        "MLFLOW_BACKEND_STORE_URI": server.url("mlflow_owner"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONPATH": os.pathsep.join(
            part for part in (str(include), os.environ.get("PYTHONPATH", "")) if part
        ),
    }
    completed = subprocess.run(
        [python, "-m", "airlock_mlflow.schema", *_ROLES],
        env=child_environment | ({PROTECTED: protected} if protected else {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode:
        output = "\n".join(f"    {line[:300]}" for line in completed.stderr.splitlines()[-12:])
        raise Refused(
            f"MLflow's tables or its guard's could not be created. It said:\n{output}",
            next_step="Mend the cause, then run `airlock up` again.",
        )
