"""One guarded server for each pair of database and store, for all attacks together.

`make test` runs on PostgreSQL with a bucket, and on SQLite with a folder what depends on either. A
server takes longer to start than most files of tests. `make test-all` runs all on these two pairs,
which share nothing, and what is marked with `ON_ALL_PAIRS` on the other two, too. In several
processes, all tests of a pair run in one, so each server starts once.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airlock.adapters.sql_migrations import upgrade
from airlock_platform.databases.server import Server
from tests.attack.guard_kit import Site, guarded
from tests.attack.guard_server import empty_database, stock
from tests.attack.guard_sites import in_bucket, on_postgres, s3
from tests.contract.conftest import enrol_people
from tests.support import sample, short_folder

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of one server in one process."""
    for item in items:
        pair = getattr(item, "callspec", None) and item.callspec.params.get("site")  # type: ignore[attr-defined]
        if pair and HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group(f"guard-{pair}"))


@pytest.fixture(scope="session", params=sample(["postgres-s3", "sqlite-files"], 2))
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """Return each guarded server in turn."""
    database, store = request.param.split("-")
    folder = short_folder("guard")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        options: dict[str, Any] = {}
        if database == "postgres":
            server: Server = request.getfixturevalue("postgres")
            options |= on_postgres(server, "mlflow" if store == "s3" else "mlflow_files")
        if store == "s3":
            more = in_bucket(request.getfixturevalue("s3_server"), f"models-{database}")
            options |= more | {"extra": options.get("extra", {}) | more["extra"]}
        yield stack.enter_context(guarded(Path(folder), **options))


@pytest.fixture(scope="session")
def airlock_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate an Airlock of SQLite once, and enrol the people of `World`; it is copied."""
    path = tmp_path_factory.mktemp("airlock") / "airlock.db"
    upgrade(f"sqlite:///{path}")
    enrol_people(f"sqlite:///{path}")
    return path


@pytest.fixture
def airlock_url(airlock_file: Path, tmp_path: Path) -> str:
    """Return the URL of an Airlock of the test's own."""
    return f"sqlite:///{shutil.copy(airlock_file, tmp_path / 'airlock.db')}"


@pytest.fixture(scope="session")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run an MLflow without a guard; return its address."""
    folder = tmp_path_factory.mktemp("unguarded")
    shutil.copy(empty_database(), folder / "mlflow.db")
    with stock(folder, f"sqlite:///{folder}/mlflow.db") as address:
        yield address


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Run one server that speaks S3."""
    with s3() as address:
        yield address
