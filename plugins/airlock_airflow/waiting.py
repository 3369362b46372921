"""How a task waits for people: every internal of Airflow it takes, in this one module.

A task parks in `awaiting_input` by raising `TaskAwaitingInput`: no worker slot, no pool slot, no
triggerer. It has a row in Airflow's "Required Actions", assigned to Airlock's service account
alone, so that the row is an inbox entry and a door bell but never an answer. `airlock deliver`
rings; whoever rings, the woken task looks the answer up in Airlock's own database.

`TaskAwaitingInput` and `upsert_hitl_detail` can be imported but are not in Airflow's documented
interface. tests/airflow/test_waiting.py is the contract they are held to.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from uuid import UUID

#: The only option of a Required Action. It decides nothing.
DONE_OPTION = "Done"
#: A lost wake-up costs at most this long: then Airflow's scheduler wakes the task by itself.
PARK_FOR = timedelta(minutes=15)
SERVICE = "airlock-service"


def announce(ti_id: UUID, *, subject: str, body: str, service_user_id: str) -> None:
    """Write, or write again, the Required Action of a task; an old response is cleared."""
    from airflow.sdk.execution_time.hitl import upsert_hitl_detail

    upsert_hitl_detail(
        ti_id=ti_id,
        options=[DONE_OPTION],
        subject=subject,
        body=body,
        defaults=None,
        multiple=False,
        params={},
        assigned_users=[{"id": service_user_id, "name": SERVICE}],
    )


def park(method_name: str) -> NoReturn:
    """Leave the worker and wait; Airflow goes on with *method_name* of the same operator."""
    from airflow.sdk.exceptions import TaskAwaitingInput

    raise TaskAwaitingInput(method_name=method_name, timeout=PARK_FOR)
