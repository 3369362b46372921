"""Every hour: have the timers swept that are due, and say so if nobody does."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airlock_airflow import SweepTimersOperator

with DAG(
    dag_id="airlock_timers",
    description="Reminders, escalation and expiry of open releases",
    schedule=timedelta(hours=1),
    catchup=False,
    max_active_runs=1,
    tags=["airlock", "platform"],
    doc_md="Asks the deciding process for a sweep. Red: timers are due and nobody fires them.",
    default_args={"owner": "airlock"},
    is_paused_upon_creation=False,
):
    SweepTimersOperator(task_id="sweep")
