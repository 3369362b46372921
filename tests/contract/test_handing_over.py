"""A deactivated or demoted approver: open duties move on, and somebody hears of it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from airlock.domain.approval.release import State
from airlock.domain.errors import Forbidden
from airlock.domain.people.actors import Person
from airlock.domain.people.delegation import Capacity
from airlock.services.notifications import outbox_relay
from airlock.services.queries import releases
from airlock.testing import PEOPLE, RULEBOOK, FakeAirflow, World

pytestmark = pytest.mark.nobody_enrolled

FOLKS = {name: role for name, role in PEOPLE.items() if name != "luis"}


def make(make_world: Callable[..., World], superiors: dict[str, str], fallback: str = "") -> World:
    book: dict[str, Any] = deepcopy(dict(RULEBOOK))
    book["access"]["spec"]["superiors"] = superiors
    if fallback:
        book["approval"]["spec"]["fallbackRole"] = fallback
    return make_world(rulebook=book, folks=FOLKS)


def deactivate(world: World, name: str) -> None:
    roles = frozenset({FOLKS[name]})
    world.keep(Person(name, name.title(), roles, active=False))


def able(world: World, release_id: str) -> list[str]:
    found: list[str] = releases.show(world.store, world.keys, release_id, None)["mayAnswer"]
    return found


def test_the_superior_stands_in_at_once_when_nobody_else_is_left(
    make_world: Callable[..., World],
) -> None:
    world = make(make_world, {"algorithm_lead": "vera"}, "risk_committee")
    release_id = world.open()
    assert able(world, release_id) == ["lena"]  # nobody else before
    deactivate(world, "lena")
    assert able(world, release_id) == ["vera"]
    release = world.approve(release_id, "vera")
    assert (release.level, release.votes[0].capacity) == (2, Capacity.STAND_IN)


def test_the_fallback_role_answers_where_no_superior_is_left(
    make_world: Callable[..., World],
) -> None:
    world = make(make_world, {"algorithm_lead": "vera"}, "risk_committee")
    release_id = world.open()
    with pytest.raises(Forbidden):
        world.approve(release_id, "mina")
    deactivate(world, "lena")
    world.keep(Person("vera", "Vera", frozenset(), active=False))
    assert able(world, release_id) == ["mara", "milo", "mina"]
    release = world.approve(release_id, "mina")
    assert (release.level, release.votes[0].capacity) == (2, Capacity.FALLBACK)
    for name in ("carla", "mara", "milo"):
        release = world.approve(release_id, name)
    assert release.state is State.APPROVED
    assert world.promote(release_id).after == "1"


def test_without_a_fallback_the_level_waits_and_says_so(make_world: Callable[..., World]) -> None:
    world, airflow = make(make_world, {}), FakeAirflow()
    release_id = world.open()
    deactivate(world, "lena")
    assert able(world, release_id) == []
    while outbox_relay.Delivery(world.store, world.signer, airflow).run():
        pass
    assert "nobody is left who could answer level 1 (lead)" in airflow.notes["credit/run-1"]
