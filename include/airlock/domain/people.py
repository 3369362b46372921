"""People and how they reach us."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from airlock.domain.rules import Holders

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

    @classmethod
    def system(cls, name: str, channel: Channel = Channel.SYSTEM) -> Actor:
        """Return an actor that is not a person; it holds no role and can never vote."""
        return cls(f"{SYSTEM}{name}", name, frozenset(), channel)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody Airlock knows, with the roles held right now."""

    id: str
    name: str
    roles: frozenset[str]
    active: bool = True


def holders(people: tuple[Person, ...]) -> Holders:
    """Return person -> roles for everybody active."""
    return {person.id: person.roles for person in people if person.active}
