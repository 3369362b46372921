"""Arming timers and sweeping up those that are due (the decider does this).

A sweep takes timers in batches, each one transaction: due timers nobody else has -> the locks of
their releases -> the same state check a human gets -> events, states and messages -> commit. It
says aloud and it expires; it has no way to approve. Whatever it could not lock stays due.

A release that cannot be judged (its row is damaged, its policy gone) is set aside with the reason
and costs no other release its time.

Nothing depends on how often it runs: an answer after the deadline is late without it, and after
an outage everything that was due is fired once, in order.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from airlock.domain.approval.policy import Plan
from airlock.domain.approval.release import Release, State, Story
from airlock.domain.approval.timers import Kind, Timer, fire, system, timers_for
from airlock.domain.clock import moment, stamp
from airlock.domain.errors import AirlockError, Unreachable
from airlock.domain.evidence.proposals import Kind as Proposed
from airlock.ports import Due, Proposals, Store, UnitOfWork
from airlock.services import outbox_messages
from airlock.services.approvals import review_reminders

log = logging.getLogger("airlock.deliver")

#: Timers taken in one transaction, at most and at least.
BATCH, SMALLEST = 500, 25
#: How long the delivery process sweeps before it looks after everything else again.
ROUND_S = 2.0
#: How often it looks for releases without timers.
ARM_EVERY_S = 60.0
#: Timers that have waited so long for a sweep mean that none is running.
OVERDUE = timedelta(minutes=5)
#: So long a timer waits for a promotion whose time is over to be settled.
UNSETTLED = timedelta(seconds=10)
#: Seconds for which the timers of a release that cannot be judged wait for another try.
SET_ASIDE_S = 600.0
#: A transaction that took longer makes the next batch smaller.
LONGEST_S = 0.15


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: timers fired, timers that had nothing to do, batches, the slowest one."""

    fired: int = 0
    cancelled: int = 0
    batches: int = 0
    slowest: float = 0.0


@dataclass(frozen=True, slots=True)
class Aside:
    """Until when, on the monotonic clock, a release that cannot be judged is left out, and why."""

    until: float
    why: str


class Keeper:
    """Keeps time inside a process that lives on: sweeps, and arms what nobody has armed."""

    def __init__(self, store: Store) -> None:
        self._store, self._arm_at = store, 0.0
        self._aside: dict[str, Aside] = {}

    def notes(self) -> tuple[str, ...]:
        """Return a sentence per release that is set aside, with the reason."""
        here = time.monotonic()
        reasons = sorted(
            (name, entry.why) for name, entry in self._aside.items() if entry.until > here
        )
        return tuple(f"the timers of {name} are set aside: {why}" for name, why in reasons)

    def round(self) -> Swept:
        """Do what is due."""
        if time.monotonic() >= self._arm_at:
            arm_missing(self._store)
            review_reminders.arm_missing(self._store)
            self._arm_at = time.monotonic() + ARM_EVERY_S
        return sweep(self._store, seconds=ROUND_S, aside=self._aside)


def ask(store: Store, proposals: Proposals, origin: str) -> int:
    """Ask the deciding process for a sweep, as somebody who may not decide; say what is due.

    Raises:
        Unreachable: if timers have been due for so long that nobody can be sweeping.
    """
    with store.begin() as unit:
        now = unit.now()
        due, late = unit.count_due(stamp(now)), unit.count_due(stamp(now - OVERDUE))
    try:
        if due:
            proposals.submit(Proposed.SWEEP, origin, {})
    except Unreachable:
        if not late:
            raise
    if late:  # whoever would have answered is who does not sweep
        raise Unreachable(
            f"{late} timers have been due for {OVERDUE // timedelta(minutes=1)} minutes: the "
            "delivery process does not sweep",
            next_step="See `airlock status`; until it runs, "
            "`airlock timers run --once --role operator` does it.",
        )
    return due


def arm(unit: UnitOfWork, release: Release, plan: Plan, at: str) -> None:
    """Give a release the timers of the place it has reached *at* a time; cancel all others."""
    unit.cancel_timers(release)
    unit.put_timers(timers_for(release, plan.timing, at))


def arm_missing(store: Store) -> int:
    """Arm releases that have no timer, such as those opened before there were any."""
    with store.begin() as unit:
        untimed = [release.id for release in unit.untimed()]
    return sum(_armed(store, release_id) for release_id in untimed)


def _armed(store: Store, release_id: str) -> bool:
    try:
        with store.begin() as unit:
            release = unit.lock(release_id)
            since = approved_at(unit, release) if release.state is State.APPROVED else ""
            arm(unit, release, plan_of(unit, release), since)
            unit.commit()
    except Unreachable:
        raise
    except (AirlockError, KeyError, TypeError, ValueError) as error:
        log.error("%s gets no timers: %s", release_id, error)
        return False
    return True


def plan_of(unit: UnitOfWork, release: Release) -> Plan:
    """Return the plan of a release under the policy in its subject."""
    rulebook = unit.rulebook(release.subject.policy_digest)
    return rulebook.plan(release.subject.environment, release.tier)


