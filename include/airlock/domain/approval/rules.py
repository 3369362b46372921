"""Who has to agree: rules, and the matching of votes to them.

Rules:
* A simple rule is a number of seats and the people who fit them: `Quorum` or `People`.
* Rules compose: `AllOf` needs every part, `AnyOf` needs one. Each has its *ways*: the sets of
  simple rules of which one set has to be filled.
* One person fills at most one seat, over all rules of all levels.
* No rules, no seats, nobody: never satisfied. An empty rule would be trivially true, which is
  not a rule but a mistake, so it cannot be built.

How votes fill the seats is in `airlock.domain.approval.matching`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

#: person id -> roles held directly (inheritance never makes an approver)
Holders = Mapping[str, frozenset[str]]


class Rule(Protocol):
    """Some seats, and who fits them."""

    @property
    def count(self) -> int:
        """How many distinct people the rule needs at least."""

    def ways(self) -> tuple[Way, ...]:
        """Return the sets of simple rules of which one has to be filled."""

    def fits(self, person: str, roles: frozenset[str]) -> bool:
        """Say whether this person may fill a seat."""

    def sentence(self, count: int | None = None) -> str:
        """Say in words what is needed, optionally for a number of seats still free."""


@dataclass(frozen=True, slots=True)
class Quorum:
    """*count* people who hold *role*."""

    role: str
    count: int = 1

    def __post_init__(self) -> None:
        _at_least_one(self.count)

    def ways(self) -> tuple[Way, ...]:
        """Return itself as the only way."""
        return ((self,),)

    def fits(self, person: str, roles: frozenset[str]) -> bool:
        """Say whether the person holds the role."""
        return self.role in roles

    def sentence(self, count: int | None = None) -> str:
        """Say how many people of which role."""
        return f"{count or self.count} x {self.role}"


@dataclass(frozen=True, slots=True)
class People:
    """*count* of the people named."""

    people: tuple[str, ...]
    count: int = 1

    def __post_init__(self) -> None:
        _at_least_one(self.count)
        if len(set(self.people)) < self.count:
            raise ValueError(f"{self.count} people are needed but only {self.people} are named")

    def ways(self) -> tuple[Way, ...]:
        """Return itself as the only way."""
        return ((self,),)

    def fits(self, person: str, roles: frozenset[str]) -> bool:
        """Say whether the person is named."""
        return person in self.people

    def sentence(self, count: int | None = None) -> str:
        """Say how many of whom."""
        return f"{count or self.count} of {', '.join(self.people)}"


Simple = Quorum | People
Way = tuple[Simple, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part has to be met, by distinct people."""

    parts: tuple[Rule, ...]

    def __post_init__(self) -> None:
        _at_least_one(len(self.parts))

    @property
    def count(self) -> int:
        """How many distinct people the rule needs at least."""
        return sum(part.count for part in self.parts)

    def ways(self) -> tuple[Way, ...]:
        """Return every choice of one way per part, put together."""
        return tuple(_joined(choice) for choice in product(*(part.ways() for part in self.parts)))

    def fits(self, person: str, roles: frozenset[str]) -> bool:
        """Say whether the person fits any part."""
        return any(part.fits(person, roles) for part in self.parts)

    def sentence(self, count: int | None = None) -> str:
        """Say every part."""
        return _sentence(self.parts, " and ")


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of the parts has to be met."""

    parts: tuple[Rule, ...]

    def __post_init__(self) -> None:
        _at_least_one(len(self.parts))

    @property
    def count(self) -> int:
        """How many distinct people the rule needs at least."""
        return min(part.count for part in self.parts)

    def ways(self) -> tuple[Way, ...]:
        """Return the ways of all parts."""
        return tuple(dict.fromkeys(way for part in self.parts for way in part.ways()))

    def fits(self, person: str, roles: frozenset[str]) -> bool:
        """Say whether the person fits any part."""
        return any(part.fits(person, roles) for part in self.parts)

    def sentence(self, count: int | None = None) -> str:
        """Say every part."""
        return _sentence(self.parts, " or ")


def _at_least_one(count: int) -> None:
    if count < 1:
        raise ValueError(f"a rule needs at least one person, not {count}: an empty rule is none")


def _joined(ways: Sequence[Way]) -> Way:
    return tuple(simple for way in ways for simple in way)


def _sentence(parts: Sequence[Rule], word: str) -> str:
    sentences = [part.sentence() for part in parts]
    return f"({word.join(sentences)})" if len(sentences) > 1 else sentences[0]


def rule_from_document(document: Mapping[str, Any]) -> Rule:
    """Build a rule from its policy document."""
    if "allOf" in document:
        return AllOf(tuple(rule_from_document(part) for part in document["allOf"]))
    if "anyOf" in document:
        return AnyOf(tuple(rule_from_document(part) for part in document["anyOf"]))
    if "people" in document:
        return People(tuple(document["people"]), document.get("count", 1))
    return Quorum(document["role"], document.get("count", 1))
