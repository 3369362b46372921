"""What the state machine knows by itself: who may answer, and whether seats can be filled.

Plain sets and a brute-force search over people and seats, without any of the engine's code.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

from tests.contract.engines import CROWD, EXCLUDED, EXPIRES, WAIVING

#: Roles of a seat, way by way, level by level: the policy written out by hand.
WAYS: list[list[list[str]]] = [
    [
        ["algorithm_lead", "compliance_officer"],
        ["algorithm_lead", "risk_committee", "risk_committee"],
    ],
    [["risk_committee"]],
]


class Model:
    """A release as it has to be; `engine` is asked for nothing but the time."""

    engine: Any
    roles: dict[str, set[str]]
    active: set[str]
    lent: list[tuple[str, str, datetime]]
    votes: list[tuple[str, str, int]]  # person, whose seat, level
    state: str
    level: int
    opened_at: datetime
    waivers: list[tuple[str, datetime]]  # person, end

    def can(self, person: str) -> bool:
        return person in self.active and person not in EXCLUDED

    def may_waive(self, person: str) -> bool:
        """Whether this person holds a role to waive with that the requester does not hold."""
        theirs = self.roles["ana"] if "ana" in self.active else set()
        return self.can(person) and bool(self.roles[person] & (WAIVING - theirs))

    def waived(self) -> bool:
        now = self.engine.clock.at
        return any(now < end and self.may_waive(person) for person, end in self.waivers)

    def used(self) -> set[str]:
        return {name for person, seat, _ in self.votes for name in (person, seat)}

    def mandate(self, person: str) -> str | None:
        """Whose seat this person would fill at the open level."""
        if not self.can(person) or person in self.used():
            return None
        wanted = {role for way in WAYS[self.level - 1] for role in way}
        if self.roles[person] & wanted:
            return person
        now = self.engine.clock.at
        for giver, taker, end in self.lent:
            free = self.can(giver) and giver not in self.used()
            if taker == person and now < end and free and self.roles[giver] & wanted:
                return giver
        return None

    def seats(self, level: int) -> set[str]:
        """Whose seats the votes of a level fill today."""
        return {s for p, s, at in self.votes if at == level and self.can(p) and self.can(s)}

    def complete(self, level: int) -> bool:
        return any(self._fill(way, sorted(self.seats(level))) for way in WAYS[level - 1])

    def _fill(self, way: list[str], crowd: list[str]) -> bool:
        return any(
            all(role in self.roles[who] for role, who in zip(way, order, strict=True))
            for order in permutations(crowd, len(way))
        )

    def possible(self, seated: set[str], used: set[str]) -> bool:
        """Whether distinct people can still complete the open level and those after it."""
        fresh = {p for p in CROWD if self.can(p) and p not in used}
        return any(self._assign(plan, fresh, seated) for plan in self._plans())

    def _plans(self) -> Iterator[list[tuple[bool, str]]]:
        now, *rest = WAYS[self.level - 1 :]
        for way in now:
            yield [(True, role) for role in way] + [(False, r) for later in rest for r in later[0]]

    def _assign(self, plan: list[tuple[bool, str]], fresh: set[str], seated: set[str]) -> bool:
        if not plan:
            return True
        (here, role), *rest = plan
        crowd = fresh | seated if here else fresh
        return any(
            role in self.roles[who] and self._assign(rest, fresh - {who}, seated - {who})
            for who in sorted(crowd)
        )

    def strands(self, person: str, seat: str) -> bool:
        seated, used = self.seats(self.level), self.used()
        return self.possible(seated, used) and not self.possible(
            seated | {seat}, used | {person, seat}
        )

    def late(self) -> bool:
        return bool(self.engine.clock.at + timedelta(microseconds=50) >= self.opened_at + EXPIRES)
