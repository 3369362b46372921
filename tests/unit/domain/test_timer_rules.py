"""Timers as values: which there are, what they do, and what they can never do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airlock.domain.approval.calendar import Timing
from airlock.domain.approval.policy import Tier
from airlock.domain.approval.release import Emergency, Release, State, Story
from airlock.domain.approval.timers import (
    Kind,
    Late,
    Timer,
    check_in_time,
    deadline,
    fire,
    is_escalated,
    system,
    timers_for,
)
from airlock.domain.clock import moment, stamp
from airlock.domain.people.actors import Actor
from tests.unit.domain.test_release import RELEASE

OPENED = "2026-11-24T12:00:00.000000000Z"
HIGH = Timing()
LOW = Timing(remind=timedelta(hours=48), repeat=False, escalate=True, expire=timedelta(hours=168))
WAITING = replace(
    RELEASE, state=State.AWAITING_APPROVAL, level=1, level_opened_at=OPENED, tier=Tier.HIGH
)


def after(hours: float) -> str:
    return stamp(moment(OPENED) + timedelta(hours=hours))


def kinds(release: Release, timing: Timing) -> list[tuple[str, str]]:
    return sorted((timer.kind.value, timer.due_at) for timer in timers_for(release, timing, OPENED))


def test_an_open_level_has_its_timers_and_nothing_else() -> None:
    assert kinds(WAITING, HIGH) == [
        ("delivery", after(0.25)),
        ("expire", after(216)),
        ("remind", after(72)),
        ("remind", after(144)),
    ]
    assert kinds(WAITING, LOW) == [
        ("delivery", after(0.25)),
        ("expire", after(168)),
        ("remind", after(48)),
    ]


@pytest.mark.parametrize(
    "state", [state for state in State if state is not State.AWAITING_APPROVAL]
)
def test_where_nobody_is_asked_nothing_waits_but_an_unused_approval(state: State) -> None:
    timers = kinds(replace(WAITING, state=state, level=0), HIGH)
    assert timers == ([("unused", after(14 * 24))] if state is State.APPROVED else [])


def test_a_broken_glass_ends_when_it_said() -> None:
    glass = Emergency(incident="INC-1", people=("lena", "carla"), until=after(4))
    broken = replace(WAITING, state=State.APPROVED, level=0, emergency=glass)
    assert kinds(broken, HIGH) == [("unused", after(4))]


@pytest.mark.parametrize(
    ("hours", "late"), [(0, False), (71.98, False), (215.9999, False), (216, True), (216.1, True)]
)
def test_an_answer_is_late_from_the_deadline_on(hours: float, late: bool) -> None:
    assert deadline(WAITING, HIGH) == after(216)
    if late:
        with pytest.raises(Late, match="was to be answered before"):
            check_in_time(WAITING, HIGH, after(hours))
    else:
        check_in_time(WAITING, HIGH, after(hours))


@pytest.mark.parametrize(
    ("timing", "hours", "escalated"),
    [(LOW, 47.98, False), (LOW, 48, True), (LOW, 100, True), (HIGH, 100, False)],
)
def test_a_superior_may_stand_in_from_the_reminder_on(
    timing: Timing, hours: float, escalated: bool
) -> None:
    assert is_escalated(WAITING, timing, after(hours)) is escalated
    decided = replace(WAITING, state=State.REJECTED, level=0)
    assert not is_escalated(decided, timing, after(hours))


def story(release: Release) -> Story:
    return Story(release, system(), after(500), "policy")


def test_overdue_timers_act_in_the_order_they_were_due() -> None:
    transition = story(WAITING)
    results = fire(transition, timers_for(WAITING, HIGH)[::-1], notified=False, last_level=False)
    assert [(timer.kind, acted) for timer, acted in results] == [
        (Kind.DELIVERY, True),
        (Kind.REMIND, True),
        (Kind.REMIND, True),
        (Kind.EXPIRE, True),
    ]
    assert [event.type for event in transition.events] == [
        "DeliveryOverdue",
        "LevelReminded",
        "LevelReminded",
        "ReleaseExpired",
    ]
    assert transition.events[1].data["nextLevel"] == 2
    assert transition.release is not None
    assert transition.release.state is State.EXPIRED


def test_after_the_end_nothing_acts() -> None:
    transition = story(WAITING)
    fire(transition, timers_for(WAITING, HIGH), notified=True, last_level=True)
    again = fire(transition, timers_for(WAITING, HIGH), notified=False, last_level=True)
    assert [acted for _, acted in again] == [False] * 4


PLACES = list(product(State, (0, 1, 2), (1, 2)))


@example((State.PROMOTING, 2, 1), [(Kind.UNUSED, 2)])
@given(st.sampled_from(PLACES), st.lists(st.tuples(st.sampled_from(Kind), st.integers(1, 3))))
def test_time_never_approves(place: tuple[State, int, int], due: list[tuple[Kind, int]]) -> None:
    """Invariant 7: from any state, any timers lead to where it was or to EXPIRED."""
    state, level, round_ = place
    release = replace(WAITING, state=state, level=level, round=round_)
    timers = [Timer(release.id, kind, 1, number % 3, number, OPENED) for kind, number in due]
    transition = story(release)
    fire(transition, timers, notified=False, last_level=True)
    assert transition.release is not None
    assert transition.release.state in (state, State.EXPIRED)
    if transition.release.state is not state:
        assert state in (State.AWAITING_APPROVAL, State.APPROVED)
    assert transition.release.votes == release.votes


def test_a_timer_is_no_person() -> None:
    assert system() == Actor.system("timers")
    assert system().roles == frozenset()