def sweep(
    store: Store, *, seconds: float | None = None, aside: dict[str, Aside] | None = None
) -> Swept:
    """Fire every timer that is due, for at most about *seconds*.

    *aside*: releases that cannot be judged, which are left out; what is found is added.
    """
    aside = {} if aside is None else aside
    begun, size, total = time.monotonic(), BATCH, Swept()
    plans: dict[tuple[str, str, str], Plan] = {}
    while seconds is None or time.monotonic() - begun < seconds:
        before = time.monotonic()
        ended, missed = _batch(store, size, plans, aside)
        took = time.monotonic() - before
        if not ended and not missed:
            break
        fired = sum(acted for _, acted in ended)
        total = Swept(
            total.fired + fired,
            total.cancelled + len(ended) - fired,
            total.batches + 1,
            max(total.slowest, took),
        )
        size = max(SMALLEST, size * 2 // 3) if took > LONGEST_S else min(BATCH, size + 25)
    return total


def _batch(
    store: Store, size: int, plans: dict[tuple[str, str, str], Plan], aside: dict[str, Aside]
) -> tuple[list[tuple[Timer, bool]], int]:
    """Return the timers of one transaction, and how many releases were set aside in it."""
    with store.begin() as unit:
        before, here = len(aside), time.monotonic()
        due_releases = unit.take_due(
            size, [name for name, entry in aside.items() if entry.until > here]
        )
        if not due_releases:
            return [], 0
        notified = _notified_releases(unit, due_releases)
        now = unit.now()  # read after the locks
        stories: list[Story] = []
        letters: list[outbox_messages.Letter] = []
        ended: list[tuple[Timer, bool]] = []
        for due in due_releases:
            try:
                story, timers = _fire(unit, due, plans, now, notified=due.release.id in notified)
                notices = _letters(due.release, story, timers)
                notices += review_reminders.rung(unit, due.release, timers, story.at)
            except (AirlockError, KeyError, TypeError, ValueError) as error:
                _set_aside(due, error, aside)
                continue
            stories.append(story)
            ended += timers
            letters += notices
        unit.record_all(stories)
        unit.post_all(letters)
        unit.end_timers(ended)
        unit.commit()
        return ended, len(aside) - before


def _set_aside(due: Due, error: Exception, aside: dict[str, Aside]) -> None:
    """Leave the timers of a release that cannot be judged for later, and say why."""
    if isinstance(error, Unreachable):
        raise error
    log.error("the timers of %s are set aside for a while: %s", due.release.id, error)
    aside[due.release.id] = Aside(time.monotonic() + SET_ASIDE_S, str(error) or repr(error))


def _fire(
    unit: UnitOfWork,
    due: Due,
    plans: dict[tuple[str, str, str], Plan],
    now: datetime,
    *,
    notified: bool,
) -> tuple[Story, list[tuple[Timer, bool]]]:
    release, subject = due.release, due.release.subject
    key = (subject.policy_digest, subject.environment, release.tier.value)
    if key not in plans:  # registered documents never change
        plans[key] = plan_of(unit, release)
    story = Story(release, system(), stamp(now), subject.policy_digest)
    timers = [timer for timer in due.timers if not _promoting(unit, release, timer, now)]
    last = release.level >= len(plans[key].levels)
    glass = any(timer.kind is Kind.REVIEW for timer in timers)
    waiting = review_reminders.unreviewed(unit, release) if glass else ()
    return story, fire(story, timers, notified=notified, last_level=last, unreviewed=waiting)


def _promoting(unit: UnitOfWork, release: Release, timer: Timer, now: datetime) -> bool:
    """Say whether a promotion is under way right now; then its timer waits for the outcome."""
    if timer.kind is not Kind.UNUSED or release.state is not State.PROMOTING:
        return False
    held_until = release.lease.until if release.lease else ""
    unit.postpone(timer, max(held_until, stamp(now + UNSETTLED)))
    return True


def _notified_releases(unit: UnitOfWork, due_releases: tuple[Due, ...]) -> frozenset[str]:
    """Return the releases whose open level somebody was notified of."""
    releases_by_key = {
        key: due.release.id
        for due in due_releases
        if any(timer.kind is Kind.DELIVERY for timer in due.timers)
        for key in outbox_messages.told_by(due.release)
    }
    return frozenset(releases_by_key[key] for key in unit.delivered(list(releases_by_key)))


def _letters(
    before: Release, story: Story, timers: list[tuple[Timer, bool]]
) -> list[outbox_messages.Letter]:
    after = story.release
    if after is not None and after.state is State.EXPIRED:
        return outbox_messages.letters(after)
    return [
        letter
        for timer, acted in timers
        if acted and timer.kind is not Kind.REVIEW
        for letter in outbox_messages.notice(before, timer.kind.value, timer.number)
    ]


def approved_at(unit: UnitOfWork, release: Release) -> str:
    """Return when a release was approved in its round, as the log has it."""
    times = [
        str(entry.content["at"])
        for entry in unit.entries(release.id)
        if entry.content["what"] == "ReleaseApproved"
    ]
    return times[-1] if times else stamp(moment(release.opened_at))
