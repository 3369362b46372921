"""Send one e-mail that waits in Airlock's outbox: what the delivery process starts."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from airlock_airflow import SendMailOperator

MESSAGE = Param(
    type="string",
    pattern="^mail/[!-~]{1,190}$",
    title="Key of the message",
    description="The key under which the message waits, beginning with mail/. The delivery "
    "process starts these runs; start one yourself to send a message once more.",
)

with DAG(
    dag_id="airlock_mail",
    description="Alarms by e-mail, where Slack cannot be used",
    schedule=None,
    catchup=False,
    tags=["airlock", "platform"],
    doc_md="Needs the connection `smtp_default`. Sends what waits under the key, nothing else.",
    params={"message": MESSAGE},
    default_args={"owner": "airlock", "retries": 5, "retry_delay": timedelta(minutes=2)},
    is_paused_upon_creation=False,
):
    SendMailOperator(task_id="send", message="{{ params.message }}")
