"""Waivers of soft gates: who may, for what, until when, and what follows; on both databases."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from airlock.domain.approval.release import Release, State, apply
from airlock.domain.errors import AirlockError, Conflict, Forbidden, Invalid, Refused
from airlock.domain.people.actors import Actor, Person
from airlock.services.approvals import decide, waivers
from airlock.services.audit import access_log
from airlock.services.queries import releases
from airlock.testing import PEOPLE, RULEBOOK, FakeClock, World, pipeline_document
from tests.contract.conftest import Database

MakeWorld = Callable[..., World]
GATE = "metrics-threshold:roc_auc"


def rulebook(weight: str = "soft") -> dict[str, Any]:
    document = copy.deepcopy(dict(RULEBOOK))
    document["access"]["spec"]["roles"]["compliance_officer"]["permissions"].append("gate:waive")
    document["access"]["spec"]["roles"]["boss"] = {
        "inherits": ["viewer"],
        "permissions": ["gate:waive"],
    }
    table = dict.fromkeys(("high", "medium", "low"), weight)
    document["approval"]["spec"]["enforcement"] = {"metrics-threshold": table}
    return document


@pytest.fixture
def world(make_world: MakeWorld, clock: FakeClock) -> World:
    folks = {**PEOPLE, "bea": "boss", "cara": "compliance_officer"}
    return make_world(clock, rulebook=rulebook(), folks=folks)


def blocked(world: World, run: str = "weak") -> str:
    opened = world.request(world.measure(run, auc=0.6))
    assert opened.outcome == "blocked"
    assert opened.release is not None
    return opened.release.id


def waive(
    world: World, release_id: str, name: str = "bea", days: float = 30, **given: Any
) -> Release:
    with world.store.begin() as unit:
        until = unit.now() + timedelta(days=days)
    actor = world.actor(name)
    asked = {"gate": GATE, "reason": "the segment is small", "until": until, **given}
    return waivers.waive(world.store, world.signer, release_id, actor=actor, **asked)


def log(world: World, release_id: str) -> list[dict[str, Any]]:
    with world.store.begin() as unit:
        return [entry.content for entry in unit.entries(release_id)]


def view(world: World, release_id: str, name: str = "lena") -> dict[str, Any]:
    return releases.show(world.store, world.keys, release_id, world.actor(name))


def test_a_waiver_opens_what_only_a_soft_gate_blocked_and_it_is_promoted(world: World) -> None:
    release_id = blocked(world)
    assert view(world, release_id, "bea")["youMayWaive"] == [GATE]
    assert view(world, release_id, "lena")["youMayWaive"] == []
    after = waive(world, release_id)
    assert (after.state, after.level) == (State.AWAITING_APPROVAL, 1)
    told = [one["what"] for one in log(world, release_id)]
    assert told[3:] == ["WaiverGranted", "GatesJudged", "LevelOpened"]
    assert world.approve_all(release_id).state is State.APPROVED
    assert world.promote(release_id).after == "1"
    assert access_log.verify(world.store, world.keys).ok


def test_everybody_who_answers_sees_the_waiver(world: World) -> None:
    release_id = blocked(world)
    waive(world, release_id)
    shown = view(world, release_id)
    (gate,) = shown["gates"]
    assert (gate["verdict"], gate["enforcement"]) == ("WAIVED", "soft")
    assert "needs at least 0.7" in gate["message"]
    assert "waived by bea until " in gate["message"]
    (one,) = shown["waivers"]
    assert (one["gate"], one["by"], one["why"], one["void"]) == (
        GATE,
        "bea",
        "the segment is small",
        "",
    )


def test_the_task_that_asked_gets_another_answer_when_it_asks_again(world: World) -> None:
    release_id = blocked(world)
    waive(world, release_id)
    again = world.request("credit/weak")
    assert (again.outcome, again.release and again.release.id) == ("opened", release_id)


def test_without_people_a_waiver_leads_to_the_grant(make_world: MakeWorld) -> None:
    document = pipeline_document(environment="staging")
    world = make_world(rulebook=rulebook(), pipeline=document)
    release_id = blocked(world)
    assert waive(world, release_id, "carla").state is State.APPROVED
    assert world.promote(release_id).alias == "staging"
    assert access_log.verify(world.store, world.keys).ok


REFUSED: dict[str, tuple[str, dict[str, Any], type[AirlockError], str]] = {
    "the requester": ("ana", {}, Forbidden, "nobody judges own work"),
    "an approver without the right": ("lena", {}, Forbidden, "needs a role with gate:waive"),
    "the administrator": ("admin", {}, Forbidden, "may waive|needs a role"),
    "nobody known": ("nobody", {}, Forbidden, "holds no role"),
    "no reason": ("bea", {"reason": "  "}, Invalid, "a reason of 3"),
    "an end in the past": ("bea", {"days": -1}, Invalid, "ends in the future, within 90 days"),
    "an end too far away": ("bea", {"days": 90.01}, Invalid, "within 90 days"),
    "a gate there is not": ("bea", {"gate": "latency"}, Refused, "has no gate 'latency'"),
    "something not looked at": ("bea", {"reviewed": "sha256:0"}, Conflict, "you looked at"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_waiver_that_may_not_be_given_is_refused_and_told(world: World, case: str) -> None:
    name, given, kind, words = REFUSED[case]
    release_id = blocked(world)
    with pytest.raises(kind, match=words):
        waive(world, release_id, name, **given)
    last = log(world, release_id)[-1]
    assert (last["what"], last["who"]["id"]) == ("WaiverRefused", name)
    assert releases.outcome(world.store, release_id).state is State.BLOCKED
    assert releases.outcome(world.store, release_id).waivers == ()


def test_nobody_with_a_part_in_the_work_waives(make_world: MakeWorld) -> None:
    document = rulebook()
    document["access"]["spec"]["gitAuthors"] = {"bea@x.org": "bea"}
    world = make_world(rulebook=document, folks={**PEOPLE, "bea": "boss"})
    origin = world.measure("weak", auc=0.6, committers=("bea@x.org",))
    opened = world.request(origin).release
    assert opened is not None
    with pytest.raises(Forbidden, match="nobody judges own work"):
        waive(world, opened.id)


def test_a_role_the_requester_holds_does_not_waive(make_world: MakeWorld) -> None:
    folks = {**PEOPLE, "ana": "compliance_officer", "bea": "boss"}
    world = make_world(rulebook=rulebook(), folks=folks)
    release_id = blocked(world)
    with pytest.raises(Forbidden, match="a role with gate:waive that the requester does not hold"):
        waive(world, release_id, "carla")


@pytest.mark.parametrize("weight", ["hard", "advisory"])
def test_only_a_soft_gate_can_be_waived(make_world: MakeWorld, weight: str) -> None:
    document = pipeline_document()
    document["spec"]["gates"].append(
        {"gate": "metrics-threshold", "metric": "accuracy", "threshold": 0.1}
    )
    world = make_world(rulebook=rulebook(weight), pipeline=document, folks=PEOPLE | {"bea": "boss"})
    opened = world.request(world.measure("weak", auc=0.6)).release
    assert opened is not None
    with pytest.raises(Refused, match=f"is {weight} for the tier high: only a soft gate"):
        waive(world, opened.id)


def test_one_waiver_leaves_the_other_gate_shut(make_world: MakeWorld) -> None:
    document = pipeline_document()
    other = {"gate": "metrics-threshold", "metric": "accuracy", "threshold": 0.9}
    document["spec"]["gates"].append(other)  # not measured: it errs
    world = make_world(rulebook=rulebook(), pipeline=document, folks=PEOPLE | {"bea": "boss"})
    release_id = blocked(world)
    assert waive(world, release_id).state is State.BLOCKED
    with pytest.raises(Refused, match="is WAIVED: there is nothing to waive"):
        waive(world, release_id)
    assert waive(world, release_id, gate="metrics-threshold:accuracy").level == 1
    assert access_log.verify(world.store, world.keys).ok


def test_a_gate_that_passed_needs_no_waiver(world: World) -> None:
    with pytest.raises(Refused, match="is PASSED: there is nothing to waive"):
        waive(world, world.open())


def test_a_waiver_ends_before_a_vote_and_can_be_given_again(world: World, clock: FakeClock) -> None:
    release_id = blocked(world)
    waive(world, release_id, days=1)
    world.approve(release_id, "lena")
    clock.pass_(hours=25)
    with pytest.raises(Refused, match="the waiver of bea ended at"):
        world.approve(release_id, "carla")
    assert view(world, release_id)["waivers"][0]["void"].startswith("the waiver of bea ended")
    waive(world, release_id, "cara", days=2)
    assert world.approve(release_id, "carla").level == 3


def test_a_waiver_ends_before_the_promotion(world: World, clock: FakeClock) -> None:
    release_id = blocked(world)
    waive(world, release_id, days=1)
    world.approve_all(release_id)
    clock.pass_(hours=25)
    with pytest.raises(Refused, match="the waiver of bea ended at"):
        world.promote(release_id)
    with pytest.raises(Conflict, match="is APPROVED: there is nothing to waive"):
        waive(world, release_id, "cara")


def test_a_waiver_stands_only_while_its_giver_could_give_it(world: World) -> None:
    release_id = blocked(world)
    waive(world, release_id)
    world.keep(Person("bea", "Bea", frozenset({"viewer"})))
    with pytest.raises(Refused, match="bea may not waive it any more"):
        world.approve(release_id, "lena")


def test_another_candidate_voids_the_waiver(world: World) -> None:
    release_id = blocked(world)
    waive(world, release_id)
    other = world.measure("other", auc=0.5)
    decide.void(world.store, release_id, Actor.system("x"), "a new candidate", origin=other)
    with pytest.raises(Refused, match="judged again from its evidence"):
        world.approve(release_id, "lena")
    assert "other evidence" in view(world, release_id)["waivers"][0]["void"]
    assert waive(world, release_id).round == 2
    assert world.approve(release_id, "lena").level == 2


def test_a_blocked_release_that_was_overtaken_stays_shut(world: World) -> None:
    old = blocked(world)
    newer = world.open("strong")
    with pytest.raises(Conflict, match="one release of a line is open at a time"):
        waive(world, old)
    world.approve_all(newer)
    world.promote(newer)
    with pytest.raises(Conflict, match="has moved on to release"):
        waive(world, old)


def test_the_same_key_waives_once(world: World) -> None:
    release_id = blocked(world)
    with world.store.begin() as unit:
        until = unit.now() + timedelta(days=3)
    first = waive(world, release_id, key="k", until=until)
    events = log(world, release_id)
    assert waive(world, release_id, key="k", until=until).waivers == first.waivers
    assert log(world, release_id) == events


def test_the_reason_lies_beside_the_log_and_the_log_rebuilds_the_waiver(world: World) -> None:
    release_id = blocked(world)
    waive(world, release_id)
    told = log(world, release_id)
    assert "the segment is small" not in json.dumps(told)
    replayed = None
    for content in told:
        replayed = apply(replayed, content)
    with world.store.begin() as unit:
        assert unit.lock(release_id) == replayed


def test_the_worker_waives_nothing(postgres_database: Database) -> None:
    world = World(
        postgres_database.store("airlock_decider"),
        worker=postgres_database.store("airlock_worker"),
        rulebook=rulebook(),
        folks=PEOPLE | {"bea": "boss"},
    )
    release_id = blocked(world)
    worker = create_engine(postgres_database.urls["airlock_worker"])
    forged = "UPDATE release SET waivers = '[1]' WHERE id = :id"
    with pytest.raises(DBAPIError, match="permission denied"), worker.begin() as connection:
        connection.execute(text(forged), {"id": release_id})
    until = datetime.now(UTC) + timedelta(days=10)
    with pytest.raises(DBAPIError, match=r"cannot|permission denied"):
        waivers.waive(
            world.worker, world.signer, release_id, GATE, "as I say", until, world.actor("bea")
        )
    assert releases.outcome(world.store, release_id).state is State.BLOCKED
