"""Who Airlock is at the guard: whom MLflow's own client would be, from its file as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from airlock.adapters.mlflow import guard_client

pytestmark = pytest.mark.unit


def test_the_login_of_mlflows_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert guard_client._login() is None
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_text(
        "[mlflow]\nmlflow_tracking_username = worker\nmlflow_tracking_password = secret\n"
    )
    assert guard_client._login() == ("worker", "secret")
