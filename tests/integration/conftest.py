"""Real models, made once for all tests of a session."""

from __future__ import annotations

import pytest

from tests.integration.real_models import Models


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Return saved models by name."""
    return Models(tmp_path_factory.mktemp("models"))
