"""One approval and a task after it: a release's level, and beside it Airflow's own approval."""

from __future__ import annotations

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param

from airlock_airflow import ApprovalGateOperator

MANY = {"schedule": None, "catchup": False, "max_active_runs": 100, "tags": ["bench"]}


def nothing() -> None:
    """Be the task that runs next."""


with DAG(dag_id="airlock-then-next", params={"release": Param("", type="string")}, **MANY):
    level = ApprovalGateOperator(task_id="level_1", level=1, release="{{ params.release }}")
    level >> PythonOperator(task_id="next", python_callable=nothing)

with DAG(dag_id="native-then-next", **MANY):
    approval = ApprovalOperator(task_id="level_1", subject="Airflow's own approval")
    approval >> PythonOperator(task_id="next", python_callable=nothing)
