"""The deciding transaction on both databases: rules, refusals and their record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from airlock.domain.approval.release import Decision, State
from airlock.domain.errors import Conflict, Forbidden, Invalid, Refused, Unreachable
from airlock.domain.gates import Evidence
from airlock.domain.people.actors import Person
from airlock.services.approvals import decide
from airlock.services.audit import access_log
from airlock.services.people import recognition
from airlock.services.queries import releases
from airlock.testing import PEOPLE, RULEBOOK, World, pipeline_document

MakeWorld = Callable[..., World]


def log(world: World, release_id: str) -> list[str]:
    return [event["what"] for event in access_log.events(world.store, release_id)]


def test_three_levels_in_order_end_in_an_approval(world: World) -> None:
    release_id = world.open()
    for name, level in [("lena", 2), ("carla", 3), ("mara", 3)]:
        assert world.approve(release_id, name).level == level
    assert world.approve(release_id, "milo").state is State.APPROVED
    shown = releases.show(world.store, world.keys, release_id, None)
    assert shown["grant"] is None, "it is made when it is used"
    assert [level["state"] for level in shown["levels"]] == ["complete"] * 3
    assert log(world, release_id)[-3:] == ["VoteCast", "LevelCompleted", "ReleaseApproved"]


def test_a_reject_at_level_2_is_final(world: World) -> None:
    release_id = world.open()
    world.approve(release_id, "lena")
    release = world.vote(release_id, "carla", Decision.REJECT, reason="bias in the sample")
    assert release.state is State.REJECTED
    assert "bias in the sample" in release.why
    with pytest.raises(Conflict, match="REJECTED, so nobody can answer any more"):
        world.vote(release_id, "mara", Decision.APPROVE, level=3)
    with world.store.begin() as unit:
        assert unit.grant_of(release_id) is None


@pytest.mark.parametrize(
    ("name", "overrides", "error", "text"),
    [
        ("ana", {}, Forbidden, "nobody judges own work"),
        ("vera", {}, Forbidden, "needs 1 x algorithm_lead; vera holds viewer"),
        ("admin", {}, Forbidden, "admin holds admin"),
        ("carla", {"level": 2}, Conflict, "level 2 is not open"),
        ("carla", {}, Forbidden, "carla holds compliance_officer"),
        ("lena", {"round": 2}, Conflict, "you answered round 2"),
        ("lena", {"subject_digest": "sha256:" + "0" * 64}, Conflict, "you answered round 1"),
        ("lena", {"reason": " "}, Invalid, "a reason of 3 to 2000 characters"),
        ("lena", {"reason": "x" * 2001}, Invalid, "found 2001"),
        ("lena", {"reason": "fine\x00"}, Invalid, "control characters"),
    ],
)
def test_a_refused_answer_has_its_reason_changes_nothing_and_is_logged(
    world: World, name: str, overrides: dict[str, object], error: type[Exception], text: str
) -> None:
    release_id = world.open()
    before = releases.outcome(world.store, release_id)
    with pytest.raises(error, match=text):
        world.approve(release_id, name, **overrides)
    assert releases.outcome(world.store, release_id) == before
    last = access_log.events(world.store, release_id)[-1]
    assert (last["what"], last["who"]["id"]) == ("VoteRefused", name)
    assert last["why"]


def test_the_same_person_twice_is_refused(world: World) -> None:
    release_id = world.open()
    world.approve(release_id, "lena")
    world.approve(release_id, "carla")
    world.approve(release_id, "mara")
    with pytest.raises(Conflict, match="mara has already answered"):
        world.approve(release_id, "mara")
    assert releases.outcome(world.store, release_id).level == 3


def test_one_person_one_level_even_with_two_roles(make_world: MakeWorld) -> None:
    world = make_world()
    both = frozenset({"algorithm_lead", "compliance_officer"})
    world.keep(Person("lena", "Lena", both))
    release_id = world.open()
    world.approve(release_id, "lena")
    with pytest.raises(Conflict, match="one person, one vote"):
        world.approve(release_id, "lena")


def test_somebody_needed_later_may_not_answer_early(make_world: MakeWorld) -> None:
    world = make_world()
    both = frozenset({"algorithm_lead", "compliance_officer"})
    world.keep(Person("carla", "Carla", both))
    release_id = world.open()
    with pytest.raises(Refused, match="carla is needed at a later level"):
        world.approve(release_id, "carla")
    world.approve(release_id, "lena")
    assert world.approve(release_id, "carla").level == 3


def test_a_role_taken_away_counts_at_once(world: World) -> None:
    release_id = world.open()
    world.keep(Person("lena", "Lena", frozenset({"viewer"})))
    with pytest.raises(Forbidden, match="lena holds viewer"):
        world.approve(release_id, "lena")


def test_a_deactivated_person_cannot_answer(world: World) -> None:
    release_id = world.open()
    roles = frozenset({"algorithm_lead"})
    world.keep(Person("lena", "Lena", roles, active=False))
    with pytest.raises(Forbidden, match=r"lena holds .* is not active and enrolled"):
        world.approve(release_id, "lena")


def test_the_same_key_gives_the_same_answer_and_no_second_vote(world: World) -> None:
    release_id = world.open()
    ballot = world.ballot(release_id, Decision.APPROVE)
    first = decide.vote(world.store, world.signer, release_id, ballot, world.actor("lena"), "key-1")
    events = log(world, release_id)
    again = decide.vote(world.store, world.signer, release_id, ballot, world.actor("lena"), "key-1")
    assert again == first
    assert log(world, release_id) == events
    other = replace(ballot, reason="something else")
    with pytest.raises(Conflict, match="used for another request"):
        decide.vote(world.store, world.signer, release_id, other, world.actor("lena"), "key-1")


@pytest.mark.nobody_enrolled
def test_a_policy_nobody_can_meet_is_refused_when_it_opens(make_world: MakeWorld) -> None:
    folks = {name: role for name, role in PEOPLE.items() if name not in ("mara", "milo")}
    world = make_world(folks=folks)
    with pytest.raises(Refused, match=r"level 3 \(committee\) lacks 1 x risk_committee"):
        world.open()


@pytest.mark.nobody_enrolled
def test_the_requester_does_not_count_towards_what_is_possible(make_world: MakeWorld) -> None:
    folks = {name: role for name, role in PEOPLE.items() if name != "carla"}
    world = make_world(folks=folks | {"ana": "compliance_officer"})
    with pytest.raises(Refused, match=r"level 2 \(compliance\).*not counting ana"):
        world.open()


def test_gates_that_do_not_open_block_and_the_reason_is_kept(world: World) -> None:
    opened = world.request(world.measure("weak", auc=0.6))
    assert opened.outcome == "blocked"
    assert "roc_auc 0.6000, needs at least 0.7" in opened.message
    assert opened.release is not None
    assert opened.release.state is State.BLOCKED


def test_no_gate_results_never_pass(make_world: MakeWorld) -> None:
    document = pipeline_document()
    document["spec"]["gates"] = []
    world = make_world(pipeline=document)
    opened = world.request(world.measure("empty"))
    assert (opened.outcome, opened.message) == (
        "blocked",
        "no gates were judged: empty never passes",
    )


def test_a_worker_that_lies_about_a_verdict_gains_nothing(world: World) -> None:
    origin = world.measure("liar", auc=0.6)
    with world.store.begin() as unit:
        honest = unit.results_of(origin)[0]
        unit.put_result(origin, replace(honest, verdict=type(honest.verdict).PASSED))
        unit.commit()
    opened = world.request(origin)
    assert opened.release is not None
    with pytest.raises(Refused, match="judged again from its evidence"):
        world.approve(opened.release.id, "lena")


def test_evidence_about_another_artifact_does_not_count(world: World) -> None:
    origin = world.measure("run-1")
    with world.store.begin() as unit:
        facts = {"rows": 10, "candidate": {"metrics": {"roc_auc": 0.99}}}
        unit.put_evidence(origin, Evidence("evaluation", "sha256:" + "1" * 64, facts))
        unit.commit()
    opened = world.request(origin).release
    assert opened is not None
    with pytest.raises(Refused, match="no evidence of kind evaluation"):
        world.approve(opened.id, "lena")


def test_an_unregistered_policy_opens_nothing(world: World) -> None:
    weaker = {**RULEBOOK, "approval": {"spec": {}}}
    world.rulebook = type(world.rulebook).from_document(weaker)
    with pytest.raises(Unreachable, match="is not registered"):
        world.open()


def test_a_policy_newer_than_the_run_is_refused(world: World) -> None:
    origin = world.measure("early")
    newer = {**RULEBOOK, "note": "stricter"}
    from airlock.services.approvals import policy_registry

    policy_registry.register(world.store, newer, [])
    world.rulebook = type(world.rulebook).from_document(newer)
    with pytest.raises(Refused, match="a policy cannot judge what it did not foresee"):
        world.request(origin)


def test_one_run_opens_one_release(world: World) -> None:
    origin = world.measure("once")
    first, second = world.request(origin), world.request(origin)
    assert first == second


def test_an_open_release_keeps_a_newer_candidate_waiting(world: World) -> None:
    release_id = world.open("first")
    kept = world.request(world.measure("second"))
    assert (kept.outcome, kept.release) == ("kept", None)
    assert release_id in kept.message


def test_supersede_withdraws_the_older_with_a_reason(world: World) -> None:
    older = world.open("first")
    world.approve(older, "lena")
    newer = world.request(world.measure("second"), when_open="supersede")
    assert newer.outcome == "opened"
    old = releases.outcome(world.store, older)
    assert (old.state, old.why) == (
        State.SUPERSEDED,
        "superseded by the candidate of credit/second",
    )


def test_only_the_requester_withdraws(world: World) -> None:
    release_id = world.open()
    with pytest.raises(Forbidden, match="was requested by ana"):
        decide.withdraw(world.store, release_id, world.actor("lena"), "no")
    with pytest.raises(Invalid, match="a reason of 3 to 2000"):
        decide.withdraw(world.store, release_id, world.actor("ana"), " ")
    release = decide.withdraw(world.store, release_id, world.actor("ana"), "found a bug")
    assert release.state is State.WITHDRAWN
    assert log(world, release_id)[-2:] == ["WithdrawalRefused", "ReleaseWithdrawn"]


def test_staging_needs_gates_alone_and_the_decider_settles_it(make_world: MakeWorld) -> None:
    world = make_world(pipeline=pipeline_document(environment="staging"))
    release_id = world.open()
    assert releases.outcome(world.store, release_id).state is State.REQUESTED
    assert decide.settle(world.store, world.signer, release_id).state is State.APPROVED
    assert world.promote(release_id).alias == "staging"


def test_the_inbox_shows_what_waits_for_me(world: World) -> None:
    release_id = world.open()
    assert [item["id"] for item in releases.inbox(world.store, world.actor("lena")).rows] == [
        release_id
    ]
    assert releases.inbox(world.store, world.actor("carla")).rows == []
    assert releases.inbox(world.store, world.actor("ana")).rows == []


def test_what_is_shown_says_who_is_missing(world: World) -> None:
    release_id = world.open()
    shown = releases.show(world.store, world.keys, release_id, world.actor("vera"))
    assert shown["levels"][0]["missing"] == [
        {"needs": "1 x algorithm_lead", "candidates": ["lena", "luis"]}
    ]
    assert shown["youMayAnswer"] is False
    assert "needs 1 x algorithm_lead; you hold viewer" in shown["whyNot"]


def test_missing_permission_is_refused_and_logged(world: World) -> None:
    with pytest.raises(Forbidden, match="vera holds viewer, which does not include audit:export"):
        recognition.require(world.store, world.rulebook, world.actor("vera"), "audit:export")
    assert access_log.events(world.store, "access")[-1]["who"]["id"] == "vera"
