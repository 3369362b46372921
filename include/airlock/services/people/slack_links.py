"""Whose account in Slack is whose (the decider does this).

Rules:
* A person has one account and an account one person, as the database's indexes hold it. Nothing is
  ever guessed from a name or an e-mail address.
* Wrong codes are counted and right ones are taken while nobody else can do either, so sending many
  at once is no better than sending five.
* A link ends when its person or an administrator ends it, and with the person's right to use
  Airflow. It does not come back by itself.
* Linking, unlinking and every counted refusal are events in the stream `access`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from airlock.domain.clock import stamp
from airlock.domain.errors import Conflict, Forbidden, Refused
from airlock.domain.log.audit import Event
from airlock.domain.people.account_link import (
    ALPHABET,
    COMMAND,
    LENGTH,
    VALID,
    WINDOW,
    WrongCode,
    check_tries,
    code_digest,
    format_code,
)
from airlock.domain.people.actors import Actor, Channel, Person
from airlock.ports import Link, Store, UnitOfWork

STREAM = "access"
_END_FIRST = "End that link first, on the page Slack in Airflow or with `airlock user link-slack`."


@dataclass(frozen=True, slots=True)
class Offer:
    """A one-time code as it is shown, once, and until when it works."""

    code: str
    expires_at: str

    @property
    def command(self) -> str:
        """What its owner types in Slack."""
        return f"{COMMAND} {self.code}"


def offer(store: Store, actor: Actor) -> Offer:
    """Return a new code for *actor*; one shown before no longer works.

    Raises:
        Conflict: if the person has an account already.
        Forbidden: if this is nobody who may use Airflow.
    """
    code = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    with store.begin() as unit:
        _check_free(unit.link_of(actor.id))
        _active(unit, actor.id)
        expires_at = stamp(unit.now() + VALID)
        unit.put_code(actor.id, code_digest(code), expires_at)
        unit.commit()
    return Offer(format_code(code), expires_at)


def of(store: Store, person: str) -> Link | None:
    """Return the account of a person, if there is one."""
    with store.begin() as unit:
        return unit.link_of(person)


def redeem(store: Store, team: str, account: str, code: str) -> Link:
    """Link the account that typed *code* to the person it was shown to.

    Both ids are those of a signed message, *team* the organisation's if it has one.

    Raises:
        WrongCode: if the code is not taken; it does not say why.
        Conflict: if either side is linked already.
        Forbidden: if the person may not use Airflow any more.
    """
    digest = code_digest(code)
    with store.begin() as unit:
        if not digest or unit.code(digest) is None:
            raise _counted(unit, team, account, WrongCode())
        try:
            return _linked(unit, team, account, digest)
        except Refused as error:
            refusal = error
    with store.begin() as unit:  # what was begun is undone
        raise _counted(unit, team, account, refusal)


def _counted(unit: UnitOfWork, team: str, account: str, refusal: Refused) -> Refused:
    """Count a refused try and write it down, unless there were too many; return the refusal."""
    unit.hold(STREAM)
    _check_tries(unit, team, account)
    at = stamp(unit.now())
    data = {"team": team, "account": account, "rule": type(refusal).__name__, "triedAt": at}
    by, resource = Actor.system("slack", Channel.SLACK), f"slack/{team}/{account}"
    unit.put_try(team, account, at)
    unit.log(STREAM, Event.by(by, "SlackLinkRefused", resource, data, refusal.message))
    unit.commit()
    return refusal


def _check_tries(unit: UnitOfWork, team: str, account: str) -> None:
    since = stamp(unit.now() - WINDOW)
    check_tries(unit.tries(team, account, since), unit.tries(team, "", since))


def _linked(unit: UnitOfWork, team: str, account: str, digest: str) -> Link:
    now = stamp(unit.now())
    _check_free(unit.link(team, account))
    person_id = _owner(unit, digest, now)
    _check_free(unit.link_of(person_id))
    link = Link(team, account, person_id, now)
    unit.put_link(link)  # from here on nobody else changes this person; always before the log
    unit.hold(STREAM)
    _check_tries(unit, team, account)
    _owner(unit, digest, now)
    person = _active(unit, person_id)
    unit.end_code(person_id)
    by = person.acting(Channel.SLACK)
    unit.log(STREAM, _event("SlackLinked", link, by))
    unit.commit()
    return link


def _owner(unit: UnitOfWork, digest: str, now: str) -> str:
    """Return the owner of a code that is still valid."""
    code = unit.code(digest) if digest else None
    if code is None or code[1] <= now:
        raise WrongCode
    return code[0]


def _active(unit: UnitOfWork, person_id: str) -> Person:
    person = {person.id: person for person in unit.people()}.get(person_id)
    if person is None or not person.active:
        raise Forbidden(
            f"{person_id} may not use Airflow",
            next_step="Ask an administrator of Airflow.",
        )
    return person


def _check_free(link: Link | None) -> None:
    if link is not None:
        raise Conflict(
            f"{link.person} and the Slack account {link.account} are linked already",
            next_step=_END_FIRST,
        )


def end(store: Store, actor: Actor, person: str) -> bool:
    """End the link of *person* and forget an unused code; say whether there was a link.

    Whether *actor* may do that for somebody else is checked before.
    """
    with store.begin() as unit:
        ended = _ended(unit, person, actor, "")
        unit.commit()
        return ended


def lapse(unit: UnitOfWork, person: str) -> None:
    """End the link of somebody who may not use Airflow any more."""
    _ended(unit, person, Actor.system("airflow"), "the account in Airflow is not active any more")


def _ended(unit: UnitOfWork, person: str, by: Actor, why: str) -> bool:
    link = unit.link_of(person)
    unit.end_code(person)
    at = stamp(unit.now())
    if link is None or not unit.end_link(person, at):
        return False
    unit.log(STREAM, _event("SlackUnlinked", replace(link, ended_at=at), by, why))
    return True


def _event(event_type: str, link: Link, by: Actor, why: str = "") -> Event:
    data = {"person": link.person, "team": link.team, "account": link.account}
    data |= {"linkedAt": link.linked_at, "endedAt": link.ended_at or ""}
    return Event.by(by, event_type, f"user/{link.person}", data, why)
