"""Work of somebody nobody knows: refused at the tier high, recorded below; on both databases."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from airlock.domain.approval.policy import Plan
from airlock.domain.approval.release import Decision, State
from airlock.domain.digest import digest_json
from airlock.domain.errors import Refused
from airlock.domain.people.separation_of_duties import SHIPPED, UNKNOWN, unknown_because
from airlock.services.approvals import policy_registry
from airlock.services.audit import access_log
from airlock.services.queries import releases
from airlock.testing import RULEBOOK, World
from airlock.testing.documents import pipeline_document

MakeWorld = Callable[..., World]
STRANGER = "stranger@example.org"
LINE = f"gitAuthors of the AccessPolicy, with each person's user name in Airflow: {STRANGER}: NAME"


def book(**high: Any) -> dict[str, Any]:
    document = copy.deepcopy(dict(RULEBOOK))
    document["approval"]["spec"]["tiers"]["high"] |= high
    return document


@pytest.mark.parametrize("who", [STRANGER, UNKNOWN, unknown_because("a shallow clone")])
def test_unknown_committers_open_no_release_at_the_tier_high(world: World, who: str) -> None:
    with pytest.raises(Refused, match="nobody may approve until it is") as caught:
        world.open(committers=(who,))
    assert who in caught.value.message
    assert (LINE in caught.value.next_step) is (who == STRANGER)
    with world.store.begin() as unit:
        assert unit.by_origin("credit/run-1") is None


def test_a_switch_of_the_policy_records_them_instead(make_world: MakeWorld) -> None:
    world = make_world(rulebook=book(unknownCommitters="record"))
    release_id = world.open(committers=(STRANGER,))
    assert access_log.events(world.store, release_id)[0]["data"]["unknownAuthors"] == [STRANGER]
    assert world.approve(release_id, "lena").level == 2


@pytest.mark.parametrize("switch", [None, "refuse"])
def test_below_the_tier_high_they_are_recorded_unless_the_policy_refuses(
    make_world: MakeWorld, switch: str | None
) -> None:
    document = copy.deepcopy(dict(RULEBOOK))
    if switch:
        document["approval"]["spec"]["tiers"]["low"]["unknownCommitters"] = switch
    world = make_world(rulebook=document, pipeline=pipeline_document(impact="none"))
    if switch:
        with pytest.raises(Refused, match="the tier low"):
            world.open(committers=(STRANGER,))
        return
    release_id = world.open(committers=(STRANGER,))
    assert access_log.events(world.store, release_id)[0]["data"]["unknownAuthors"] == [STRANGER]
    assert world.approve(release_id, "lena").state is State.APPROVED


def test_it_is_asked_again_when_a_vote_counts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:  # a release that was opened when nobody asked
        before.setattr(Plan, "check_authors", lambda _self: None)
        release_id = world.open(committers=(STRANGER,))
    with pytest.raises(Refused, match="nobody judges own work") as caught:
        world.approve(release_id, "lena")
    assert LINE in caught.value.next_step
    assert releases.outcome(world.store, release_id).votes == ()
    after = world.vote(release_id, "lena", Decision.REJECT)  # a no needs nobody's name
    assert after.state is State.REJECTED


@pytest.mark.parametrize("who", [STRANGER, unknown_because("in no commit: access.yaml")])
def test_a_policy_changed_by_nobody_known_counts_no_vote(world: World, who: str) -> None:
    release_id = world.open()
    changed = book(slackMayAnswer=False)
    policy_registry.register(world.store, changed, [world.pipeline], who)
    with pytest.raises(Refused, match="who changed the model's code or the policy is not known"):
        world.approve(release_id, "lena")


def test_a_policy_read_before_it_was_committed_gets_its_author_later(world: World) -> None:
    release_id = world.open()
    changed = book(slackMayAnswer=False)
    why = unknown_because("in no commit: access.yaml")
    policy_registry.register(world.store, changed, [world.pipeline], why)
    with pytest.raises(Refused, match="in no commit"):
        world.approve(release_id, "lena")
    assert policy_registry.register(world.store, changed, [world.pipeline], SHIPPED) == []
    assert world.approve(release_id, "lena").level == 2
    seen = [event["data"] for event in access_log.events(world.store, policy_registry.STREAM)]
    changers = [one["changedBy"] for one in seen if one["kind"] != "pipeline"]
    assert changers == [SHIPPED, why, SHIPPED]
    # And nobody takes a name away again, or puts another in its place.
    policy_registry.register(world.store, changed, [world.pipeline], STRANGER)
    with world.store.begin() as unit:
        assert unit.changed_by("policy", digest_json(changed)) == SHIPPED


def test_a_policy_that_refuses_no_more_asks_for_less(make_world: MakeWorld) -> None:
    world = make_world()
    release_id = world.open()
    weaker = book(unknownCommitters="record")
    policy_registry.register(world.store, weaker, [world.pipeline], SHIPPED)
    with pytest.raises(Refused, match="asks for less than the one before"):
        world.approve(release_id, "lena")
