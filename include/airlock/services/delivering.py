"""Emptying the outbox: what the database decided reaches Airflow, at least once.

A message is claimed for a while, delivered outside any transaction, then settled; a process that
dies in between leaves it to be claimed again. Nothing here can undo a decision: a message that
stays undeliverable is given up with its error, and the park timeout of the waiting task still
brings the decision home.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from airlock.domain.errors import Refused, Unreachable
from airlock.domain.release import Release, State
from airlock.ports import Airflow, Message, Signer, Store
from airlock.services.deciding import settle

#: Give up after so many tries; with the pauses below that is about a day.
LAST_TRY = 300
LONGEST_PAUSE = 300.0
#: How often to ask again for something that is only not possible yet, in seconds.
NOT_YET = 1.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """Delivers messages; one method per kind says whether it is done.

    *guard_seconds*: a task is not woken sooner than this after it parked, because Airflow 3.3
    fails a task that is resumed while its parking process is still being reaped.
    """

    store: Store
    signer: Signer
    airflow: Airflow
    guard_seconds: float = 4.0

    def run(self) -> int:
        """Deliver what is due; return how many messages were settled for good."""
        with self.store.begin() as unit:
            messages = unit.claim()
            unit.commit()
        return sum(self._deliver(message) for message in messages)

    def _deliver(self, message: Message) -> int:
        error, retry_in = "", None
        try:
            if not self._handle(message):
                retry_in = NOT_YET
        except Unreachable as problem:
            error = problem.message
            if message.attempts < LAST_TRY:
                retry_in = min(0.5 * 2 ** min(message.attempts, 10), LONGEST_PAUSE)
        except Refused as problem:
            error = problem.message
        with self.store.begin() as unit:
            unit.settle(message, error=error, retry_in=retry_in)
            unit.commit()
        return int(retry_in is None)

    def _handle(self, message: Message) -> bool:
        release_id = message.payload["release"]
        if message.kind == "settle":
            settle(self.store, self.signer, release_id)
            return True
        return self._wake(release_id) if message.kind == "wake" else self._note(release_id)

    def _wake(self, release_id: str) -> bool:
        with self.store.begin() as unit:
            release, waiting, now = unit.get(release_id), unit.parked(release_id), unit.now()
        done = True
        for task in waiting:
            if release.state is State.AWAITING_APPROVAL and task.level >= release.level:
                continue
            young = now - task.parked_at < timedelta(seconds=self.guard_seconds)
            done = not young and self.airflow.wake(task, sentence(release)) and done
        return done

    def _note(self, release_id: str) -> bool:
        with self.store.begin() as unit:
            release = unit.get(release_id)
        dag_id, run_id = release.origin.split("/", 1)
        self.airflow.note(dag_id, run_id, sentence(release))
        return True


def sentence(release: Release) -> str:
    """Say in one line where a release is, for a run's note."""
    if release.state is State.AWAITING_APPROVAL:
        return f"{release.id} waits for approval at level {release.level}"
    if release.state is State.PROMOTED:
        return f"{release.id} promoted: version {release.subject.version}"
    refused = release.state in (State.REJECTED, State.BLOCKED)
    word = "refused" if refused else release.state.value.lower()
    return f"{release.id} {word}" + (f": {release.why}" if release.why else "")
