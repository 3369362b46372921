"""Every hour: is the model registry compared with what was released, and is it the same?"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airlock_airflow import DetectChangesOperator

with DAG(
    dag_id="airlock_detector",
    description="Changes in MLflow behind Airlock's back",
    schedule=timedelta(hours=1),
    catchup=False,
    max_active_runs=1,
    tags=["airlock", "platform"],
    doc_md="Asks the delivery process, which looks. Red: something is not as released, or nobody "
    "could look. `airlock detect list` names it.",
    default_args={"owner": "airlock"},
    is_paused_upon_creation=False,
):
    DetectChangesOperator(task_id="compare")
