"""Light DAGs that wait: for a release opened beforehand, and beside it Airflow's own approval."""

from __future__ import annotations

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param

from airlock_airflow import ApprovalGateOperator, PromoteModelOperator

RELEASE = Param("", type="string")
MANY = {"schedule": None, "catchup": False, "max_active_runs": 100, "tags": ["test"]}

with DAG(dag_id="wait-for-level", params={"release": RELEASE}, **MANY):
    ApprovalGateOperator(task_id="level_1", level=1, release="{{ params.release }}")

with DAG(dag_id="wait-in-one-slot", params={"release": RELEASE}, **MANY):
    ApprovalGateOperator(
        task_id="level_1", level=1, release="{{ params.release }}", pool="one-slot"
    )

with DAG(dag_id="wait-then-promote", params={"release": RELEASE}, **MANY):
    (
        ApprovalGateOperator(task_id="level_1", level=1, release="{{ params.release }}")
        >> ApprovalGateOperator(task_id="level_2", level=2, release="{{ params.release }}")
        >> PromoteModelOperator(task_id="promote", release="{{ params.release }}")
    )

with DAG(dag_id="native-approval", **MANY):
    ApprovalOperator(task_id="level_1", subject="Airflow's own approval")
