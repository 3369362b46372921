"""Rolling back: to a version whose approval still stands, and to no other."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from airlock.domain.approval.release import State
from airlock.domain.errors import Conflict, Forbidden, Refused
from airlock.domain.people.actors import Person
from airlock.domain.promotion.promotion import Underway
from airlock.ports import Promotion, PromotionPermit, PromotionRequest
from airlock.services.approvals import decide
from airlock.services.audit import access_log
from airlock.services.promotion import rollback
from airlock.services.queries import releases
from airlock.testing import PEOPLE, RULEBOOK, FakeClock, World


def book() -> dict[str, Any]:
    document = copy.deepcopy(dict(RULEBOOK))
    access = document["access"]["spec"]
    access["roles"]["operator"] = {"inherits": ["viewer"], "permissions": ["release:promote"]}
    return document


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world(rulebook=book(), folks={**PEOPLE, "otto": "operator"})


def promoted(world: World, run: str) -> str:
    release_id = world.open(run)
    world.approve_all(release_id)
    world.promote(release_id, run)
    return release_id


def allow(world: World, release_id: str, name: str = "otto", target: str = "") -> Any:
    actor = world.actor(name)
    return rollback.allow(world.store, release_id, actor, "it drifts", target)


def go_back(world: World, release_id: str, attempt: str = "back") -> Promotion:
    return world.promote(release_id, attempt)


def test_the_alias_goes_back_and_the_line_moves_on(world: World) -> None:
    first, second = promoted(world, "one"), promoted(world, "two")
    allowed = allow(world, second)
    assert (allowed.version, allowed.release) == ("1", first)
    with world.store.begin() as unit:
        assert unit.grant_of(second, "rollback") is None, "a permission is no grant"
    done = go_back(world, second)
    assert (done.before, done.after, done.sequence) == ("2", "1", 3)
    assert world.registry.alias("credit", "champion") == "1"
    assert releases.outcome(world.store, second).state is State.ROLLED_BACK
    assert releases.outcome(world.store, first).state is State.PROMOTED
    with world.store.begin() as unit:
        line = unit.line("credit", "production")
    assert (line.version, line.release, line.epoch) == ("1", first, 3)
    assert access_log.verify(world.store, world.keys).ok


def test_the_promotion_task_does_it_too_and_only_once(world: World) -> None:
    promoted(world, "one")
    second = promoted(world, "two")
    allow(world, second)
    assert world.promote(second, "task").after == "1"
    assert world.promote(second, "task").replayed
    with pytest.raises(Conflict, match="already rolled back"):
        world.promote(second, "another")


def test_nothing_goes_back_unless_it_was_allowed(world: World) -> None:
    promoted(world, "one")
    second = promoted(world, "two")
    with pytest.raises(Conflict, match="already promoted"):
        go_back(world, second)
    assert world.registry.alias("credit", "champion") == "2"


def test_what_was_allowed_is_done_within_the_hour(make_world: Callable[..., World]) -> None:
    clock = FakeClock()
    world = make_world(clock=clock, rulebook=book(), folks={**PEOPLE, "otto": "operator"})
    promoted(world, "one")
    second = promoted(world, "two")
    allow(world, second)
    clock.pass_(hours=1)
    with pytest.raises(Refused, match="was allowed to be rolled back until") as caught:
        go_back(world, second)
    assert f"`airlock release rollback {second} --as OPERATOR --reason" in caught.value.next_step
    allow(world, second)  # as it says
    clock.pass_(minutes=59)
    assert go_back(world, second).after == "1"


def test_one_line_moves_in_one_direction_at_a_time(world: World) -> None:
    promoted(world, "one")
    second, third = promoted(world, "two"), world.open("three")
    world.approve_all(third)
    allow(world, second)
    ask = PromotionRequest(release=third, attempt="up")
    assert isinstance(world.promoter.begin(ask), PromotionPermit)
    with pytest.raises(Underway, match=f"{third} is being promoted by up until"):
        go_back(world, second)
    with pytest.raises(Refused, match="the alias had not moved"):
        world.promoter.finish(third, "up")
    assert isinstance(
        world.promoter.begin(PromotionRequest(release=second, attempt="back")), PromotionPermit
    )
    with pytest.raises(Underway, match=f"{second} is being rolled back by back until"):
        world.promote(third, "up")
    decide.withdraw(world.store, third, world.actor("ana"), "no more")
    assert go_back(world, second).after == "1"
    assert access_log.verify(world.store, world.keys).ok


@pytest.mark.parametrize("name", ["lena", "vera", "ana"])
def test_only_an_operator_asks_for_it(world: World, name: str) -> None:
    promoted(world, "one")
    second = promoted(world, "two")
    with pytest.raises(Forbidden, match="no role with release:promote"):
        allow(world, second, name)
    assert access_log.events(world.store, second)[-1]["what"] == "RollbackRefused"


def test_an_approval_that_no_longer_stands_is_no_target(world: World) -> None:
    promoted(world, "one")
    world.keep(Person("clara", "Clara", frozenset({"compliance_officer"})))
    second = world.open("two")
    for name in ("lena", "clara", "mara", "milo"):
        world.approve(second, name)
    world.promote(second, "two")
    world.keep(Person("carla", "Carla", frozenset({"viewer"})))
    with pytest.raises(Refused, match="no longer has the votes of level 2"):
        allow(world, second)


def test_rights_are_checked_again_when_it_is_done(world: World) -> None:
    promoted(world, "one")
    second = promoted(world, "two")
    allow(world, second)
    world.keep(Person("carla", "Carla", frozenset({"viewer"})))
    with pytest.raises(Refused, match="no longer has the votes of level 2"):
        go_back(world, second)
    assert world.registry.alias("credit", "champion") == "2"


def test_changed_files_are_not_gone_back_to(world: World) -> None:
    promoted(world, "one")
    second = promoted(world, "two")
    allow(world, second)
    world.registry.files["credit", "1"]["model.skops"] = b"something else"
    with pytest.raises(Refused, match="somebody changed them"):
        go_back(world, second)


def test_what_does_not_serve_is_not_rolled_back(world: World) -> None:
    first = promoted(world, "one")
    promoted(world, "two")
    with pytest.raises(Conflict, match="does not serve now"):
        allow(world, first)


def test_the_first_version_has_nothing_to_go_back_to(world: World) -> None:
    first = promoted(world, "one")
    with pytest.raises(Refused, match="no version of credit to go back to"):
        allow(world, first)
    with pytest.raises(Refused, match="is not an older one"):
        allow(world, first, target=first)


def test_a_version_that_was_left_is_not_gone_back_to(world: World) -> None:
    promoted(world, "one")
    second = promoted(world, "two")
    allow(world, second)
    go_back(world, second)
    third = promoted(world, "three")
    with pytest.raises(Refused, match="ROLLED_BACK: it never served, or was left"):
        allow(world, third, target=second)
    assert allow(world, third).version == "1"
