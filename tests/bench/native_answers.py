"""Airflow's own approval answered twice at once: `python -m tests.bench.native_answers ROUNDS`.

In each round a parked task gets Approve from bob and Reject from carol, from two threads that
start together, through the function of Airflow's route, each in a session of its own. HTTP, login
and Airflow's access check are left out; locks, reads, writes and the commit are Airflow's own.
Prints, per round, who was told yes: `[[true, false], ...]`.
"""

from __future__ import annotations

import json
import sys
import threading
import uuid
from datetime import UTC, datetime
from typing import Any

ANSWERS = {"bob": "Approve", "carol": "Reject"}


def main(rounds: int) -> int:
    """Run, and print."""
    from airflow.utils.session import create_session

    with create_session() as session:
        for number in range(rounds):
            _park(session, f"run-{number}")
    sys.stdout.write(json.dumps(race(rounds)))
    return 0


def _park(session: Any, run_id: str) -> None:
    """Leave the rows of a task that waits for an answer."""
    from airflow.models.dagrun import DagRun
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance

    now, ti_id = datetime.now(UTC), uuid.uuid4()
    run = {"dag_id": "race", "run_id": run_id, "run_type": "manual", "state": "running"}
    session.execute(DagRun.__table__.insert().values(**run, run_after=now))
    place = {"dag_id": "race", "run_id": run_id, "task_id": "approve", "map_index": -1}
    parked = {"state": "awaiting_input", "try_number": 1, "pool": "default_pool", "pool_slots": 1}
    session.execute(
        TaskInstance.__table__.insert().values(
            id=ti_id, **place, **parked, next_method="execute_complete"
        )
    )
    session.execute(
        HITLDetail.__table__.insert().values(
            ti_id=ti_id, options=["Approve", "Reject"], subject="?", multiple=False, created_at=now
        )
    )


def race(rounds: int) -> list[list[bool]]:
    """Let both answer every round together; return who was told yes."""
    barrier = threading.Barrier(len(ANSWERS))
    results: dict[str, list[bool]] = {name: [] for name in ANSWERS}

    def act(name: str, option: str) -> None:
        for number in range(rounds):
            barrier.wait(60)
            results[name].append(_answer(f"run-{number}", name, option))

    threads = [threading.Thread(target=act, args=pair) for pair in ANSWERS.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [list(pair) for pair in zip(*results.values(), strict=True)]


class _User:
    """Somebody logged in, as far as the route asks."""

    def __init__(self, name: str) -> None:
        self._name = name

    def get_id(self) -> str:
        return self._name

    def get_name(self) -> str:
        return self._name


def _answer(run_id: str, name: str, option: str) -> bool:
    from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
    from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
    from airflow.utils.session import create_session
    from fastapi import HTTPException

    payload = UpdateHITLDetailPayload(chosen_options=[option])
    try:
        with create_session(scoped=False) as session:
            update_hitl_detail(
                dag_id="race",
                dag_run_id=run_id,
                task_id="approve",
                update_hitl_detail_payload=payload,
                user=_User(name),  # type: ignore[arg-type]
                session=session,
            )
    except HTTPException as error:
        if error.status_code != 409:
            raise
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
