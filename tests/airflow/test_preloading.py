"""Tasks and parsers are forked from processes with Airlock imported; nobody else pays for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support import ROOT

_TELL = """
import json, sys
sys.argv = ["airflow", *json.loads(sys.argv[1])]
import airflow_local_settings
loaded = [name for name in ("airlock.bootstrap", "airflow") if name in sys.modules]
print(json.dumps([sorted(loaded), airflow_local_settings.__all__]))
"""


@pytest.mark.parametrize(
    ("arguments", "loaded"),
    [
        (["scheduler", "--skip-serve-logs"], ["airlock.bootstrap"]),
        (["celery", "worker", "--queues", "airlock"], ["airlock.bootstrap"]),
        (["celery", "flower"], []),
        (["dag-processor"], ["airlock.bootstrap"]),
        (["triggerer"], []),
        (["api-server"], []),
        ([], []),
    ],
)
def test_only_a_process_that_forks_imports_airlock_early(
    arguments: list[str], loaded: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _TELL, json.dumps(arguments)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}/include:{ROOT}/plugins"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [loaded, ["task_policy"]]
