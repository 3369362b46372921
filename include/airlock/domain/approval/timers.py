"""Timers: what happens to a release when nobody does anything.

    a level opens    -> remind (72 h or 48 h, again if the policy says so), expire, delivery
    it is approved   -> unused (14 days; a broken glass allows what it allows for hours)
    glass is broken  -> review (24 h, and every 24 h until somebody has reviewed it)
    it is decided    -> every timer of the place it has left is cancelled

Rules:
* A timer belongs to one place of one release: state, round and level. Fired anywhere else it
  does nothing, so a timer that was not cancelled in time is harmless. A review is the exception:
  it is due wherever the release is by then, on the wall clock, and once reviewed it does nothing.
* A timer has a key. It exists once, it fires once, and several that are overdue after an outage
  fire in the order they were due.
* Time never approves: what a timer can do is say something aloud, or end a release as EXPIRED.
* The deadline holds without any timer: an answer that comes after it is late, even if no sweep
  has run. Both are computed from when the level opened, by the policy in the subject.

Times are given; nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from airlock.domain.approval.advice import after_sweep
from airlock.domain.approval.break_glass import REVIEW, Broken
from airlock.domain.approval.calendar import Timing
from airlock.domain.approval.release import Release, State, Story
from airlock.domain.clock import moment, stamp
from airlock.domain.errors import Conflict
from airlock.domain.people.actors import Actor

#: So long a level may be open before somebody must have been told of it.
DELIVERY = timedelta(minutes=15)


class Late(Conflict):
    """The deadline has passed."""


class Kind(StrEnum):
    """What a timer does when it fires."""

    REMIND = "remind"  #: say aloud that a level waits; from then on a superior may stand in
    EXPIRE = "expire"  #: end a release nobody answered
    UNUSED = "unused"  #: end a release whose approval nobody used
    DELIVERY = "delivery"  #: raise an alarm if nobody could be told that a level waits
    REVIEW = "review"  #: raise an alarm while nobody has reviewed a broken glass


@dataclass(frozen=True, slots=True)
class Timer:
    """One thing that is due at one time, at one place of one release."""

    release: str
    kind: Kind
    round: int
    level: int
    number: int
    due_at: str

    @property
    def key(self) -> str:
        """What makes it the same timer however often it is made."""
        return f"{self.release}/{self.kind}/{self.round}-{self.level}-{self.number}"

    def concerns(self, release: Release) -> bool:
        """Say whether the release is still where this timer was made for."""
        if self.kind is Kind.REVIEW:
            return True
        places: tuple[State, ...] = (State.AWAITING_APPROVAL,)
        if self.kind is Kind.UNUSED:
            places = (State.APPROVED, State.PROMOTING)  # a promotion may end without a move
        at = (release.round, release.level)
        return release.state in places and at == (self.round, self.level)


def timers_for(release: Release, timing: Timing, approved_at: str = "") -> tuple[Timer, ...]:
    """Return the timers that the present state of a release needs."""
    if release.state is State.APPROVED and approved_at:
        glass = release.emergency
        due = glass.until if glass else stamp(moment(approved_at) + timing.unused)
        return (Timer(release.id, Kind.UNUSED, release.round, 0, 1, due),)
    if release.state is not State.AWAITING_APPROVAL or release.level_opened_at is None:
        return ()
    opened = moment(release.level_opened_at)
    due_times = [
        *((Kind.REMIND, n, at) for n, at in enumerate(timing.reminders(opened), 1)),
        (Kind.EXPIRE, 1, timing.deadline(opened)),
        (Kind.DELIVERY, 1, opened + DELIVERY),
    ]
    return tuple(
        Timer(release.id, kind, release.round, release.level, number, stamp(at))
        for kind, number, at in due_times
    )


def deadline(release: Release, timing: Timing) -> str | None:
    """Return when the open level is over, or None if none is open."""
    if release.state is not State.AWAITING_APPROVAL or release.level_opened_at is None:
        return None
    return stamp(timing.deadline(moment(release.level_opened_at)))


def check_in_time(release: Release, timing: Timing, at: str) -> None:
    """Refuse what comes after the deadline of the open level, whether or not a sweep has run.

    Raises:
        Late: naming the deadline.
    """
    over = deadline(release, timing)
    if over is not None and at >= over:
        raise Late(
            f"level {release.level} of release {release.id} was to be answered before {over}; "
            f"it is {at}",
            next_step=after_sweep(),
        )


def is_escalated(release: Release, timing: Timing, at: str) -> bool:
    """Say whether the open level has waited so long that a superior may stand in."""
    if not timing.escalate or release.state is not State.AWAITING_APPROVAL:
        return False
    if release.level_opened_at is None:
        return False
    first = timing.clock.after(moment(release.level_opened_at), timing.remind)
    return at >= stamp(first)


def review_timer(broken: Broken, at: str) -> Timer:
    """Return the next alarm about a broken glass after *at*: whole days after it was broken.

    Days nobody swept are left out: an alarm that repeats is not caught up with.
    """
    since = moment(broken.broken_at)
    days = max(1, (moment(at) - since) // REVIEW + 1)
    due = stamp(since + days * REVIEW)
    return Timer(broken.release, Kind.REVIEW, broken.round, 0, days, due)


def fire(
    story: Story,
    due: Sequence[Timer],
    *,
    notified: bool,
    last_level: bool,
    unreviewed: Sequence[Broken] = (),
) -> list[tuple[Timer, bool]]:
    """Add the events of due timers to *story*, in order; return of each whether it acted.

    *notified*: whether anybody was notified of the open level; *unreviewed*: the broken
    glasses of this release nobody has reviewed.
    """
    results = []
    waiting = {use.round: use for use in unreviewed}
    for timer in sorted(due, key=lambda timer: (timer.due_at, timer.kind, timer.number)):
        release = story.release
        acts = release is not None and timer.concerns(release)
        if timer.kind is Kind.REVIEW:
            acts = _ring(story, timer, waiting.get(timer.round))
        elif release is not None and acts:
            acts = _tell(story, release, timer, notified=notified, last_level=last_level)
        results.append((timer, acts))
    return results


def _ring(story: Story, timer: Timer, broken: Broken | None) -> bool:
    if broken is None:
        return False
    data = {
        "incident": broken.incident,
        "people": list(broken.people),
        "reviewDue": broken.review_due,
        "number": timer.number,
    }
    story.tell("ReviewOverdue", data, why=f"nobody has reviewed the emergency {broken.incident}")
    return True


def _tell(
    story: Story, release: Release, timer: Timer, *, notified: bool, last_level: bool
) -> bool:
    data: dict[str, Any] = {"level": timer.level, "dueAt": timer.due_at}
    if timer.kind is Kind.EXPIRE:
        why = f"nobody completed level {timer.level} before {timer.due_at}"
        story.tell("ReleaseExpired", data, why=why)
    elif timer.kind is Kind.UNUSED:
        if release.state is State.PROMOTING:  # whoever fires it waits for the outcome
            return False
        why = f"approved, but not promoted before {timer.due_at}"
        story.tell("ReleaseExpired", data, why=why)
    elif timer.kind is Kind.REMIND:
        next_level = None if last_level else timer.level + 1
        story.tell("LevelReminded", {**data, "number": timer.number, "nextLevel": next_level})
    elif notified:
        return False
    else:
        why = f"nobody could be told within {DELIVERY} that level {timer.level} waits"
        story.tell("DeliveryOverdue", data, why=why)
    return True


def system() -> Actor:
    """Return who acts when a timer fires: never a person, so it can never vote."""
    return Actor.system("timers")
