"""What is advised about a release that holds its line and cannot go on: it leads to another one.

While a release is open a new run opens none (`whenReleaseOpen: keep`), so "open a new release"
alone leads into the next refusal. Each situation prints its advice here, and each is followed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airlock.domain.approval.approval_conditions import Conditions
from airlock.domain.approval.policy import Plan
from airlock.domain.approval.release import Decision, State
from airlock.domain.errors import Forbidden
from airlock.domain.evidence.proposals import Kind
from airlock.domain.gates import Evidence
from airlock.domain.people.actors import Person
from airlock.services.approvals import break_glass, deadlines, decide, waivers
from airlock.services.audit import access_log
from airlock.services.pipeline import collect_and_judge
from airlock.services.queries import releases
from airlock.testing import PEOPLE, RULEBOOK, FakeClock, World
from tests.contract.advice_kit import refused, runs_again

GATE = "metrics-threshold:roc_auc"
Situation = Callable[[World, FakeClock, pytest.MonkeyPatch], str]


def book() -> dict[str, Any]:
    document = copy.deepcopy(dict(RULEBOOK))
    spec, roles = document["approval"]["spec"], document["access"]["spec"]["roles"]
    glass = {"roles": ["algorithm_lead", "compliance_officer"], "people": 2, "hours": 4}
    spec["breakGlass"] = {**glass, "reviewers": ["security_auditor"]}
    roles["boss"] = {"inherits": ["viewer"], "permissions": ["gate:waive"]}
    spec["enforcement"] = {"metrics-threshold": dict.fromkeys(("high", "low"), "soft")}
    return document


@pytest.fixture
def world(make_world: Callable[..., World], clock: FakeClock) -> World:
    return make_world(clock, rulebook=book(), folks={**PEOPLE, "bea": "boss"})


def opened(world: World) -> str:
    """Open a release and arm its timers, as the delivery process does."""
    release_id = world.open()
    decide.settle(world.store, world.signer, release_id)
    return release_id


def smashed(world: World) -> str:
    release_id = opened(world)
    for name in ("lena", "carla"):
        break_glass.break_glass(
            world.store, world.signer, release_id, world.actor(name), "it burns", "INC-7"
        )
    return release_id


def an_emergency_that_is_over(world: World, clock: FakeClock, _: Any) -> str:
    release_id = smashed(world)
    clock.pass_(hours=5)
    return refused(lambda: world.promote(release_id))


def an_emergency_whose_people_left(world: World, clock: FakeClock, _: Any) -> str:
    release_id = smashed(world)
    world.keep(Person("lena", "Lena", frozenset({"viewer"})))
    return refused(lambda: world.promote(release_id))


def an_approval_nobody_used(world: World, clock: FakeClock, _: Any) -> str:
    release_id = opened(world)
    world.approve_all(release_id)
    clock.pass_(days=15)
    return refused(lambda: world.promote(release_id))


def a_level_nobody_answered_in_time(world: World, clock: FakeClock, _: Any) -> str:
    release_id = opened(world)
    clock.pass_(hours=217)
    return refused(lambda: world.approve(release_id, "lena"))


def conditional(world: World, conditions: Conditions) -> str:
    release_id = opened(world)
    world.approve(release_id, "lena", conditions=conditions)
    for name in ("carla", "mara", "milo"):
        world.approve(release_id, name)
    return refused(lambda: world.promote(release_id))


def an_approval_for_part_of_the_traffic(world: World, clock: FakeClock, _: Any) -> str:
    return conditional(world, Conditions(max_traffic_share=0.1))


def an_approval_for_some_segments(world: World, clock: FakeClock, _: Any) -> str:
    return conditional(world, Conditions(segments=("staff",)))


def a_waiver_that_ended_after_the_votes(world: World, clock: FakeClock, _: Any) -> str:
    asked = world.request(world.measure("weak", auc=0.6)).release
    assert asked is not None
    waivers.waive(
        world.store,
        world.signer,
        asked.id,
        actor=world.actor("bea"),
        gate=GATE,
        reason="the segment is small",
        until=clock.at + timedelta(days=1),
    )
    world.approve_all(asked.id)
    clock.pass_(hours=25)
    return refused(lambda: world.promote(asked.id))


def an_author_nobody_knows(world: World, clock: FakeClock, patch: pytest.MonkeyPatch) -> str:
    with patch.context() as before:  # a release that was opened when nobody asked
        before.setattr(Plan, "check_authors", lambda _self, _then="": None)
        release_id = world.open(committers=("stranger@example.org",))
    world.code.people = ()
    return refused(lambda: world.approve(release_id, "lena"))


def evidence_that_is_frozen(world: World, clock: FakeClock, _: Any) -> str:
    release_id = opened(world)
    release = releases.outcome(world.store, release_id)
    more = Evidence("coverage", release.subject.artifact_digest, {"lines": 1})
    body = {"evidence": collect_and_judge.documents([more])}
    return refused(lambda: world.proposals.submit(Kind.EVIDENCE, release.origin, body))


def a_release_that_was_rejected(world: World, clock: FakeClock, _: Any) -> str:
    release_id = opened(world)
    world.vote(release_id, "lena", Decision.REJECT)
    return refused(lambda: world.promote(release_id))


def a_release_that_was_withdrawn(world: World, clock: FakeClock, _: Any) -> str:
    release_id = opened(world)
    decide.withdraw(world.store, release_id, world.actor("ana"), "not needed")
    return refused(lambda: world.promote(release_id))


def a_release_that_expired(world: World, clock: FakeClock, _: Any) -> str:
    release_id = opened(world)
    clock.pass_(hours=217)
    deadlines.sweep(world.store)
    return refused(lambda: world.promote(release_id))


def a_release_that_is_blocked(world: World, clock: FakeClock, _: Any) -> str:
    asked = world.request(world.measure("weak", auc=0.6)).release
    assert asked is not None
    return refused(lambda: world.promote(asked.id))


SITUATIONS: tuple[Situation, ...] = (
    an_emergency_that_is_over,
    an_emergency_whose_people_left,
    an_approval_nobody_used,
    a_level_nobody_answered_in_time,
    an_approval_for_part_of_the_traffic,
    an_approval_for_some_segments,
    a_waiver_that_ended_after_the_votes,
    an_author_nobody_knows,
    evidence_that_is_frozen,
    a_release_that_was_rejected,
    a_release_that_was_withdrawn,
    a_release_that_expired,
    a_release_that_is_blocked,
)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.__name__)
def test_what_is_advised_leads_to_a_release_of_its_own(
    situation: Situation, world: World, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    advice = situation(world, clock, monkeypatch)
    new = runs_again(world, advice)
    assert access_log.verify(world.store, world.keys).ok, "what people were told is in its place"
    assert releases.outcome(world.store, new).state is State.AWAITING_APPROVAL
    assert world.approve(new, "luis").level == 2, "and somebody can answer it"


def test_nobody_is_sent_to_votes_that_cannot_be_given_any_more(
    world: World, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The missing approvals are advised while a level is open, and only then."""
    release_id = opened(world)
    assert "approvals" in refused(lambda: world.promote(release_id))
    world.approve_all(release_id)
    assert world.promote(release_id).release_id == release_id


def test_who_may_take_back_what_depends_on_where_it_is(world: World, clock: FakeClock) -> None:
    """An approver can reject while a level is open, and not after that."""

    def withdrawn_by_lena() -> str:
        actor = world.actor("lena")
        return refused(lambda: decide.withdraw(world.store, release_id, actor, "wrong"), Forbidden)

    release_id = opened(world)
    assert "rejects it" in withdrawn_by_lena()
    world.approve_all(release_id)
    advice = withdrawn_by_lena()
    assert "rejects" not in advice
    decide.withdraw(world.store, release_id, world.actor("ana"), f"as advised: {advice[:60]}")
    release_id = world.open("run-2")
    assert world.vote(release_id, "lena", Decision.REJECT).state is State.REJECTED
