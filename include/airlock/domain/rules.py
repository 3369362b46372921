"""Who has to agree: rules, and the matching of votes to them.

Rules:
* A rule is a number of seats and the people who fit them.
* One person fills at most one seat, over all rules of all levels.
* Votes are matched to seats by maximum bipartite matching, anew at every vote, so no order of
  voting deadlocks a policy that can be satisfied (GitLab issue 425759 is the known case).
* No rules, no seats, nobody: never satisfied. An empty rule would be trivially true, which is
  not a rule but a mistake, so it cannot be built.

This module does not know who was excluded; callers pass only people who may count.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

#: person id -> roles held directly (inheritance never makes an approver)
Holders = Mapping[str, frozenset[str]]


class Rule(Protocol):
    """Some seats, and who fits them."""

    @property
    def count(self) -> int:
        """How many distinct people the rule needs."""

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

    def fits(self, person: str, roles: frozenset[str]) -> bool:
        """Say whether the person is named."""
        return person in self.people

    def sentence(self, count: int | None = None) -> str:
        """Say how many of whom."""
        return f"{count or self.count} of {', '.join(self.people)}"


def _at_least_one(count: int) -> None:
    if count < 1:
        raise ValueError(f"a rule needs at least one person, not {count}: an empty rule is none")


def rule_from_document(document: Mapping[str, Any]) -> Rule:
    """Build a rule from its policy document."""
    if "people" in document:
        return People(tuple(document["people"]), document.get("count", 1))
    return Quorum(document["role"], document.get("count", 1))


@dataclass(frozen=True, slots=True)
class Missing:
    """A rule that still lacks people."""

    rule: Rule
    count: int
    candidates: tuple[str, ...]

    def sentence(self) -> str:
        """Say what is missing and who can give it."""
        who = ", ".join(self.candidates) or "nobody who is active and may answer"
        return f"{self.rule.sentence(self.count)} ({who})"


def unfilled(rules: Sequence[Rule], voters: Collection[str], holders: Holders) -> list[int]:
    """Return, for every seat no voter can be matched to, the index of its rule.

    Kuhn's algorithm for maximum bipartite matching; seats x voters is tiny.
    """
    seats = [index for index, rule in enumerate(rules) for _ in range(rule.count)]
    taken: dict[int, str] = {}

    def place(person: str, tried: set[int]) -> bool:
        for seat, rule_index in enumerate(seats):
            fits = rules[rule_index].fits(person, holders.get(person, frozenset()))
            if seat in tried or not fits:
                continue
            tried.add(seat)
            if seat not in taken or place(taken[seat], tried):
                taken[seat] = person
                return True
        return False

    for person in sorted(voters):
        place(person, set())
    return [rule for seat, rule in enumerate(seats) if seat not in taken]


def missing(
    rules: Sequence[Rule], voters: Collection[str], holders: Holders, pool: Collection[str]
) -> tuple[Missing, ...]:
    """Return what *rules* still lack after *voters*, and who of *pool* could give it.

    Raises:
        ValueError: if there are no rules; a level without rules is never complete.
    """
    if not rules:
        raise ValueError("a level without rules can never be complete")
    free = unfilled(rules, voters, holders)
    helpful = [
        person
        for person in sorted(set(pool) - set(voters))
        if len(unfilled(rules, {*voters, person}, holders)) < len(free)
    ]
    return tuple(
        Missing(
            rules[index],
            free.count(index),
            tuple(p for p in helpful if rules[index].fits(p, holders.get(p, frozenset()))),
        )
        for index in sorted(set(free))
    )
