"""How long a release takes from its trigger to "awaiting approval", and what of that is Airflow.

Peer: the same steps as one plain script on the same platform (`plain_release`), turn by turn in
one run, after one warm-up of each.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any

from airlock_platform.components import worker_environment
from tests.airflow.harness import RunningPlatform, running
from tests.support import ROOT, short_folder

PIPELINE = "doctor-visits"
REPEATS = 3
GOAL = 2.5


def run() -> list[dict[str, Any]]:
    """Return one row."""
    with running(short_folder("bench"), ROOT) as platform:
        platform.await_imports()
        by_airflow(platform)
        by_script(platform, "warm-up")
        ours, peer = [], []
        for number in range(REPEATS):
            peer.append(by_script(platform, f"script-{number}"))
            ours.append(by_airflow(platform))
    our_time, peer_time = statistics.median(ours), statistics.median(peer)
    return [
        {
            "name": "trigger to awaiting approval (peer: the same steps as a plain script)",
            "unit": "s",
            "ours": round(our_time, 1),
            "peer": round(peer_time, 1),
            "ratio": round(our_time / peer_time, 2),
            "goal": f"ratio at most {GOAL:g}",
            "met": our_time / peer_time <= GOAL,
            "n": REPEATS,
        }
    ]


def by_airflow(platform: RunningPlatform) -> float:
    """Return the seconds from the trigger until level 1 waits, then withdraw the release."""
    airflow = platform.airflow
    begun = time.perf_counter()
    run_id = airflow.trigger(PIPELINE, user="ana")
    airflow.await_task(PIPELINE, run_id, "approval.level_1", "awaiting_input", 600)
    took = time.perf_counter() - begun
    withdraw(platform, str(airflow.xcom(PIPELINE, run_id, "request_release")["release"]))
    airflow.await_run(PIPELINE, run_id)
    return took


def by_script(platform: RunningPlatform, name: str) -> float:
    """Return the seconds the plain script takes, then withdraw its release."""
    worker = worker_environment(platform.platform.site())  # MLflow asks for a login as well
    environment = (
        platform.env
        | worker
        | {
            "AIRLOCK_DATABASE_URL": platform.url("airlock_decider"),
            "PYTHONPATH": f"{ROOT}/include:{ROOT}",
        }
    )
    command = [sys.executable, "-m", "tests.bench.plain_release", PIPELINE, name]
    begun = time.perf_counter()
    process = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    took = time.perf_counter() - begun
    if process.returncode:
        raise RuntimeError(f"the script failed: {process.stderr[-2000:]}")
    withdraw(platform, process.stdout.strip().splitlines()[-1])
    return took


def withdraw(platform: RunningPlatform, release: str) -> None:
    """Free the line for the next release, which has the same bytes: a no would be final."""
    path = f"/airlock/api/v1/releases/{release}/withdrawal"
    body = {"reason": "only measured, never to be released"}
    response = platform.airflow.as_user("ana").post(path, json=body)
    if response.is_error:
        raise RuntimeError(f"{release} cannot be withdrawn: {response.text[:500]}")
