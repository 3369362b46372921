"""Timers: made again from when a level opened and the policy in the subject."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from airlock.domain.approval.break_glass import Broken
from airlock.domain.approval.calendar import Timing
from airlock.domain.approval.policy import Rulebook
from airlock.domain.approval.release import Release, State
from airlock.domain.approval.timers import Kind, Timer, review_timer, timers_for
from airlock.domain.clock import moment, stamp
from airlock.domain.errors import AirlockError
from airlock.domain.log.stream_chains import Finding
from airlock.ports import Keyring
from airlock.services.audit.log_store import LogWork
from airlock.services.audit.replays.comparing import Between, Page, Replay, Row, Step

#: The events of timers that fired: word -> kind.
_FIRED = {"LevelReminded": Kind.REMIND, "DeliveryOverdue": Kind.DELIVERY}
_LAST = "9999-12-31T23:59:59.999999999Z"
#: Those that end at their place by nothing but firing.
_LASTING = (Kind.REMIND, Kind.EXPIRE, Kind.UNUSED)
#: Words after which a release is at another place.
_MOVING = ("LevelOpened", "ReleaseApproved")


class Timers(Replay):
    """What is due when, and what was done about it; at what minute that was noted is not compared.

    Where nobody has made any timer of a place yet, none is missing: the deciding process makes them
    within a minute. Timers of places a release has left do nothing.
    """

    table = "timer"

    def __init__(self, keyring: Keyring) -> None:
        """Begin with no policy."""
        super().__init__(keyring)
        self._timings: dict[tuple[str, str, str], Timing | None] = {}

    def page(self, unit: LogWork, page: Page) -> Iterator[Finding]:
        """Compare what belongs to some releases."""
        stored: dict[str, list[Row]] = {}
        for row in unit.rows(self.table, "release", list(page.rows)):
            stored.setdefault(row["release"], []).append(row)
        for name in page.rows:
            release, steps = page.release(name), page.steps.get(name, ())
            if release is not None:
                expected = self._expected_timers(unit, steps)
                yield from self._compare(release, expected, steps, stored.get(name, []))

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare what belongs to no release."""
        yield from self.strays(unit)

    def _expected_timers(self, unit: LogWork, steps: tuple[Step, ...]) -> dict[str, Timer]:
        """Return the timers of every place a release has been at."""
        timers: dict[str, Timer] = {}
        for step in steps:
            release = step.after
            timing = self._timing(unit, release) if release and step.event_type in _MOVING else None
            if release is not None and timing is not None:
                timers |= {timer.key: timer for timer in timers_for(release, timing, step.at)}
        return timers

    def _timing(self, unit: LogWork, release: Release) -> Timing | None:
        subject = release.subject
        key = (subject.policy_digest, subject.environment, release.tier.value)
        if key not in self._timings:
            rows = unit.rows("configuration", "digest", [subject.policy_digest])
            try:
                documents = [json.loads(row["document"]) for row in rows]
                rules = Rulebook.from_document(documents[0])
                self._timings[key] = rules.plan(subject.environment, release.tier).timing
            except (AirlockError, IndexError, KeyError, TypeError, ValueError):
                self._timings[key] = None  # named where the configuration is compared
        return self._timings[key]

    def _compare(
        self,
        release: Release,
        timers: dict[str, Timer],
        steps: tuple[Step, ...],
        rows: list[Row],
    ) -> Iterator[Finding]:
        fired, reviews = set(_fired(steps)), list(_reviews(steps))
        here = {
            timer.key
            for timer in timers.values()
            if timer.concerns(release)
            and (timer.round, timer.level) == (release.round, release.level)
        }
        due = {key for key in here if timers[key].kind in _LASTING}
        for timer, raised, over in reviews:
            timers[timer.key] = timer
            fired |= {timer.key} if raised else set()
            due |= set() if over or raised else {timer.key}
        for row in rows:
            expected = timers.get(row["key"])
            if expected is None:
                yield self.finding(row["key"], "is there, but the log tells of no such row")
                continue
            yield from self.row(expected.key, _columns(expected, steps), row)
            yield from self._end(row, happened=expected.key in fired, due=expected.key in due)
        stored_keys = {row["key"] for row in rows}
        sure = bool(here & stored_keys) or release.state in (State.APPROVED, State.PROMOTING)
        for gone in sorted(
            (here if sure else set()) | {timer.key for timer, *_ in reviews} - stored_keys
        ):
            if gone not in stored_keys:
                yield self.finding(gone, "the log tells of it, but it is gone")

    def _end(self, row: Row, *, happened: bool, due: bool) -> Iterator[Finding]:
        """Compare whether it has ended with what the log says it did."""
        ended, fired = row["ended_at"], row["fired"]
        if fired not in (None, 0, 1) or bool(fired) != happened:
            why = "it has fired" if happened else "it has not fired"
            yield self.finding(row["key"], f"fired is {fired}, the log says that {why}")
        elif ended is not None and not _is_time(ended):
            yield self.finding(row["key"], f"ended_at is {ended}, which is no time")
        elif ended is not None and due and not happened:
            yield self.finding(row["key"], f"ended_at is {ended}, but its release waits for it")


def _columns(timer: Timer, steps: tuple[Step, ...]) -> Row:
    due: Any = timer.due_at
    if timer.kind is Kind.UNUSED and any(step.event_type == "PromotionStarted" for step in steps):
        due = Between(due, _LAST)  # put off while that was under way; the deadline is not
    return {
        "key": timer.key,
        "release": timer.release,
        "kind": timer.kind.value,
        "round": timer.round,
        "level": timer.level,
        "number": timer.number,
        "due_at": due,
    }


def _broken(steps: tuple[Step, ...]) -> Iterator[Broken]:
    """Return every emergency that led to an approval."""
    for step in steps:
        release = step.after
        if step.event_type != "ReleaseApproved" or release is None or release.emergency is None:
            continue
        yield Broken(
            release=release.id,
            round=release.round,
            model=release.subject.model,
            incident=release.emergency.incident,
            people=release.emergency.people,
            broken_at=step.at,
            review_due="",
        )


def _reviews(steps: tuple[Step, ...]) -> Iterator[tuple[Timer, bool, bool]]:
    """Return the alarms about emergencies, whether each was raised, and whether it is over."""
    for broken in _broken(steps):
        incident_steps = [step for step in steps if step.data.get("incident") == broken.incident]
        over = any(step.event_type == "GlassReviewed" for step in incident_steps)
        raised = {
            step.data["number"]: step.at
            for step in incident_steps
            if step.event_type == "ReviewOverdue"
        }
        timer = review_timer(broken, broken.broken_at)
        yield timer, timer.number in raised, over
        for number, at in sorted(raised.items()):
            timer = review_timer(broken, at)
            if timer.number != number:
                yield timer, timer.number in raised, over


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and stamp(moment(value)) == value
    except ValueError:
        return False


def _fired(steps: tuple[Step, ...]) -> Iterator[str]:
    """Return the keys of the timers that did something, but for reviews."""
    for step in steps:
        before, data = step.before, step.data
        if before is None:
            continue
        kind = _FIRED.get(step.event_type)
        if step.event_type == "ReleaseExpired" and "rules" not in data:  # else no timer ended it
            kind = Kind.UNUSED if before.state is State.APPROVED else Kind.EXPIRE
        if kind is not None:
            number = data.get("number", 1)
            yield Timer(before.id, kind, before.round, data["level"], number, "").key
