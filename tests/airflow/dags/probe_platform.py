"""A DAG for the platform's own tests: what a task can see and reach."""

from __future__ import annotations

import os

from airflow.sdk import dag, task


@dag(dag_id="probe-platform", schedule=None, catchup=False, tags=["test"])
def probe_platform() -> None:
    """Look around from inside a task."""

    @task
    def look() -> dict[str, str]:
        names = ("AIRLOCK_DATABASE_URL", "AIRLOCK_SIGNING_KEY", "MLFLOW_TRACKING_URI")
        return {name: os.environ.get(name, "") for name in names}

    @task
    def linger(seconds: str) -> None:
        import time

        time.sleep(float(seconds))

    look() >> linger(seconds="{{ dag_run.conf.get('seconds', 0) }}")


probe_platform()
