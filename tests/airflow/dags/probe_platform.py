"""A DAG for the platform's own tests: what a task can see and reach."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from airflow.sdk import dag, task


@dag(dag_id="probe-platform", schedule=None, catchup=False, tags=["test"])
def probe_platform() -> None:
    """Look around from inside a task."""

    @task
    def look() -> dict[str, str]:
        # Who it connects as, never the URL itself: what a task returns is written to its log.
        database = urlsplit(os.environ.get("AIRLOCK_DATABASE_URL", ""))
        names = ("AIRLOCK_SIGNING_KEY", "MLFLOW_TRACKING_URI")
        seen = {name: os.environ.get(name, "") for name in names}
        return seen | {"role": database.username or ""}

    @task
    def linger(seconds: str) -> None:
        import time

        time.sleep(float(seconds))

    look() >> linger(seconds="{{ dag_run.conf.get('seconds', 0) }}")


probe_platform()
