"""Conditions on an approval, and the findings they leave: on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from airlock.domain.approval.approval_conditions import Conditions, Demand, Reach
from airlock.domain.approval.release import Decision
from airlock.domain.clock import stamp
from airlock.domain.errors import Forbidden, Invalid, Refused
from airlock.ports import Promotion
from airlock.services.approvals import delegation
from airlock.services.audit import access_log
from airlock.services.queries import duties
from airlock.testing import FakeClock, World

MakeWorld = Callable[..., World]


def conditional(world: World, conditions: Conditions, run: str = "run-1") -> str:
    release_id = world.open(run)
    world.approve(release_id, "lena", conditions=conditions)
    for name in ("carla", "mara", "milo"):
        world.approve(release_id, name)
    return release_id


def promote(world: World, release_id: str, reach: Reach) -> Promotion:
    return world.promote(release_id, "run", reach)


def test_a_promotion_reaches_no_further_than_approved(world: World) -> None:
    release_id = conditional(world, Conditions(max_traffic_share=0.1, segments=("staff",)))
    for reach, text in (
        (Reach(), "lena approved at most 10% of the traffic, this promotion reaches 100%"),
        (Reach(0.1), "approved only for staff, this promotion reaches everybody"),
        (Reach(0.1, ("staff", "all")), "this promotion reaches all"),
    ):
        with pytest.raises(Refused, match=text):
            promote(world, release_id, reach)
    assert promote(world, release_id, Reach(0.05, ("staff",))).after == "1"


def test_an_approval_with_an_end_is_over_then(make_world: MakeWorld) -> None:
    clock = FakeClock()
    world = make_world(clock)
    expires = stamp(clock.at + timedelta(days=1))
    release_id = conditional(world, Conditions(expires_at=expires))
    clock.pass_(hours=25)
    with pytest.raises(Refused, match="the approval of lena was good until"):
        world.promote(release_id)


@pytest.mark.parametrize(
    ("conditions", "text"),
    [
        (Conditions(max_traffic_share=0.0), "above 0 and at most 1"),
        (Conditions(max_traffic_share=1.5), "above 0 and at most 1"),
        (Conditions(expires_at="2020"), "lie in the future"),
        (Conditions(findings=(Demand(text=" ", owner="ana", due="2999"),)), "a text and an owner"),
    ],
)
def test_a_condition_that_means_nothing_is_refused(
    world: World, conditions: Conditions, text: str
) -> None:
    release_id = world.open()
    with pytest.raises(Invalid, match=text):
        world.vote(release_id, "lena", Decision.APPROVE, conditions=conditions)


def test_an_overdue_finding_blocks_the_next_release_until_somebody_else_closes_it(
    make_world: MakeWorld,
) -> None:
    clock = FakeClock()
    world = make_world(clock)
    due = stamp(clock.at + timedelta(days=7))
    demand = Demand(text="explain the age effect", owner="carla", due=due)
    world.promote(conditional(world, Conditions(findings=(demand,))))
    clock.pass_(days=6)
    assert world.request(world.measure("run-2")).outcome == "opened"
    clock.pass_(days=2)
    with pytest.raises(Refused, match=r"overdue findings.*fin-.*carla, due"):
        world.request(world.measure("run-3"), when_open="supersede")
    (found,) = duties.finding_rows(world.store, model="credit").rows
    assert found["overdue"]
    close = delegation.close_finding
    with pytest.raises(Forbidden, match="carla owns finding"):
        close(world.store, world.rulebook, world.actor("carla"), found["id"], "it is done")
    with pytest.raises(Forbidden, match="neither raised"):
        close(world.store, world.rulebook, world.actor("vera"), found["id"], "it is done")
    close(world.store, world.rulebook, world.actor("mara"), found["id"], "read the analysis")
    with pytest.raises(Refused, match="was closed by mara"):
        close(world.store, world.rulebook, world.actor("mara"), found["id"], "once more")
    refused = [e for e in access_log.events(world.store, "access") if e["what"] == "AccessRefused"]
    assert [event["who"]["id"] for event in refused] == ["carla", "vera", "mara"]
    assert {event["data"]["permission"] for event in refused} == {f"finding/{found['id']}"}
    assert world.request(world.measure("run-4"), when_open="supersede").outcome == "opened"
    assert access_log.verify(world.store, world.keys).ok
