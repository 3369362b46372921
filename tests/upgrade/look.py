"""What is looked at inside the environment of the newest versions, each in a process of its own.

`python -m tests.upgrade.look NAME` prints the problems as JSON, in its last line.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("airlock", "airlock_evidence", "airlock_mlflow", "airlock_airflow")


def imports() -> Iterator[str]:
    """Import every module of ours."""
    for package in PACKAGES:
        for name in sorted(_modules(package)):
            try:
                importlib.import_module(name)
            except Exception as error:  # whatever a newer library makes of it
                yield f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}"


def _modules(package: str) -> set[str]:
    found = importlib.import_module(package)
    inside = pkgutil.walk_packages(found.__path__, f"{package}.", onerror=lambda _: None)
    return {package, *(one.name for one in inside if not one.name.endswith("__main__"))}


def guard() -> Iterator[str]:
    """Ask the guard what of this MLflow nobody has classified."""
    from airlock_mlflow import boot

    yield from boot.unknown()


def tables() -> Iterator[str]:
    """Create MLflow's tables and the guard's."""
    from airlock_mlflow import schema

    with tempfile.TemporaryDirectory() as folder:
        schema.create(f"sqlite:///{folder}/mlflow.db")
    yield from ()


def dags() -> Iterator[str]:
    """Parse the DAG files."""
    from airflow.dag_processing.dagbag import DagBag

    found = DagBag(str(ROOT / "dags"))
    yield from (
        f"{file}: {text.strip().splitlines()[-1]}" for file, text in found.import_errors.items()
    )
    if not found.dags:
        yield "no DAG came of the files"


LOOKS: dict[str, Callable[[], Iterator[str]]] = {
    "imports": imports,
    "guard": guard,
    "tables": tables,
    "dags": dags,
}


def main(name: str) -> None:
    """Look at one thing and print its problems."""
    sys.path[:0] = [str(ROOT / "include"), str(ROOT / "plugins")]
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRLOCK_ROOT": str(ROOT),
            "AIRLOCK_CONFIG_DIR": str(ROOT / "include"),
            "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{home}/mlflow.db",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        try:
            problems = list(LOOKS[name]())
        except Exception as error:  # whatever a newer library makes of it
            said = str(error).strip().splitlines() or ["no word"]
            problems = [f"{type(error).__name__}: {said[0]}"]
    sys.stdout.write(f"\n{json.dumps(problems)}\n")


if __name__ == "__main__":
    main(sys.argv[1])
