"""Emptying the outbox: what the database decided reaches Airflow, at least once.

A message is claimed for a while, delivered outside any transaction, then settled; a process that
dies in between leaves it to be claimed again. Nothing here can undo a decision: a message that
stays undeliverable, or cannot be read at all, is given up with its error, which is in the release's
log then, and the park timeout of the waiting task still brings the decision home. No message keeps
another from its way.

What a notice says, and whom it is for, is settled when it is delivered, with the rights of then: a
level that waits is said aloud to those who may answer it. From the second authority on it depends
on the tier: where levels follow, the next one hears of it too, and always the requester.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airlock.domain.approval.release import Release, State, Story
from airlock.domain.approval.rules import Holders
from airlock.domain.approval.timers import Kind
from airlock.domain.approval.voting import may_answer
from airlock.domain.clock import spelled, stamp
from airlock.domain.digest import is_digest
from airlock.domain.errors import Refused, Unreachable
from airlock.domain.people.actors import Actor, holders
from airlock.domain.promotion.promotion import Underway
from airlock.ports import MAIL, Airflow, Message, Parked, Signer, Store, UnitOfWork
from airlock.services.approvals import deadlines, reassignment
from airlock.services.approvals.decide import settle
from airlock.services.approvals.invalidation import void
from airlock.services.approvals.requirements import plan_of
from airlock.services.people.accounts import NOTICE
from airlock.services.proposals.asking import RUN_NOTE

log = logging.getLogger("airlock.deliver")

#: Give up after so many tries; with the pauses below that is about a day.
LAST_TRY = 300
LONGEST_PAUSE = 300.0
#: The DAG of ours that sends an e-mail.
MAIL_DAG = "airlock_mail"
#: How often to ask again for something that is only not possible yet, in seconds.
NOT_YET = 1.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """Delivers messages; one method per kind says whether it is done.

    *guard_seconds*: a task is not woken sooner than this after it parked, because Airflow 3.3
    fails a task that is resumed while its parking process is still being reaped.
    *looked*: says no more than whether the model registry was compared a moment ago; raises if not.
    *chat*: whether there is a chat; its messages are its own process's (`airlock slack`).
    *alert_mail*: who hears by e-mail that nobody could be told of an open level.
    """

    store: Store
    signer: Signer
    airflow: Airflow
    guard_seconds: float = 4.0
    looked: Callable[[], None] | None = None
    chat: bool = False
    alert_mail: str = ""

    def run(self) -> int:
        """Deliver what is due; return how many messages were settled for good."""
        if not self.chat:
            self._leave_unsaid()
        with self.store.begin() as unit:
            claimed = unit.claim()
            unit.commit()
        # A task that waits comes before what is only said.
        messages = sorted(claimed, key=lambda message: message.kind != "wake")
        return sum(self._deliver(message) for message in messages)

    def _leave_unsaid(self) -> None:
        """Settle what would have been said in a chat; it does not count as told."""
        with self.store.begin() as unit:
            for message in unit.claim(200, chat=True):
                unit.settle(message, error="there is no chat")
            unit.commit()

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
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            error = f"set aside: its content cannot be handled: {problem!r}"
        with self.store.begin() as unit:
            if error and retry_in is None:
                report(unit, message, error)
            unit.settle(message, error=error, retry_in=retry_in)
            unit.commit()
        return int(retry_in is None)

    def _handle(self, message: Message) -> bool:
        if message.kind == "sweep":
            deadlines.sweep(self.store, seconds=deadlines.ROUND_S)
            return True
        if message.kind == "duties":
            reassignment.notify(self.store)
            return True
        if message.kind == RUN_NOTE:
            about = message.payload
            self.airflow.note(str(about["dagId"]), str(about["runId"]), str(about["text"]))
            return True
        if message.kind == NOTICE:
            self._mail_notice(message)
            return True
        if message.kind in (MAIL, "detect"):
            return self._mail(message) if message.kind == MAIL else self._detect()
        return self._about(message.payload["release"], message)

    def _about(self, release_id: str, message: Message) -> bool:
        if message.kind == "permit":
            return True  # from before ADR 0040: a permit is written when its grant is made
        if message.kind == "settle":
            settle(self.store, self.signer, release_id)
            return True
        if message.kind == "void":
            return self._void(release_id, message)
        if message.kind == "wake":
            return self._wake(release_id)
        return self._note(release_id, message)

    def _detect(self) -> bool:
        """Answer who asks whether anybody looks; without an answer the question stays open."""
        if self.looked is None:
            raise Refused("this delivery process does not look at the model registry")
        try:
            self.looked()
        except Unreachable as error:
            raise Refused(error.message) from error  # asked anew in a minute, not repeated
        return True

    def _void(self, release_id: str, message: Message) -> bool:
        """Void what was approved: a promotion found other bytes than those in the subject."""
        digest, why = str(message.payload["artifact"]), str(message.payload["why"])
        if not is_digest(digest):
            raise Refused(f"{digest!r} is no digest")
        actor = Actor.system("decider")
        try:
            void(self.store, release_id, actor, why, artifact_digest=digest)
        except Underway:
            return False  # its promotion comes first, and lasts two minutes at most
        return True

    def _wake(self, release_id: str) -> bool:
        with self.store.begin() as unit:
            release, waiting, now = unit.get(release_id), unit.parked(release_id), unit.now()
        complete = True
        for task in waiting:
            if release.state is State.AWAITING_APPROVAL and task.level >= release.level:
                continue
            young = now - task.parked_at < timedelta(seconds=self.guard_seconds)
            awake = not young and self.airflow.wake(task, spelled(sentence(release)))
            if awake:
                self._forget(task)
            complete = awake and complete
        return complete

    def _forget(self, task: Parked) -> None:
        """Forget a task that waits no more, unless it has parked again meanwhile."""
        with self.store.begin() as unit:
            if task in unit.parked(task.release):
                unit.unpark(task.dag_id, task.run_id, task.task_id)
                unit.commit()

    def _mail(self, message: Message) -> bool:
        """Have Airflow send an e-mail; its task reads what the e-mail says from the outbox."""
        self.airflow.start(MAIL_DAG, message.key.replace("/", "."), {"message": message.key})
        return True

    def _note(self, release_id: str, message: Message) -> bool:
        with self.store.begin() as unit:
            release = unit.get(release_id)
            text = sentence(release)
            if message.kind == "notify":
                text = _notice_text(unit, release, message.payload) or text
                self._mail_too(unit, message, text)
        dag_id, run_id = release.origin.split("/", 1)
        self.airflow.note(dag_id, run_id, spelled(text))
        return True

    def _mail_notice(self, message: Message) -> None:
        """Tell whoever answers for the platform of a change among people, if there is such."""
        if not self.alert_mail:
            return
        subject = "Airlock: an account of an approver has changed"
        mail = {"to": self.alert_mail, "subject": subject, "text": str(message.payload["text"])}
        with self.store.begin() as unit:
            unit.post(MAIL, f"mail/{message.key}", mail)
            unit.commit()

    def _mail_too(self, unit: UnitOfWork, message: Message, text: str) -> None:
        if message.payload.get("about") == Kind.DELIVERY and self.alert_mail:
            subject = "Airlock: nobody could be told that a release waits"
            mail = {"to": self.alert_mail, "subject": subject, "text": text}
            unit.post(MAIL, f"mail/{message.key}", mail)
            unit.commit()


def report(unit: UnitOfWork, message: Message, error: str) -> None:
    """Write into the release's log that something will never be delivered, and why.

    Where there is no such release, or its row is damaged, the process's own log alone has it.
    """
    log.error("%s is given up: %s", message.key, error)
    try:
        release = unit.lock(str(message.payload.get("release", "")))
    except Refused:
        return
    actor = Actor.system("delivery")
    story = Story(release, actor, stamp(unit.now()), release.subject.policy_digest)
    data = {"kind": message.kind, "key": message.key, "attempts": message.attempts + 1}
    story.tell("DeliveryFailed", data, why=error)
    unit.record(story)


def sentence(release: Release) -> str:
    """Say in one line where a release is, for a run's note."""
    if release.state is State.AWAITING_APPROVAL:
        return f"{release.id} waits for approval at level {release.level}"
    if release.state is State.PROMOTING:
        return f"{release.id} is being promoted"
    if release.state is State.PROMOTED:
        return f"{release.id} promoted: version {release.subject.version}"
    refused = release.state in (State.REJECTED, State.BLOCKED)
    word = "refused" if refused else release.state.value.lower()
    return f"{release.id} {word}" + (f": {release.why}" if release.why else "")


def _notice_text(unit: UnitOfWork, release: Release, about: Mapping[str, Any]) -> str:
    """Return the sentence of a notice, or nothing if the release has moved on since."""
    if "text" in about:  # said in full when it was posted
        return str(about["text"])
    if release.state is not State.AWAITING_APPROVAL or release.level != about.get("level"):
        return ""
    plan = plan_of(unit, release)
    able = holders(unit.people())
    approvers = ", ".join(may_answer(release, plan, able)) or "nobody who is active"
    level = plan.levels[release.level - 1]
    status = (
        "could not be told to anybody in time"
        if about["about"] == "delivery"
        else f"still waits, opened {release.level_opened_at}"
    )
    informed = ", ".join(_informed(release, plan.levels, able))
    return (
        f"{release.id}: level {release.level} ({level.name}) {status}. May answer: {approvers}. "
        f"Informed: {informed}."
    )


def _informed(release: Release, levels: tuple[Any, ...], able: Holders) -> list[str]:
    """Return the requester and whoever could answer at the next level."""
    following = levels[release.level].rules if release.level < len(levels) else ()
    authority = {
        person
        for person, roles in able.items()
        if any(rule.fits(person, roles) for rule in following)
    }
    return [release.requester, *sorted(authority - {release.requester})]
