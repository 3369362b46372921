"""Airlock's list of people follows Airflow's log-ins, over each store."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airlock.ports import Account
from airlock.services.people import sync
from airlock.testing import World

pytestmark = pytest.mark.nobody_enrolled

LENA = Account("lena", "Lena", frozenset({"algorithm_lead"}), True)
ANA = Account("ana", "Ana", frozenset({"developer", "unknown to us"}), True)


def people(world: World) -> dict[str, tuple[frozenset[str], bool]]:
    with world.store.begin() as unit:
        return {person.id: (person.claimed, person.active) for person in unit.people()}


def test_everybody_is_known_before_anybody_clicks(make_world: Callable[..., World]) -> None:
    world = make_world(folks={})
    assert sync.sync(world.store, world.rulebook, [LENA, ANA]) == ["ana", "lena"]
    assert people(world) == {
        "ana": (frozenset({"developer"}), True),
        "lena": (frozenset({"algorithm_lead"}), True),
    }


def test_nothing_new_changes_nothing(make_world: Callable[..., World]) -> None:
    world = make_world(folks={})
    sync.sync(world.store, world.rulebook, [LENA])
    assert sync.sync(world.store, world.rulebook, [LENA]) == []


def test_a_role_taken_away_is_gone_without_a_click(make_world: Callable[..., World]) -> None:
    world = make_world(folks={})
    sync.sync(world.store, world.rulebook, [LENA])
    lesser = Account("lena", "Lena", frozenset({"viewer"}), True)
    assert sync.sync(world.store, world.rulebook, [lesser]) == ["lena"]
    assert people(world)["lena"] == (frozenset({"viewer"}), True)


def test_a_deactivated_or_deleted_account_counts_no_more(make_world: Callable[..., World]) -> None:
    world = make_world(folks={})
    sync.sync(world.store, world.rulebook, [LENA, ANA])
    off = Account("ana", "Ana", ANA.roles, False)
    assert sync.sync(world.store, world.rulebook, [off]) == ["ana", "lena"]
    assert [active for _, active in people(world).values()] == [False, False]
