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

from airlock.domain.approval.release import Lease, State
from airlock.domain.approval.timers import Late
from airlock.domain.clock import stamp
from airlock.domain.errors import Conflict, Invalid, Refused, Unreachable
from airlock.domain.people.actors import Person
from airlock.domain.promotion.grant import Standing, read_own
from airlock.domain.promotion.promotion import Underway
from airlock.ports import PromotionPermit, PromotionRequest
from airlock.services.approvals import decide
from airlock.services.audit import access_log
from airlock.services.promotion import promote
from airlock.services.queries import releases
from airlock.testing import FakeClock, World
from tests.contract.conftest import Database


@pytest.fixture
def timed(make_world: Callable[..., World], clock: FakeClock) -> World:
    """A world whose time passes when the test says so; the guard has the same clock."""
    world = make_world(clock=clock)
    world.registry.clock = clock
    return world


def approved(world: World, run: str = "run-1") -> str:
    release_id = world.open(run)
    world.approve_all(release_id)
    return release_id


def promotions(world: World, release_id: str) -> int:
    events = access_log.events(world.store, release_id)
    return sum(event["what"] == "ReleasePromoted" for event in events)


def test_the_alias_moves_and_before_and_after_are_recorded(world: World) -> None:
    first, second = approved(world, "one"), None
    assert world.promote(first).before is None
    second = approved(world, "two")
    promotion = world.promote(second)
    assert (promotion.before, promotion.after, promotion.sequence) == ("1", "2", 2)
    assert world.registry.alias("credit", "champion") == "2"
    event = access_log.events(world.store, second)[-1]
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
    assert access_log.events(world.store, release_id)[-1]["what"] == "PromotionRefused"


def test_a_grant_is_spent_once(world: World) -> None:
    release_id = approved(world)
    world.promote(release_id, "one")
    with pytest.raises(Conflict, match="already promoted"):
        world.promote(release_id, "another")
    refusal = access_log.events(world.store, release_id)[-1]
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


def begin(world: World, release_id: str, attempt: str = "run-1") -> PromotionPermit:
    permit = world.promoter.begin(PromotionRequest(release=release_id, attempt=attempt))
    assert isinstance(permit, PromotionPermit)
    return permit


def told(world: World, release_id: str) -> list[str]:
    return [event["what"] for event in access_log.events(world.store, release_id)]


def test_an_approval_is_a_state_and_has_no_grant(world: World) -> None:
    release_id = approved(world)
    with world.store.begin() as unit:
        assert unit.grant_of(release_id) is None
    assert "GrantIssued" not in told(world, release_id)
    begin(world, release_id)
    assert told(world, release_id)[-2:] == ["PromotionStarted", "GrantIssued"]
    assert releases.outcome(world.store, release_id).state is State.PROMOTING


def test_a_grant_lives_two_minutes_and_no_longer(timed: World, clock: FakeClock) -> None:
    release_id = approved(timed)
    before = clock.at
    permit = begin(timed, release_id)
    grant = read_own(permit.envelope)
    assert grant.expires_at - grant.issued_at == timedelta(minutes=2)
    assert before <= grant.issued_at
    assert stamp(grant.expires_at) == permit.until
    lease = releases.outcome(timed.store, release_id).lease
    assert lease == Lease(attempt="run-1", grant=grant.id, until=permit.until)


def test_the_same_attempt_goes_on_with_its_grant(timed: World, clock: FakeClock) -> None:
    release_id = approved(timed)
    first = begin(timed, release_id)
    clock.pass_(seconds=110)
    assert begin(timed, release_id) == first
    clock.pass_(seconds=10)
    second = begin(timed, release_id)
    assert second.grant != first.grant
    assert timed.registry.standing(first.grant) is Standing.REVOKED
    assert read_own(second.envelope).sequence == read_own(first.envelope).sequence
    assert timed.promote(release_id).grant_id == second.grant
    assert promotions(timed, release_id) == 1
    assert access_log.verify(timed.store, timed.keys).ok


def test_another_attempt_is_told_who_has_it_and_until_when(timed: World, clock: FakeClock) -> None:
    release_id = approved(timed)
    permit = begin(timed, release_id, "one")
    with pytest.raises(Underway, match=f"is being promoted by one until {permit.until}"):
        begin(timed, release_id, "another")
    clock.pass_(seconds=120)
    assert timed.promote(release_id, "another").after == "1"
    with pytest.raises(Refused, match="was revoked"):
        timed.registry.set_alias(permit.model, permit.alias, permit.version, permit.envelope)


@pytest.mark.parametrize("spent", [True, False])
def test_what_became_of_a_dead_attempt_is_asked_of_the_guard(
    timed: World, clock: FakeClock, spent: bool
) -> None:
    release_id = approved(timed)
    permit = begin(timed, release_id)
    if spent:
        timed.registry.set_alias(permit.model, permit.alias, permit.version, permit.envelope)
    assert timed.promoter.settle_all() == 0, "its time is not over"
    clock.pass_(minutes=2)
    assert timed.promoter.settle_all() == 1
    after = releases.outcome(timed.store, release_id)
    assert after.state is (State.PROMOTED if spent else State.APPROVED)
    assert after.lease is None
    ending = "ReleasePromoted" if spent else "PromotionEnded"
    assert told(timed, release_id)[-1] == ending
    assert timed.promoter.settle_all() == 0
    assert access_log.verify(timed.store, timed.keys).ok


