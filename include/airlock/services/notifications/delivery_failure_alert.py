"""The second channel: what is said by e-mail when the chat takes nothing any more.

A message of kind `mail` is an ordinary one of the outbox: the delivery process has Airflow send it.
The same alarm is raised once an hour for each reason, and is in the log of the release whose
message met it. Nothing is lost meanwhile: what was to be said stays in the outbox.
"""

from __future__ import annotations

import logging

from airlock.domain.approval.release import Story
from airlock.domain.clock import stamp
from airlock.domain.people.actors import Actor
from airlock.ports import MAIL, Message, Store, UnitOfWork
from airlock.ports.chat import Closed

log = logging.getLogger("airlock.slack")


def closed(store: Store, message: Message, problem: Closed, to: str) -> bool:
    """Say that the chat takes nothing until somebody mends the set-up; say whether it was new.

    *to*: the addresses that are told by e-mail, if any.
    """
    with store.begin() as unit:
        release = unit.lock(str(message.payload["release"]))
        now = stamp(unit.now())
        once = f"chat-closed/{problem.code}/{now[:13]}"
        if unit.recall(once) is not None:
            return False
        unit.remember(once, problem.code, message.key)
        story = Story(release, Actor.system("delivery"), now, release.subject.policy_digest)
        data = {"kind": message.kind, "key": message.key, "attempts": message.attempts + 1}
        story.tell("DeliveryFailed", {**data, "code": problem.code, "kept": True}, why=str(problem))
        unit.record(story)
        send(unit, once, to, f"Airlock cannot speak in Slack: {problem.code}", _text(problem))
        unit.commit()
    log.error("%s %s %s", problem.message, problem.next_step, _recipient_sentence(to))
    return True


def send(unit: UnitOfWork, key: str, to: str, subject: str, text: str) -> None:
    """Put an e-mail into the outbox, once for each key; without an address there is none."""
    if to:
        unit.post(MAIL, f"mail/{key}", {"to": to, "subject": subject, "text": text})


def _text(problem: Closed) -> str:
    return (
        f"{problem.message}.\n\nWhat to do: {problem.next_step}\n\n"
        "Until then nobody sees releases in Slack, and nobody answers there. Nothing is lost: the "
        "page Releases in Airflow has everything, and what was to be said in Slack is said there "
        "as soon as Slack takes it.\n"
    )


def _recipient_sentence(to: str) -> str:
    if to:
        return f"Told by e-mail: {to}."
    return "AIRLOCK_ALERT_MAIL is not set, so nobody could be told."
