"""One thread per model: OpenMP threads that wait for each other are slow on a busy machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Limit every native thread pool, so that the tests take seconds on two shared cores."""
    import sklearn.ensemble  # noqa: F401 - loads the pools that are to be limited

    with threadpool_limits(limits=1):
        yield
