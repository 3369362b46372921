"""Change voids: another subject has no votes, whatever was said about the one before."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airlock.domain.approval.release import Decision, State
from airlock.domain.errors import Conflict, Refused
from airlock.domain.people.actors import Actor
from airlock.domain.people.separation_of_duties import SHIPPED
from airlock.domain.promotion.promotion import Underway
from airlock.ports import PromotionPermit, PromotionRequest
from airlock.services.approvals import decide, policy_registry
from airlock.services.audit import access_log
from airlock.services.notifications import outbox_relay
from airlock.services.pipeline import gate_reverification
from airlock.services.queries import releases
from airlock.testing import RULEBOOK, FakeAirflow, World, pipeline_document

DECIDER = Actor.system("decider")
OTHER = "sha256:" + "9" * 64


def void(world: World, release_id: str, **changed: str) -> Any:
    return decide.void(world.store, release_id, DECIDER, "it is not the same", **changed)


def told(world: World) -> list[dict[str, Any]]:
    with world.store.begin() as unit:
        return [dict(m.payload) for m in unit.claim(100) if m.kind == "notify"]


def stricter() -> dict[str, Any]:
    document = copy.deepcopy(dict(RULEBOOK))
    levels = document["approval"]["spec"]["tiers"]["high"]["levels"]
    levels.append({"name": "second-lead", "rules": [{"role": "algorithm_lead"}]})
    return document


def test_invariant_5_every_vote_is_void_and_level_1_opens_again(world: World) -> None:
    release_id = world.open()
    before = world.approve(release_id, "lena")
    after = void(world, release_id, data_digest=OTHER)
    assert (after.state, after.level, after.round) == (State.AWAITING_APPROVAL, 1, 2)
    assert after.voters == frozenset()
    event = access_log.events(world.store, release_id)[-2]
    assert event["what"] == "ReleaseVoided"
    assert event["data"]["oldDigest"] == before.subject.digest
    assert event["data"]["newDigest"] == after.subject.digest
    assert event["data"]["differs"] == {"data_digest": [before.subject.data_digest, OTHER]}
    assert [note["people"] for note in told(world)] == [["lena"]]
    assert world.approve(release_id, "lena").level == 2
    assert access_log.verify(world.store, world.keys).ok


def test_an_answer_to_the_round_before_is_refused(world: World) -> None:
    release_id = world.open()
    seen = world.ballot(release_id, Decision.APPROVE)
    void(world, release_id, data_digest=OTHER)
    with pytest.raises(Conflict, match="you answered round 1"):
        decide.vote(world.store, world.signer, release_id, seen, world.actor("lena"))


def test_voiding_for_the_same_change_twice_is_once(world: World) -> None:
    release_id = world.open()
    assert void(world, release_id, data_digest=OTHER).round == 2
    assert void(world, release_id, data_digest=OTHER).round == 2


def test_a_grant_of_the_round_before_promotes_nothing(world: World) -> None:
    release_id = world.open()
    data = releases.outcome(world.store, release_id).subject.data_digest
    world.approve_all(release_id)
    void(world, release_id, data_digest=OTHER)
    with pytest.raises(Refused, match="AWAITING_APPROVAL at level 1"):
        world.promote(release_id)
    void(world, release_id, data_digest=data)  # as it was: still nobody has approved it again
    assert world.approve_all(release_id).state is State.APPROVED
    assert world.promote(release_id).after == "1"
    assert access_log.verify(world.store, world.keys).ok


def test_an_attempt_begun_before_a_void_ends_with_it_alone(world: World) -> None:
    release_id = world.open()
    world.approve_all(release_id)
    permit = world.promoter.begin(PromotionRequest(release=release_id, attempt="slow"))
    assert isinstance(permit, PromotionPermit)
    with pytest.raises(Underway, match="is being promoted by slow until"):
        void(world, release_id, data_digest=OTHER)
    with pytest.raises(Refused, match="the alias had not moved"):
        world.promoter.finish(release_id, "slow")
    assert void(world, release_id, data_digest=OTHER).round == 2
    with pytest.raises(Refused, match="was revoked"):  # what is signed moves nothing any more
        world.registry.set_alias(permit.model, permit.alias, permit.version, permit.envelope)


def test_other_rules_come_again_when_the_promotion_has_ended(world: World) -> None:
    release_id = world.open()
    world.approve_all(release_id)
    world.promoter.begin(PromotionRequest(release=release_id, attempt="slow"))
    policy_registry.register(world.store, stricter(), [world.pipeline])
    assert releases.outcome(world.store, release_id).state is State.PROMOTING
    with pytest.raises(Refused, match="the alias had not moved"):
        world.promoter.finish(release_id, "slow")
    policy_registry.register(world.store, stricter(), [world.pipeline])
    assert releases.outcome(world.store, release_id).round == 2


def test_changed_bytes_found_at_promotion_void_the_approval(world: World) -> None:
    release_id = world.open()
    world.approve_all(release_id)
    world.registry.files["credit", "1"]["model.skops"] = b"something else"
    with pytest.raises(Refused, match="somebody changed them"):
        world.promote(release_id)
    outbox_relay.Delivery(world.store, world.signer, FakeAirflow()).run()
    after = releases.outcome(world.store, release_id)
    assert (after.state, after.level, after.round) == (State.AWAITING_APPROVAL, 1, 2)
    assert after.subject.artifact_digest == world.registry.artifact_digest("credit", "1")
    with pytest.raises(Refused, match="judged again from its evidence"):
        world.approve(release_id, "lena")


def test_a_stricter_policy_voids_and_is_answered_anew(world: World) -> None:
    release_id = world.open()
    world.approve_all(release_id)
    policy_registry.register(world.store, stricter(), [world.pipeline], SHIPPED)
    after = releases.outcome(world.store, release_id)
    assert (after.state, after.round) == (State.AWAITING_APPROVAL, 2)
    for name in ("lena", "carla", "mara", "milo"):
        world.approve(release_id, name)
    assert world.approve(release_id, "luis").state is State.APPROVED


def test_a_weaker_policy_voids_and_needs_a_new_run(world: World) -> None:
    weaker = copy.deepcopy(dict(RULEBOOK))
    del weaker["approval"]["spec"]["tiers"]["high"]["levels"][1:]
    release_id = world.open()
    policy_registry.register(world.store, weaker, [world.pipeline], SHIPPED)
    assert releases.outcome(world.store, release_id).round == 2
    with pytest.raises(Refused, match="asks for less than the one before"):
        world.approve(release_id, "lena")


def test_another_pipeline_voids_and_needs_a_new_run(world: World) -> None:
    release_id = world.open()
    changed = pipeline_document()
    changed["spec"]["gates"][0]["threshold"] = 0.1
    policy_registry.register(world.store, RULEBOOK, [changed])
    assert releases.outcome(world.store, release_id).round == 2
    with pytest.raises(Refused, match="gates are not chosen after the measuring"):
        world.approve(release_id, "lena")


def test_a_new_candidate_takes_the_release_over(world: World) -> None:
    release_id = world.open("first")
    world.approve(release_id, "lena")
    origin = world.measure("second", requester="luis")
    after = void(world, release_id, origin=origin)
    assert (after.origin, after.subject.version, after.requester) == (origin, "2", "luis")
    with pytest.raises(Refused, match="nobody judges own work"):
        world.approve(release_id, "luis")
    assert world.approve_all(release_id).state is State.APPROVED
    assert world.promote(release_id).after == "2"
    assert access_log.verify(world.store, world.keys).ok


def test_the_log_tells_what_the_gates_said_of_the_candidate_that_took_over(world: World) -> None:
    release_id = world.open("first")
    origin = world.measure("second", auc=0.9)
    void(world, release_id, origin=origin)
    told = access_log.events(world.store, release_id)
    assert [event["what"] for event in told[-3:]] == ["ReleaseVoided", "GatesJudged", "LevelOpened"]
    with world.store.begin() as unit:
        kept = [one.to_document() for one in unit.results_of(origin)]
    assert kept
    assert told[-2]["data"]["results"] == kept
    assert told[-2]["data"]["results"] != told[1]["data"]["results"]
    assert gate_reverification.recompute(world.store, release_id)["same"]
    assert access_log.verify(world.store, world.keys).ok


def test_the_same_candidate_with_another_subject_is_not_told_again(world: World) -> None:
    release_id = world.open()
    void(world, release_id, data_digest=OTHER)
    told = [event["what"] for event in access_log.events(world.store, release_id)]
    assert told.count("GatesJudged") == 1


def test_a_candidate_whose_gates_were_not_judged_takes_nothing_over(world: World) -> None:
    release_id = world.open("first")
    before = releases.outcome(world.store, release_id)
    with world.store.begin() as unit:
        candidate = unit.candidate("credit/first")
        assert candidate is not None
        unit.put_candidate(replace(candidate, origin="credit/second", version="2"))
        unit.commit()
    with pytest.raises(Refused, match="roc_auc has not been judged, and empty never passes"):
        void(world, release_id, origin="credit/second")
    assert releases.outcome(world.store, release_id) == before


def test_a_candidate_that_has_its_own_release_takes_none_over(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    first = world.open("first")
    world.vote(first, "lena", Decision.REJECT)
    second = world.open("second")
    with pytest.raises(Refused, match="no candidate of its own"):
        void(world, second, origin="credit/first")


def test_what_has_ended_stays_as_it_is(world: World) -> None:
    release_id = world.open()
    world.vote(release_id, "lena", Decision.REJECT)
    assert void(world, release_id, data_digest=OTHER).state is State.REJECTED


def test_a_promotion_under_way_is_not_overtaken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    release_id = world.open()
    world.approve_all(release_id)
    refused: list[str] = []
    real = world.registry.set_alias

    def racing(model: str, alias: str, version: str, envelope: str) -> None:
        with pytest.raises(Conflict, match="is being promoted by run-1 until") as caught:
            void(world, release_id, data_digest=OTHER)
        refused.append(caught.value.message)
        real(model, alias, version, envelope)

    monkeypatch.setattr(world.registry, "set_alias", racing)
    assert world.promote(release_id).after == "1"
    assert len(refused) == 1
