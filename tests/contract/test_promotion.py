"""Spending a grant: once, for exactly what was approved, and finished after any crash."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from airlock.domain.errors import Conflict, Refused, Unreachable
from airlock.domain.people import Person
from airlock.domain.release import State
from airlock.services import auditing, promoting, reading
from airlock.testing import World
from tests.contract.conftest import Database


def approved(world: World, run: str = "run-1") -> str:
    release_id = world.open(run)
    world.approve_all(release_id)
    return release_id


def promotions(world: World, release_id: str) -> int:
    events = auditing.events(world.store, release_id)
    return sum(event["what"] == "ReleasePromoted" for event in events)


def test_the_alias_moves_and_before_and_after_are_recorded(world: World) -> None:
    first, second = approved(world, "one"), None
    assert world.promote(first).before is None
    second = approved(world, "two")
    promotion = world.promote(second)
    assert (promotion.before, promotion.after, promotion.sequence) == ("1", "2", 2)
    assert world.registry.alias("credit", "champion") == "2"
    event = auditing.events(world.store, second)[-1]
    assert (event["what"], event["data"]["before"], event["data"]["after"]) == (
        "ReleasePromoted",
        "1",
        "2",
    )


def test_without_the_votes_nothing_is_promoted(world: World) -> None:
    release_id = world.open()
    with pytest.raises(Refused, match="AWAITING_APPROVAL at level 1 of 3: it has no grant"):
        world.promote(release_id)
    assert world.registry.aliases == {}
    assert auditing.events(world.store, release_id)[-1]["what"] == "PromotionRefused"


def test_a_grant_is_spent_once(world: World) -> None:
    release_id = approved(world)
    world.promote(release_id, "one")
    with pytest.raises(Conflict, match="already promoted"):
        world.promote(release_id, "another")
    refusal = auditing.events(world.store, release_id)[-1]
    assert (refusal["what"], refusal["data"]["attempt"]) == ("PromotionRefused", "another")
    assert world.promote(release_id, "one").replayed
    assert promotions(world, release_id) == 1


def test_changed_files_are_refused(world: World) -> None:
    release_id = approved(world)
    world.registry.files["credit", "1"]["model.skops"] = b"something else"
    with pytest.raises(Refused, match="somebody changed them"):
        world.promote(release_id)
    assert world.registry.aliases == {}


def test_a_voter_who_lost_the_role_no_longer_counts(world: World) -> None:
    release_id = approved(world)
    world.keep(Person("carla", "Carla", frozenset({"viewer"})))
    with pytest.raises(Refused, match=r"no longer has the votes of level 2 \(compliance\)"):
        world.promote(release_id)


def test_an_unreachable_registry_loses_nothing(world: World) -> None:
    release_id = approved(world)
    world.registry.down = True
    with pytest.raises(Unreachable):
        world.promote(release_id)
    world.registry.down = False
    assert world.promote(release_id).after == "1"


def test_a_forged_grant_is_refused(world: World, database: Database) -> None:
    release_id = approved(world)
    with world.store.begin() as unit:
        stored = unit.grant_of(release_id)
    assert stored is not None
    envelope = json.loads(stored.envelope)
    statement = json.loads(b64decode(envelope["payload"]))
    statement["predicate"]["version"] = "99"
    envelope["payload"] = b64encode(json.dumps(statement).encode()).decode()
    engine = create_engine(database.urls.get("postgres", database.urls["airlock_decider"]))
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE release_grant SET envelope = :e"), {"e": json.dumps(envelope)}
        )
    with pytest.raises(Refused, match="not a trusted key"):
        world.promote(release_id)


class Crash(BaseException):
    """The process dies here."""


@pytest.mark.chaos
@pytest.mark.parametrize("point", ["before the alias", "after the alias", "before the last commit"])
def test_killed_anywhere_and_retried_it_ends_in_one_promotion(
    world: World, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    release_id = approved(world)
    real = world.registry.set_alias

    def dying(model: str, alias: str, version: str, envelope: str) -> None:
        if point == "after the alias":
            real(model, alias, version, envelope)
        raise Crash

    if point == "before the last commit":
        monkeypatch.setattr(promoting, "finish", _crash)
    else:
        monkeypatch.setattr(world.registry, "set_alias", dying)
    with pytest.raises(Crash):
        world.promote(release_id)
    monkeypatch.undo()
    assert reading.outcome(world.store, release_id).state is State.APPROVED
    with pytest.raises(Conflict, match="spent by another promotion"):
        world.promote(release_id, "somebody else")
    assert world.promote(release_id).after == "1"
    assert promotions(world, release_id) == 1
    assert auditing.verify(world.store, world.keys).ok


def _crash(*_arguments: Any, **_named: Any) -> None:
    raise Crash


@pytest.mark.race
def test_of_many_promotions_at_once_one_succeeds(
    make_world: Callable[..., World], database: Database
) -> None:
    world = make_world()
    release_id = approved(world)
    worlds = [world.promote for _ in range(12)]

    def attempt(number: int) -> str:
        try:
            worlds[number](release_id, f"attempt-{number}")
        except Conflict:
            return "conflict"
        return "promoted"

    with ThreadPoolExecutor(12) as pool:
        outcomes = list(pool.map(attempt, range(12)))
    assert outcomes.count("promoted") == 1
    assert outcomes.count("conflict") == 11
    assert promotions(world, release_id) == 1


@pytest.mark.chaos
def test_a_dead_promotion_can_be_taken_over_after_its_lease(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    release_id = approved(world)
    monkeypatch.setattr(world.registry, "set_alias", _crash)
    with pytest.raises(Crash):
        world.promote(release_id)
    monkeypatch.undo()
    with pytest.raises(Conflict, match="spent by another promotion"):
        world.promote(release_id, "somebody else")
    monkeypatch.setattr(promoting, "LEASE", timedelta(0))
    assert world.promote(release_id, "somebody else").after == "1"
    assert promotions(world, release_id) == 1
