"""A task that waits for a level of a release, to be woken when that is decided.

The release belongs to the run, or the task is one Airflow has. A wrong row could wake nobody but
the task it names, which then looks again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airlock.domain.errors import Refused
from airlock.ports import Parked, Store
from airlock.services.proposals.handling import Claim, Finish, Sources


def park(store: Store, sources: Sources, claim: Claim, finish: Finish) -> Mapping[str, Any]:
    """Remember a waiting task instance."""
    release_id, task = claim.body.text("release", 40), claim.body.text("task", 250)
    level = claim.body.number("level", 50)
    dag_id, run_id = claim.record.dag_id, claim.record.run_id
    with store.begin() as unit:
        own = unit.get(release_id).origin == claim.origin
    if not own and not sources.runs.has_task(dag_id, run_id, task):
        raise Refused(
            f"run {claim.origin} has no task {task} that could wait for {release_id}",
            next_step="Start a new run; if it repeats, see in Airflow whether its DAG was changed.",
        )
    with store.begin() as unit:
        unit.park(Parked(release_id, level, dag_id, run_id, task, unit.now()))
        finish(unit, {})
    return {}
