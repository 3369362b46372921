"""Do the approvals fill the seats a level of the policy asks for?

Votes are matched to seats by maximum matching, for every way of meeting the rules, so the order of
voting never matters. One person fills one seat. Rules come as the registered policy spells them:
`{"role": ..., "count": n}`, `{"people": [...], "count": n}`, `allOf`, `anyOf`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from airlock_evidence.archive import Failed

#: One seat: ("role", name) or ("people", names).
Seat = tuple[str, Any]
Way = tuple[Seat, ...]
#: More ways than this are no policy anybody wrote on purpose.
MOST_WAYS = 10_000


def met(rules: Sequence[Mapping[str, Any]], people: Mapping[str, frozenset[str]]) -> bool:
    """Say whether distinct *people* (with the roles they counted for) fill every rule."""
    if not rules:
        return False  # a level without rules is never complete
    choices = 1
    for rule in rules:
        choices *= len(ways(rule))
    if choices > MOST_WAYS:
        raise Failed("policy.json", "its rules can be met in too many ways to check")
    for choice in product(*(ways(rule) for rule in rules)):
        seats = [seat for way in choice for seat in way]
        if seats and _filled(seats, people):
            return True
    return False


def ways(rule: Mapping[str, Any]) -> list[Way]:
    """Return the sets of seats of which one has to be filled.

    Raises:
        Failed: if the rule is empty or unknown.
    """
    if rule.get("allOf"):
        parts = product(*(ways(part) for part in rule["allOf"]))
        return [tuple(seat for way in choice for seat in way) for choice in parts]
    if rule.get("anyOf"):
        return [way for part in rule["anyOf"] for way in ways(part)]
    count = rule.get("count", 1)
    if not isinstance(count, int) or count < 1:
        raise Failed("policy.json", f"has a rule for {count} people")
    if rule.get("people"):
        return [(("people", tuple(rule["people"])),) * count]
    if rule.get("role"):
        return [(("role", rule["role"]),) * count]
    raise Failed("policy.json", f"has a rule this program does not know: {sorted(rule)}")


def sentence(rule: Mapping[str, Any]) -> str:
    """Say in words what a rule asks for."""
    for key, word in (("allOf", " and "), ("anyOf", " or ")):
        if key in rule:
            parts = [sentence(part) for part in rule[key]]
            return f"({word.join(parts)})" if len(parts) > 1 else parts[0]
    count = rule.get("count", 1)
    if "people" in rule:
        return f"{count} of {', '.join(rule['people'])}"
    return f"{count} x {rule.get('role', '?')}"


def _fits(seat: Seat, person: str, roles: frozenset[str]) -> bool:
    kind, required = seat
    return required in roles if kind == "role" else person in required


def _filled(seats: Sequence[Seat], people: Mapping[str, frozenset[str]]) -> bool:
    """Say whether every seat has somebody of its own (Kuhn's bipartite matching)."""
    seated: dict[str, int] = {}

    def fill(seat: int, tried: set[str]) -> bool:
        for person in sorted(people):
            if person in tried or not _fits(seats[seat], person, people[person]):
                continue
            tried.add(person)
            if person not in seated or fill(seated[person], tried):
                seated[person] = seat
                return True
        return False

    return all(fill(seat, set()) for seat in range(len(seats)))
