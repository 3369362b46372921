"""A whole running platform, once per session, for the tests in this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.airflow.harness import RunningPlatform, running
from tests.support import ROOT, short_folder


@pytest.fixture(scope="session")
def platform() -> Iterator[RunningPlatform]:
    """Bring a second platform up as `airlock up` does, with the test DAGs beside ours."""
    with running(short_folder("up"), ROOT, Path(__file__).parent / "dags") as found:
        found.await_imports()
        yield found
