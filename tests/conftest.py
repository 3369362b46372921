"""What every test gets: a clean environment, a marker from its folder, a real PostgreSQL.

* AIRLOCK_* and the like are removed from the environment before anything reads it, so that a
  developer's own settings never decide a test.
* Airflow, where a test imports it, sees this repository and an empty home of its own.
* A test is marked by the folder it lives in, so `pytest -m unit` needs no care by hand.
"""

from __future__ import annotations

import atexit
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine.default import DefaultDialect

from airlock_platform.databases.postgres import ephemeral_postgres
from airlock_platform.databases.server import Server
from tests.support import ROOT, short_folder

MARKERS = {
    "unit": "unit",
    "models": "unit",
    "contract": "contract",
    "attack": "attack",
    "integration": "integration",
    "bench": "integration",
    "airflow": "airflow",
    "e2e": "airflow",
    "slack": "slack",
}
_OURS = ("AIRLOCK_", "AIRFLOW_", "MLFLOW_")


def _clean_environment() -> None:
    for name in [name for name in os.environ if name.startswith(_OURS)]:
        del os.environ[name]
    home = short_folder("home")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GX_ANALYTICS_ENABLED": "False",
    }
    # Not in pyproject.toml: the environment of `make up` has pytest, and not this plugin of it.
    os.environ.setdefault("PYTEST_TIMEOUT", "600")


_clean_environment()


def pytest_configure(config: pytest.Config) -> None:
    """Import skops before all else: it looks through every module that is loaded by then."""
    if config.option.markexpr != "unit":
        import skops.io  # noqa: F401


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --update-goldens."""
    parser.addoption(
        "--update-goldens",
        action="store_true",
        help="Write tests/goldens anew instead of comparing with it.",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its folder."""
    for item in items:
        parts = item.path.relative_to(ROOT / "tests").parts
        if parts[0] not in MARKERS:
            raise pytest.UsageError(f"{item.path}: put it into one of {', '.join(MARKERS)}")
        item.add_marker(MARKERS[parts[0]])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep what shares a server in one process: a folder with a platform, else a file."""
    from xdist.scheduler import LoadScopeScheduling

    class ByServer(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            folder = file.split("/")[1]
            return folder if folder in ("airflow", "attack") else file

    return ByServer(config, log)


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """Let all engines share the statements SQLAlchemy has compiled, as two connections of one do.

    Each test has databases and engines of its own; compiling anew was a third of its time.
    """
    cache: dict[Any, Any] = {}
    begin = Engine.__init__

    def begin_with_cache(engine: Engine, *arguments: Any, **options: Any) -> None:
        begin(engine, *arguments, **options)
        engine._compiled_cache = cache

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "__init__", begin_with_cache)
        patch.setattr(DefaultDialect, "__hash__", lambda dialect: hash(type(dialect)))
        patch.setattr(DefaultDialect, "__eq__", lambda left, right: type(left) is type(right))
        yield


@pytest.fixture(scope="session")
def update_goldens(request: pytest.FixtureRequest) -> bool:
    """Return whether golden files are to be written anew."""
    return bool(request.config.getoption("--update-goldens"))


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Run a real PostgreSQL with our databases and roles; `.url(role)` says how to reach it.

    The database `airlock` is empty: migrate it with the URL of `airlock_owner`.
    """
    folder = short_folder("pg", hasty=True)  # a new database takes 15 ms there, and 300 on a disk
    try:
        with ephemeral_postgres(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)
