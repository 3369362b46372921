"""Promote an approved release whose own run is over: what `airlock release promote` starts."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airlock_airflow import PromoteModelOperator

RELEASE = Param(
    type="string",
    pattern="^rel-[0-9a-f]{4,32}$",
    title="Release",
    description="The id of an approved release, such as rel-0123abcd. There is no promotion "
    "without one.",
)

with DAG(
    dag_id="airlock_promote",
    description="Promote one approved release",
    schedule=None,
    catchup=False,
    tags=["airlock", "platform"],
    doc_md="Give the id of an approved release. Without every vote it is refused.",
    params={"release": RELEASE},
    default_args={"owner": "airlock"},
    is_paused_upon_creation=False,
):
    PromoteModelOperator(task_id="promote", release="{{ params.release }}")
