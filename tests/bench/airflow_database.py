"""Airflow's own tables and log-ins for benchmarks that need them, without a running Airflow."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

from airlock_platform.databases.server import Server
from airlock_platform.secrets import provision_document
from tests.support import ROOT


def environment(folder: Path, server: Server) -> dict[str, str]:
    """Return what a process needs that works on Airflow's tables of *server*."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": f"{ROOT}/include:{ROOT}/plugins:{ROOT}",
        "AIRFLOW_HOME": f"{folder}/airflow",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": f"{folder}/dags",
        "AIRFLOW__CORE__PLUGINS_FOLDER": f"{folder}/plugins",
        "AIRFLOW__CORE__AUTH_MANAGER": (
            "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
        ),
        "AIRFLOW__CORE__FERNET_KEY": "",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(32),
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": server.url("airflow_app"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def provision(folder: Path, env: dict[str, str], password: str) -> None:
    """Make Airflow's tables as `airlock up` does, and lena, who leads, with a password."""
    lena = {"user": "lena", "name": "Lena Lead", "roles": ["algorithm_lead"], "password": password}
    document = provision_document([lena], secrets.token_urlsafe(24))
    document["output"] = str(folder / "service.json")
    file = folder / "provision.json"
    file.write_text(json.dumps(document))
    command = [sys.executable, "-m", "airlock_airflow.provision", str(file)]
    process = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True)
    if process.returncode:
        raise RuntimeError(f"Airflow's tables could not be made: {process.stderr[-2000:]}")
