"""A DAG with the schedule of a pipeline that runs when its code is committed."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airlock.config.pipeline import Triggers
from airlock_airflow.pipeline import schedule

TRIGGERS = Triggers.model_validate({"cron": "0 0 1 1 *", "onCommit": True})

with DAG(
    dag_id="triggered", schedule=schedule("triggered", TRIGGERS), catchup=False, tags=["test"]
):
    EmptyOperator(task_id="nothing")
