"""Separation of duties, delegation, standing in, conditions: on both databases."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airlock.domain.approval.release import State
from airlock.domain.errors import Conflict, Forbidden, Invalid, Refused
from airlock.domain.people.actors import Person
from airlock.domain.people.delegation import Delegation
from airlock.services.approvals import delegation, policy_registry
from airlock.services.audit import access_log
from airlock.services.queries import releases
from airlock.testing import PEOPLE, RULEBOOK, FakeClock, World, pipeline_document

MakeWorld = Callable[..., World]


def book(**access: Any) -> dict[str, Any]:
    document = copy.deepcopy(dict(RULEBOOK))
    document["access"]["spec"] |= access
    return document


def lend(world: World, giver: str, taker: str, days: float = 1, after: float = 0) -> Delegation:
    with world.store.begin() as unit:
        start = unit.now() + timedelta(days=after)
    end = start + timedelta(days=days)
    actor = world.actor(giver)
    return delegation.delegate(world.store, world.rulebook, actor, taker, start, end, "on leave")


def why_not(world: World, release_id: str, name: str) -> str:
    shown = releases.show(world.store, world.keys, release_id, world.actor(name))
    return str(shown["whyNot"])


# separation of duties


def test_invariant_2_a_committer_of_the_changed_code_cannot_vote(make_world: MakeWorld) -> None:
    document = book(gitAuthors={"Lena@Example.org": "lena"})
    document["approval"]["spec"]["tiers"]["high"]["unknownCommitters"] = "record"
    world = make_world(rulebook=document)
    release_id = world.open(committers=("lena@example.org", "stranger@example.org"))
    with pytest.raises(Forbidden, match=r"lena committed the changed model code.*own work"):
        world.approve(release_id, "lena")
    assert why_not(world, release_id, "lena").startswith("you committed the changed model code")
    data = access_log.events(world.store, release_id)[0]["data"]
    assert data["unknownAuthors"] == ["stranger@example.org"]
    assert set(data["excluded"]) == {"ana", "lena"}
    assert world.approve(release_id, "luis").level == 2


def test_invariant_2_the_last_changer_of_the_policy_cannot_vote(make_world: MakeWorld) -> None:
    world = make_world()
    document = book(gitAuthors={"carla@example.org": "carla"})
    folks = {**PEOPLE, "clara": "compliance_officer"}
    world.keep(Person("clara", "Clara", frozenset({folks["clara"]})))
    policy_registry.register(world.store, document, [world.pipeline], "carla@example.org")
    world.rulebook = type(world.rulebook).from_document(document)
    release_id = world.open()
    world.approve(release_id, "lena")
    with pytest.raises(Forbidden, match="carla last changed the policy in force"):
        world.approve(release_id, "carla")
    assert world.approve(release_id, "clara").level == 3


def test_invariant_2_the_owner_of_the_run_cannot_vote(make_world: MakeWorld) -> None:
    world = make_world(folks={**PEOPLE, "ana": "algorithm_lead"})
    release_id = world.open(requester="vera")
    with pytest.raises(Forbidden, match="ana owned the training run"):
        world.approve(release_id, "ana")


def test_a_policy_can_keep_more_people_out(make_world: MakeWorld) -> None:
    document = copy.deepcopy(dict(RULEBOOK))
    also = [{"role": "viewer"}, {"person": "luis"}]
    document["approval"]["spec"]["separationOfDuties"] = {"also": also}
    world = make_world(rulebook=document)
    roles = frozenset({"algorithm_lead", "viewer"})
    world.keep(Person("lena", "Lena", roles))
    world.keep(Person("lea", "Lea", frozenset({"algorithm_lead"})))
    release_id = world.open()
    with pytest.raises(Forbidden, match="lena may not approve as viewer"):
        world.approve(release_id, "lena")
    with pytest.raises(Forbidden, match="luis may not approve under the policy"):
        world.approve(release_id, "luis")
    assert world.approve(release_id, "lea").level == 2


def test_what_exclusions_make_impossible_is_refused_at_opening(make_world: MakeWorld) -> None:
    world = make_world(rulebook=book(gitAuthors={"c@x.org": "carla"}))
    with pytest.raises(Refused, match=r"level 2 \(compliance\) lacks .*not counting ana, carla"):
        world.open(committers=("c@x.org",))


# delegation


def test_a_delegate_answers_and_both_names_are_kept(world: World) -> None:
    release_id = world.open()
    lend(world, "lena", "vera")
    assert "vera" in releases.show(world.store, world.keys, release_id, None)["mayAnswer"]
    vote = world.approve(release_id, "vera").votes[-1]
    assert (vote.person, vote.behind, vote.capacity.value) == ("vera", "lena", "delegate")
    data = access_log.events(world.store, release_id)[-3]["data"]
    assert (data["capacity"], data["behind"]) == ("delegate", "lena")
    with world.store.begin() as unit:
        assert unit.get(release_id).votes[-1] == vote
    for name in ("lena", "vera"):
        with pytest.raises(Conflict, match="one person, one vote"):
            world.approve(release_id, name)


@pytest.mark.parametrize(("days", "after"), [(1, 1), (0.001, 0)])
def test_a_delegation_counts_from_its_start_to_its_end(
    make_world: MakeWorld, days: float, after: float
) -> None:
    clock = FakeClock()
    world = make_world(clock)
    release_id = world.open()
    lend(world, "lena", "vera", days, after)
    clock.pass_(hours=1)
    with pytest.raises(Forbidden, match="vera holds viewer"):
        world.approve(release_id, "vera")


def test_a_delegation_ended_early_is_over(world: World) -> None:
    release_id = world.open()
    one = lend(world, "lena", "vera")
    with pytest.raises(Forbidden, match="between lena and vera"):
        delegation.revoke(world.store, world.actor("luis"), one.id)
    assert delegation.revoke(world.store, world.actor("lena"), one.id).revoked_at
    with pytest.raises(Forbidden, match="vera holds viewer"):
        world.approve(release_id, "vera")
    with pytest.raises(Conflict, match="ended at"):
        delegation.revoke(world.store, world.actor("lena"), one.id)
    refused = [e for e in access_log.events(world.store, "access") if e["what"] == "AccessRefused"]
    assert [event["who"]["id"] for event in refused] == ["luis", "lena"]


def test_what_was_lent_cannot_be_lent_on(world: World) -> None:
    lend(world, "lena", "vera")
    with pytest.raises(Forbidden, match="never what was lent"):
        lend(world, "vera", "sam")
    release_id = world.open()
    lend(world, "luis", "lena")  # lena lent her own vote to vera: luis's does not follow it
    assert world.approve(release_id, "vera").votes[-1].behind == "lena"


def test_nobody_votes_on_own_work_through_or_as_a_delegate(make_world: MakeWorld) -> None:
    world = make_world(folks={**PEOPLE, "ana": "algorithm_lead"})
    release_id = world.open()
    lend(world, "ana", "vera")
    with pytest.raises(Forbidden, match="vera holds viewer"):
        world.approve(release_id, "vera")
    lend(world, "lena", "ana")
    with pytest.raises(Forbidden, match="nobody judges own work"):
        world.approve(release_id, "ana")


def test_a_giver_who_lost_the_role_lends_nothing(world: World) -> None:
    release_id = world.open()
    lend(world, "lena", "vera")
    world.keep(Person("lena", "Lena", frozenset({"viewer"})))
    with pytest.raises(Forbidden, match="vera holds viewer"):
        world.approve(release_id, "vera")


def test_a_delegates_vote_is_counted_again_at_promotion(world: World) -> None:
    release_id = world.open()
    lend(world, "lena", "vera")
    world.approve(release_id, "vera")
    for name in ("carla", "mara", "milo"):
        world.approve(release_id, name)
    world.keep(Person("lena", "Lena", frozenset({"viewer"})))
    with pytest.raises(Refused, match=r"no longer has the votes of level 1"):
        world.promote(release_id)


@pytest.mark.parametrize(
    ("giver", "taker", "days", "after", "error", "text"),
    [
        ("vera", "lena", 1, 0, Forbidden, "vera holds no role that votes"),
        ("lena", "lena", 1, 0, Invalid, "another active person"),
        ("lena", "nobody", 1, 0, Invalid, "another active person"),
        ("lena", "admin", 1, 0, Forbidden, "admin holds admin, which never votes"),
        ("lena", "vera", 0, 0, Invalid, "has to end after it starts"),
        ("lena", "vera", 91, 0, Invalid, "at most 90 days"),
        ("lena", "vera", 1, -2, Invalid, "would lend nothing"),
    ],
)
def test_a_delegation_that_makes_no_sense_is_refused_and_logged(
    world: World, giver: str, taker: str, days: float, after: float, error: type, text: str
) -> None:
    with pytest.raises(error, match=text):
        lend(world, giver, taker, days, after)
    assert access_log.events(world.store, "access")[-1]["data"]["permission"] == "delegate"


# standing in


@pytest.mark.parametrize(("hours", "allowed"), [(47, False), (49, True)])
def test_a_superior_stands_in_after_escalation(
    make_world: MakeWorld, hours: int, allowed: bool
) -> None:
    clock = FakeClock()
    document = book(superiors={"algorithm_lead": "vera"})
    world = make_world(clock, rulebook=document, pipeline=pipeline_document(impact="none"))
    release_id = world.open()
    clock.pass_(hours=hours)
    if not allowed:
        with pytest.raises(Forbidden, match="vera holds viewer"):
            world.approve(release_id, "vera")
        return
    release = world.approve(release_id, "vera")
    assert release.state is State.APPROVED
    vote = release.votes[-1]
    assert (vote.capacity.value, vote.behind) == ("stand-in", "role/algorithm_lead")
    assert world.promote(release_id).after == "1"