def test_nothing_ends_while_the_guard_cannot_be_asked(timed: World, clock: FakeClock) -> None:
    release_id = approved(timed)
    begin(timed, release_id)
    clock.pass_(minutes=3)
    timed.registry.down = True
    with pytest.raises(Unreachable):
        timed.promoter.settle_all()
    with pytest.raises(Unreachable):
        begin(timed, release_id, "another")
    with pytest.raises(Underway, match="whether its grant was spent is not known yet"):
        decide.withdraw(timed.store, release_id, timed.actor("ana"), "a bug")
    assert releases.outcome(timed.store, release_id).state is State.PROMOTING
    timed.registry.down = False
    assert timed.promoter.settle_all() == 1
    assert decide.withdraw(timed.store, release_id, timed.actor("ana"), "a bug").state is (
        State.WITHDRAWN
    )


@pytest.mark.parametrize("minutes", [0, 1])
def test_no_attempt_is_taken_back_and_what_was_taken_back_moves_nothing(
    timed: World, clock: FakeClock, minutes: int
) -> None:
    release_id = approved(timed)
    permit = begin(timed, release_id)
    clock.pass_(minutes=minutes)
    with pytest.raises(Underway, match=f"until {permit.until}"):
        decide.withdraw(timed.store, release_id, timed.actor("ana"), "a bug")
    with pytest.raises(Refused, match="the alias had not moved"):
        timed.promoter.finish(release_id, "run-1")
    decide.withdraw(timed.store, release_id, timed.actor("ana"), "a bug")
    with pytest.raises(Refused, match="was revoked"):
        timed.registry.set_alias(permit.model, permit.alias, permit.version, permit.envelope)
    with pytest.raises(Refused, match="is WITHDRAWN"):
        begin(timed, release_id)
    assert timed.registry.aliases == {}


def test_the_word_of_the_task_moves_nothing(world: World) -> None:
    """It says that it has set the alias, and has not."""
    release_id = approved(world)
    begin(world, release_id)
    with pytest.raises(Refused, match=r"did not move champion of credit to version 1"):
        world.promoter.finish(release_id, "run-1")
    assert releases.outcome(world.store, release_id).state is State.APPROVED
    with world.store.begin() as unit:
        assert unit.line("credit", "production").epoch == 0


def test_an_alias_somebody_else_moved_is_not_recorded_as_promoted(world: World) -> None:
    release_id = approved(world)
    permit = begin(world, release_id)
    world.registry.set_alias(permit.model, permit.alias, permit.version, permit.envelope)
    world.registry.aliases["credit", "champion"] = "7"
    with pytest.raises(Conflict, match="reads back as 7: somebody else moved it"):
        world.promoter.finish(release_id, "run-1")
    assert releases.outcome(world.store, release_id).state is State.PROMOTING
    world.registry.aliases["credit", "champion"] = "1"
    assert world.promoter.finish(release_id, "run-1").after == "1"


@pytest.mark.parametrize("attempt", ["", "x" * 601])
def test_an_attempt_has_a_name(world: World, attempt: str) -> None:
    with pytest.raises(Invalid, match="1 to 600 characters"):
        begin(world, approved(world), attempt)


def test_an_approval_nobody_used_in_time_is_over_without_any_sweep(
    timed: World, clock: FakeClock
) -> None:
    release_id = approved(timed)
    clock.pass_(hours=336)
    with pytest.raises(Late, match="was to be promoted before"):
        begin(timed, release_id)


def test_a_forged_grant_is_refused(world: World, database: Database) -> None:
    release_id = approved(world)
    begin(world, release_id)
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
@pytest.mark.parametrize(
    "point", ["before the permit", "before the alias", "after the alias", "before the last commit"]
)
@pytest.mark.parametrize("late", [False, True])
def test_killed_anywhere_and_retried_it_ends_in_one_promotion(
    timed: World, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, point: str, late: bool
) -> None:
    release_id = approved(timed)
    real = timed.registry.set_alias

    def dying(model: str, alias: str, version: str, envelope: str) -> None:
        if point == "after the alias":
            real(model, alias, version, envelope)
        raise Crash

    if point == "before the permit":
        monkeypatch.setattr(promote, "PromotionPermit", _crash)
    elif point == "before the last commit":
        monkeypatch.setattr(promote, "finish", _crash)
    else:
        monkeypatch.setattr(timed.registry, "set_alias", dying)
    with pytest.raises(Crash):
        timed.promote(release_id)
    monkeypatch.undo()
    assert releases.outcome(timed.store, release_id).state is State.PROMOTING
    with pytest.raises(Underway, match="is being promoted by run-1 until"):
        timed.promote(release_id, "somebody else")
    clock.pass_(minutes=3 if late else 1)
    assert timed.promote(release_id).after == "1"
    assert promotions(timed, release_id) == 1
    assert access_log.verify(timed.store, timed.keys).ok


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
