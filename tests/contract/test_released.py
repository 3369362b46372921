"""What Airlock states to those who serve: the release the line stands at, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from airlock.domain.errors import NotFound, Refused
from airlock.domain.promotion.serving_statement import Released, ReleaseUnproven, open_statement
from airlock.ports import Line
from airlock.services.promotion import rollback, serving_statement
from airlock.testing import PEOPLE, RULEBOOK, World


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    document: dict[str, Any] = copy.deepcopy(dict(RULEBOOK))
    roles = document["access"]["spec"]["roles"]
    roles["operator"] = {"inherits": ["viewer"], "permissions": ["release:promote"]}
    return make_world(rulebook=document, folks={**PEOPLE, "otto": "operator"})


def promoted(world: World, run: str) -> str:
    release_id = world.open(run)
    world.approve_all(release_id)
    world.promote(release_id, run)
    return release_id


def stated(world: World) -> Released:
    text = serving_statement.current(world.store, world.signer, world.keys, "credit", "production")
    return open_statement(text, "credit", "production", world.keys.verify, world.keys.valid_at)


def test_nothing_is_stated_where_nothing_was_released(world: World) -> None:
    with pytest.raises(NotFound, match="nothing of credit is released in production"):
        stated(world)


def test_an_approval_alone_states_nothing(world: World) -> None:
    world.approve_all(world.open("one"))
    with pytest.raises(NotFound, match="nothing of credit is released"):
        stated(world)


def test_what_was_promoted_is_stated_with_grant_and_subject(world: World) -> None:
    release_id = promoted(world, "one")
    found = stated(world)
    assert (found.grant.release, found.grant.version, found.sequence) == (release_id, "1", 1)
    assert found.subject.digest == found.grant.subject_digest
    assert found.moved_at <= found.stated_at


def test_the_number_grows_with_each_promotion(world: World) -> None:
    promoted(world, "one")
    promoted(world, "two")
    found = stated(world)
    assert (found.grant.version, found.sequence) == ("2", 2)


def test_a_rollback_states_the_older_version_under_a_higher_number(world: World) -> None:
    first, second = promoted(world, "one"), promoted(world, "two")
    actor = world.actor("otto")
    rollback.allow(world.store, second, actor, "it drifts", "")
    assert stated(world).grant.version == "2", "allowed is not done"
    world.promote(second, "back")
    found = stated(world)
    assert (found.grant.release, found.grant.version, found.sequence) == (first, "1", 3)
    assert found.grant.rolls_back == second


def test_a_line_that_no_grant_has_moved_states_nothing(world: World) -> None:
    release_id = promoted(world, "one")
    with world.store.begin() as unit:
        unit.put_line(Line("credit", "production", 7, "1", release_id))
        unit.commit()
    with pytest.raises(Refused, match="no grant moved credit in production to its sequence 7"):
        stated(world)


def test_a_statement_about_something_else_proves_nothing(world: World) -> None:
    promoted(world, "one")
    text = serving_statement.current(world.store, world.signer, world.keys, "credit", "production")
    for model, environment in (("fraud", "production"), ("credit", "staging")):
        with pytest.raises(ReleaseUnproven, match="this is a statement about credit in production"):
            open_statement(text, model, environment, world.keys.verify, world.keys.valid_at)
