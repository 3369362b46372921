"""Breaking the glass: two people, four hours, reviewed by somebody else; no other way round."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from airlock.domain.approval.break_glass import Unreviewed
from airlock.domain.approval.release import Decision, Release, State
from airlock.domain.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from airlock.domain.people.actors import Person
from airlock.services.approvals import break_glass
from airlock.services.audit import access_log
from airlock.services.queries import releases
from airlock.testing import RULEBOOK, FakeClock, World


def book() -> dict[str, Any]:
    document = copy.deepcopy(dict(RULEBOOK))
    roles = ["algorithm_lead", "compliance_officer", "developer"]
    glass = {"roles": roles, "people": 2, "hours": 4, "reviewers": ["security_auditor"]}
    document["approval"]["spec"]["breakGlass"] = glass
    return document


@pytest.fixture
def world(make_world: Callable[..., World], clock: FakeClock) -> World:
    return make_world(clock, rulebook=book())


def smash(world: World, release_id: str, name: str, incident: str = "INC-7") -> Release:
    return break_glass.break_glass(
        world.store, world.signer, release_id, world.actor(name), "it burns", incident
    )


def broken(world: World, run: str = "run-1") -> str:
    release_id = world.open(run)
    smash(world, release_id, "lena")
    assert smash(world, release_id, "carla").state is State.APPROVED
    return release_id


def test_two_people_release_and_everybody_skipped_is_told(world: World) -> None:
    release_id = world.open()
    assert smash(world, release_id, "lena").state is State.AWAITING_APPROVAL
    release = smash(world, release_id, "carla")
    assert release.state is State.APPROVED
    assert release.emergency is not None
    assert release.emergency.people == ("lena", "carla")
    with world.store.begin() as unit:
        (told,) = [m.payload for m in unit.claim(100) if "people" in m.payload]
    assert told["people"] == ["luis", "mara", "milo", "mina"]
    assert world.promote(release_id).after == "1"
    what = [event["what"] for event in access_log.events(world.store, release_id)]
    assert "GlassBroken" in what
    assert "GlassConfirmed" in what
    assert access_log.verify(world.store, world.keys).ok


def test_one_person_alone_releases_nothing(world: World) -> None:
    release_id = world.open()
    smash(world, release_id, "lena")
    with pytest.raises(Conflict, match="2 different people are needed"):
        smash(world, release_id, "lena")
    with pytest.raises(Refused, match="AWAITING_APPROVAL"):
        world.promote(release_id)


def test_an_emergency_of_one_never_stands_in_for_votes(world: World) -> None:
    release_id = world.open()
    smash(world, release_id, "luis")
    world.approve_all(release_id)
    assert releases.outcome(world.store, release_id).emergency is None
    world.keep(Person("carla", "Carla", frozenset({"viewer"})))
    with pytest.raises(Refused, match="no longer has the votes of level 2"):
        world.promote(release_id)


@pytest.mark.parametrize(
    ("name", "incident", "error", "text"),
    [
        ("mara", "INC-7", Forbidden, "needs algorithm_lead or compliance_officer"),
        ("admin", "INC-7", Forbidden, "admin holds admin"),
        ("ana", "INC-7", Forbidden, "nobody judges own work"),
        ("lena", " ", Invalid, "an incident id"),
    ],
)
def test_not_everybody_breaks_the_glass(
    world: World, name: str, incident: str, error: type, text: str
) -> None:
    release_id = world.open()
    with pytest.raises(error, match=text):
        smash(world, release_id, name, incident)
    assert access_log.events(world.store, release_id)[-1]["what"] == "BreakGlassRefused"


def test_without_a_policy_for_it_there_is_no_glass(make_world: Callable[..., World]) -> None:
    world = make_world()
    with pytest.raises(Forbidden, match="no breakGlass"):
        smash(world, world.open(), "lena")


def test_a_rejected_release_stays_rejected(world: World) -> None:
    release_id = world.open()
    world.vote(release_id, "lena", Decision.REJECT)
    with pytest.raises(Conflict, match="REJECTED"):
        smash(world, release_id, "luis")


def test_gates_stay_shut_in_an_emergency(world: World) -> None:
    opened = world.request(world.measure("weak", auc=0.6))
    assert opened.release is not None
    with pytest.raises(Refused, match="judged again from its evidence"):
        smash(world, opened.release.id, "lena")


def test_the_second_person_has_to_follow_within_four_hours(world: World, clock: FakeClock) -> None:
    release_id = world.open()
    smash(world, release_id, "lena")
    clock.pass_(hours=4)
    assert smash(world, release_id, "carla").state is State.AWAITING_APPROVAL  # begins anew
    assert smash(world, release_id, "luis").state is State.APPROVED


def test_another_incident_does_not_join(world: World) -> None:
    release_id = world.open()
    smash(world, release_id, "lena")
    assert smash(world, release_id, "carla", "INC-8").state is State.AWAITING_APPROVAL


def test_after_four_hours_it_promotes_nothing(world: World, clock: FakeClock) -> None:
    release_id = broken(world)
    clock.pass_(hours=4)
    with pytest.raises(Refused, match="allowed a promotion until"):
        world.promote(release_id)


def test_who_lost_the_role_no_longer_counts_at_promotion(world: World) -> None:
    release_id = broken(world)
    world.keep(Person("lena", "Lena", frozenset({"viewer"})))
    with pytest.raises(Refused, match="may break the glass any more"):
        world.promote(release_id)


def test_no_second_one_until_somebody_uninvolved_has_reviewed(
    world: World, clock: FakeClock
) -> None:
    first = broken(world)
    world.promote(first)
    second = world.open("run-2")
    with pytest.raises(Unreviewed, match="nobody has reviewed"):
        smash(world, second, "lena")
    for name, text in (("lena", "was involved"), ("mara", "needs security_auditor")):
        with pytest.raises(Forbidden, match=text):
            break_glass.review(world.store, first, world.actor(name), "looked at it")
    clock.pass_(hours=25)
    break_glass.review(world.store, first, world.actor("sam"), "it was right to do so")
    event = access_log.events(world.store, first)[-1]
    assert (event["what"], event["data"]["late"]) == ("GlassReviewed", True)
    with pytest.raises(Conflict, match="was reviewed by sam"):
        break_glass.review(world.store, first, world.actor("sam"), "once more")
    smash(world, second, "lena")
    assert smash(world, second, "carla").state is State.APPROVED


def test_there_is_nothing_to_review_where_no_glass_was_broken(world: World) -> None:
    with pytest.raises(NotFound, match="no glass was broken"):
        break_glass.review(world.store, world.open(), world.actor("sam"), "looked at it")


def test_what_was_looked_at_is_what_is_released_in_an_emergency(world: World) -> None:
    release_id = world.open()
    release = releases.outcome(world.store, release_id)
    with pytest.raises(Conflict, match=r"you looked at 000000.*is in round 1"):
        break_glass.break_glass(
            world.store,
            world.signer,
            release_id,
            world.actor("lena"),
            "it burns",
            "INC-7",
            reviewed=f"sha256:{'0' * 64}",
        )
    assert releases.outcome(world.store, release_id).emergency is None
    break_glass.break_glass(
        world.store,
        world.signer,
        release_id,
        world.actor("lena"),
        "it burns",
        "INC-7",
        reviewed=release.subject.digest,
    )


def test_the_same_key_breaks_and_reviews_once(world: World) -> None:
    release_id = world.open()
    who = {"lena": "key-1", "carla": "key-2"}
    for name, key in who.items():
        for _ in range(2):
            break_glass.break_glass(
                world.store,
                world.signer,
                release_id,
                world.actor(name),
                "it burns",
                "INC-7",
                key=key,
            )
    for _ in range(2):
        done = break_glass.review(world.store, release_id, world.actor("sam"), "fine", "key-3")
        assert done.reviewed_by == "sam"
    told = [event["what"] for event in access_log.events(world.store, release_id)]
    assert [told.count(what) for what in ("GlassBroken", "GlassConfirmed", "GlassReviewed")] == [
        1,
        1,
        1,
    ]
    with pytest.raises(Conflict, match="idempotency key was used for another request"):
        break_glass.review(world.store, release_id, world.actor("sam"), "not so fine", "key-3")
