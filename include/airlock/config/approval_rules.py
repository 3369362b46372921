"""Rules and levels of an ApprovalPolicy as they are written: simple ones, and composed ones.

A rule is exactly one of: so many holders of a role, so many of the people named, all of some
rules, any of some rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Annotated

from pydantic import Field, model_validator

from airlock.config.access import VOTE, Role
from airlock.config.problems import Place
from airlock.config.schemas import (
    FILLED,
    PersonId,
    RoleName,
    Slug,
    Some,
    Strict,
    Trouble,
    refuse,
    unknown,
)

#: How deep rules may be composed, and in how many ways one level may be met.
DEEPEST, MOST_WAYS = 3, 64


class Rule(Strict):
    """So many people of one role, or of the people named; or all, or any, of some rules."""

    role: RoleName | None = None
    people: Annotated[tuple[PersonId, ...] | None, Field(strict=False), FILLED] = None
    all_of: Annotated[tuple[Rule, ...] | None, Field(strict=False), FILLED] = None
    any_of: Annotated[tuple[Rule, ...] | None, Field(strict=False), FILLED] = None
    count: Annotated[int, Field(ge=1, le=50)] = 1

    @model_validator(mode="after")
    def _check(self) -> Rule:
        parts = {"role": self.role, "people": self.people, "allOf": self.all_of}
        kinds = [
            name for name, value in {**parts, "anyOf": self.any_of}.items() if value is not None
        ]
        if len(kinds) != 1:
            actual = "neither" if not kinds else "both" if len(kinds) == 2 else ", ".join(kinds)
            refuse(Trouble((), "one of allOf and anyOf, or either a role or people", actual))
        if self.parts and self.count != 1:
            refuse(Trouble(("count",), f"no count beside {kinds[0]}", str(self.count)))
        named = set(self.people or ())
        if self.people and (len(named) < self.count or len(named) < len(self.people)):
            expected = f"at least {self.count} people, each named once"
            refuse(Trouble(("people",), expected, ", ".join(self.people)))
        return self

    @property
    def parts(self) -> tuple[Rule, ...]:
        """The rules this one is composed of."""
        return self.all_of or self.any_of or ()

    @property
    def depth(self) -> int:
        """How deep it is composed; a simple rule is 1."""
        return 1 + max((part.depth for part in self.parts), default=0)

    @property
    def ways(self) -> int:
        """In how many ways it can be met."""
        if self.any_of:
            return sum(part.ways for part in self.any_of)
        return prod(part.ways for part in self.parts)

    @property
    def votes(self) -> int:
        """How many people have to agree at least."""
        if self.any_of:
            return min(part.votes for part in self.any_of)
        return sum(part.votes for part in self.parts) or self.count


class Level(Strict):
    """One step of approval: complete when each of its rules is met."""

    name: Slug
    rules: Some[Rule]

    @model_validator(mode="after")
    def _check(self) -> Level:
        for index, rule in enumerate(self.rules):
            if rule.depth > DEEPEST:
                actual = f"{rule.depth} deep"
                refuse(Trouble(("rules", index), f"rules at most {DEEPEST} deep", actual))
        ways = prod(rule.ways for rule in self.rules)
        if ways > MOST_WAYS:
            refuse(Trouble(("rules",), f"at most {MOST_WAYS} ways to meet a level", str(ways)))
        return self


def rule_troubles(place: Place, rule: Rule, roles: Mapping[str, Role]) -> Iterator[Trouble]:
    """Yield what is wrong with the roles of a rule, however deep."""
    word = "allOf" if rule.all_of else "anyOf"
    for index, part in enumerate(rule.parts):
        yield from rule_troubles((*place, word, index), part, roles)
    if rule.role is None:
        return
    if rule.role not in roles:
        yield unknown((*place, "role"), rule.role, roles, "one of the roles")
    elif VOTE not in roles[rule.role].permissions:
        voters = [name for name, role in roles.items() if VOTE in role.permissions]
        yield unknown((*place, "role"), rule.role, voters, "a role that may vote, one of")
