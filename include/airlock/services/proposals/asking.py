"""What tasks ask of the delivery process, by its outbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airlock.domain.clock import stamp
from airlock.domain.digest import digest_bytes
from airlock.domain.errors import Refused
from airlock.domain.evidence.proposals import run_stream
from airlock.ports import Store
from airlock.services.proposals.handling import Claim, Finish, Sources
from airlock.services.registry import drift_log

#: The outbox's kind of a note on a run that has no release.
RUN_NOTE = "run-note"


def sweep(store: Store, _sources: Sources, _claim: Claim, finish: Finish) -> Mapping[str, Any]:
    """Have timers that are due fired, at most once a minute."""
    with store.begin() as unit:
        unit.post("sweep", f"timers/sweep/{stamp(unit.now())[:16]}", {})
        finish(unit, {})
    return {}


def detect(store: Store, _sources: Sources, claim: Claim, finish: Finish) -> Mapping[str, Any]:
    """Ask for a comparison of the registry; return the key of the question.

    With that key, return the open findings. Callers share a question that still waits.
    """
    with store.begin() as unit:
        if claim.body.optional("key", 60):
            return {"open": [str(finding["why"]) for finding in drift_log.opened(unit).values()]}
        now = stamp(unit.now())
        shared = f"detect/{now[:19]}"
        answer = {"key": f"detect/{now}" if unit.delivered([shared]) else shared}
        unit.post("detect", answer["key"], {})
        finish(unit, answer)
    return answer


def failure(store: Store, sources: Sources, claim: Claim, finish: Finish) -> Mapping[str, Any]:
    """Have it noted on a run why it failed; a run with a release has the release's own note.

    That something failed, and what, is Airflow's word; only the reason is the task's, and the note
    says whose it is, so that nobody can have a decision noted on somebody else's run.

    Raises:
        Refused: if Airflow knows of no task of the run that has failed.
    """
    record = claim.record
    failed = sources.runs.failed_tasks(record.dag_id, record.run_id)
    if not failed:
        raise Refused(
            f"no task of {claim.origin} has failed, as Airflow has it, so there is nothing to note",
            next_step="The log of the task says what it did.",
        )
    others = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
    why = f"Task {failed[0]}{others} failed. The run says why: {claim.body.text('why', 1_000)}"
    with store.begin() as unit:
        if unit.by_origin(claim.origin) is None:
            key = f"run-note/{run_stream(claim.origin)}/{digest_bytes(why.encode())[7:19]}"
            note = {"dagId": record.dag_id, "runId": record.run_id, "text": why}
            unit.post(RUN_NOTE, key, note)
        finish(unit, {})
    return {}
