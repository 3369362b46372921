"""People and how they reach us."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from airlock.domain.approval.rules import Holders

#: How the ids of actors begin who are no people.
SYSTEM = "system:"


class Channel(StrEnum):
    """Through which door an action came."""

    PAGE = "page"  #: the Releases page inside Airflow
    API = "api"  #: the REST API
    CLI = "cli"  #: the airlock command
    SLACK = "slack"  #: a button and a form in Slack
    DAG = "dag"  #: a task of a DAG run
    SYSTEM = "system"  #: Airlock itself


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who acts: `id` is the Airflow user name; `roles` are Airlock's, held directly."""

    id: str
    name: str
    roles: frozenset[str]
    channel: Channel
    #: Roles that decide, which Airflow gives and no enrolment confirms: they count for nothing.
    unconfirmed: frozenset[str] = frozenset()

    @property
    def holds(self) -> str:
        """The roles held in words, those that count for nothing marked."""
        waiting = (f"{role} (not enrolled)" for role in sorted(self.unconfirmed))
        return ", ".join([*sorted(self.roles), *waiting]) or "no role"

    @classmethod
    def system(cls, name: str, channel: Channel = Channel.SYSTEM) -> Actor:
        """Return an actor that is not a person; it holds no role and can never vote."""
        return cls(f"{SYSTEM}{name}", name, frozenset(), channel)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody Airlock knows, with the roles that count right now.

    *unconfirmed*: roles that decide, which Airflow gives and no active enrolment confirms;
    *enrolled*: whether an active enrolment confirms any role Airflow gives.
    """

    id: str
    name: str
    roles: frozenset[str]
    active: bool = True
    unconfirmed: frozenset[str] = frozenset()
    enrolled: bool = False

    @property
    def claimed(self) -> frozenset[str]:
        """Every role Airflow gives, whether it counts or not."""
        return self.roles | self.unconfirmed

    def same_account(self, other: Person | None) -> bool:
        """Say whether Airflow says the same of both: name, roles, and whether it is active."""
        return other is not None and (self.id, self.name, self.claimed, self.active) == (
            other.id,
            other.name,
            other.claimed,
            other.active,
        )

    def acting(self, channel: Channel) -> Actor:
        """Return the person as somebody who acts."""
        return Actor(self.id, self.name, self.roles, channel, self.unconfirmed)


def current(actor: Actor, people: tuple[Person, ...]) -> Actor:
    """Return an actor with the roles that count now; whoever is not active holds none."""
    person = next((p for p in people if p.id == actor.id and p.active), None)
    if person is None:
        return Actor(actor.id, actor.name, frozenset(), actor.channel)
    return Actor(actor.id, actor.name, person.roles, actor.channel, person.unconfirmed)


def holders(people: tuple[Person, ...]) -> Holders:
    """Return person -> roles that count, for everybody active whom an enrolment confirms.

    Whoever answers, for oneself or for somebody else, is one of these.
    """
    return {person.id: person.roles for person in people if person.active and person.enrolled}


def claims(people: tuple[Person, ...]) -> Holders:
    """Return person -> every role Airflow gives, for everybody active: to keep people out."""
    return {person.id: person.claimed for person in people if person.active}
