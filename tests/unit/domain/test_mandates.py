"""Mandates and delegations: whose seat is filled, by whom, and when."""

from __future__ import annotations

from typing import Any

import pytest

from airlock.domain.approval.rules import Quorum
from airlock.domain.people.delegation import Capacity, Delegation, Mandate, Powers, eligible

HOLDERS = {
    "lena": frozenset({"lead"}),
    "carla": frozenset({"law"}),
    "vera": frozenset({"viewer"}),
    "boss": frozenset[str](),
}
LEAD = Quorum("lead")


def lent(giver: str = "lena", taker: str = "vera", **fields: Any) -> Delegation:
    times = {"start": "2026-01-10", "end": "2026-01-20", "made_at": "2026-01-01", **fields}
    return Delegation(id="d", giver=giver, taker=taker, reason="away", **times)


@pytest.mark.parametrize(
    ("at", "revoked", "holds"),
    [
        ("2026-01-09", None, False),
        ("2026-01-10", None, True),
        ("2026-01-19", None, True),
        ("2026-01-20", None, False),
        ("2026-01-14", "2026-01-15", True),
        ("2026-01-15", "2026-01-15", False),
    ],
)
def test_a_delegation_holds_from_start_to_end(at: str, revoked: str | None, holds: bool) -> None:
    assert lent(revoked_at=revoked).holds(at) == holds


CASES: dict[str, tuple[Powers, set[str], bool, list[str]]] = {
    "a holder answers": (Powers(), set(), False, ["lena"]),
    "who is excluded does not": (Powers(), {"lena"}, False, []),
    "a delegate answers for the holder": (Powers((lent(),)), set(), False, ["lena", "vera"]),
    "not for an excluded one": (Powers((lent(),)), {"lena"}, False, []),
    "nor as an excluded one": (Powers((lent(),)), {"vera"}, False, ["lena"]),
    "no chain": (Powers((lent(), lent("vera", "carla"))), set(), False, ["lena", "vera"]),
    "not of somebody gone": (Powers((lent("gone"),)), set(), False, ["lena"]),
    "a superior waits": (Powers((), {"role/lead": "boss"}), set(), False, ["lena"]),
    "and stands in": (Powers((), {"role/lead": "boss"}), set(), True, ["lena", "boss"]),
    "also for one person": (Powers((), {"lena": "boss"}), set(), True, ["lena", "boss"]),
    "not for another role": (Powers((), {"role/law": "boss"}), set(), True, ["lena"]),
    "not if excluded": (Powers((), {"role/lead": "boss"}), {"boss"}, True, ["lena"]),
}


@pytest.mark.parametrize("sentence", CASES)
def test_who_is_eligible(sentence: str) -> None:
    powers, excluded, escalated, expected = CASES[sentence]
    candidates = eligible([LEAD], HOLDERS, powers, excluded, escalated=escalated)
    assert [candidate.person for candidate in candidates] == expected


def test_a_mandate_uses_up_everybody_in_it() -> None:
    assert Mandate("lena").people == {"lena"}
    assert Mandate("vera", Capacity.DELEGATE, "lena").people == {"vera", "lena"}
    stand_in = Mandate("boss", Capacity.STAND_IN, "role/lead")
    assert (stand_in.people, stand_in.principal) == ({"boss"}, "boss")
    assert stand_in.roles(HOLDERS) == {"lead"}
