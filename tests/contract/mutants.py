"""Protocol mutants: a sentence -> the rule it breaks. The state machine has to kill every one.

A mutant replaces one rule of the domain by a plausible wrong one, wherever that rule is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airlock.domain.approval import (
    matching,
    release,
    rules,
    timers,
    voting,
    waiver_approval,
    waivers,
)
from airlock.domain.approval.release import State
from airlock.domain.people import actors, delegation, separation_of_duties
from airlock.domain.promotion import promotion
from tests.contract import engines

Patch = pytest.MonkeyPatch
#: How far two clocks may be apart.
SKEW = timedelta(minutes=5)
NOTHING: Callable[..., None] = lambda *_, **__: None  # noqa: E731 - it is a rule, not a helper


def no_separation(patch: Patch) -> None:
    patch.setattr(voting, "why_excluded", lambda *_: "")
    patch.setattr(
        delegation.Mandate, "counts", lambda self, able, _: all(p in able for p in self.people)
    )


def separation_of(*kept: str) -> Callable[[Patch], None]:
    def mutate(patch: Patch) -> None:
        def some(self: separation_of_duties.Separation, work: separation_of_duties.Work) -> Any:
            return [(p, w) for p, w in original(self, work) if w in kept]

        original = separation_of_duties.Separation._by_work
        patch.setattr(separation_of_duties.Separation, "_by_work", some)

    return mutate


def only_by_own_name(patch: Patch) -> None:
    def counts(self: delegation.Mandate, able: Any, excluded: Collection[str]) -> bool:
        return all(p in able for p in self.people) and self.person not in excluded

    patch.setattr(delegation.Mandate, "counts", counts)


def two_votes(patch: Patch) -> None:
    patch.setattr(release.Release, "voters", property(lambda _: frozenset()))


def any_level(patch: Patch) -> None:
    original = voting._check_person

    def lax(one: Any, plan: Any, ballot: Any, actor: Any) -> None:
        original(one, plan, replace(ballot, level=one.level), actor)

    patch.setattr(voting, "_check_person", lax)


def stale(field: str) -> Callable[[Patch], None]:
    def mutate(patch: Patch) -> None:
        original = voting._check_seen

        def lax(one: Any, ballot: Any) -> None:
            now = {"round": one.round, "subject_digest": one.subject.digest}
            original(one, replace(ballot, **{field: now[field]}))

        patch.setattr(voting, "_check_seen", lax)

    return mutate


def swallowed(what: str) -> Callable[[Patch], None]:
    """The event is never told."""

    def mutate(patch: Patch) -> None:
        original = release.Story.tell

        def tell(self: Any, told: str, *args: Any, **named: Any) -> None:
            if told != what:
                original(self, told, *args, **named)

        patch.setattr(release.Story, "tell", tell)

    return mutate


def unlogged(patch: Patch) -> None:
    """The state moves, its event is lost."""
    original = release.Story.tell

    def tell(self: Any, told: str, *args: Any, **named: Any) -> None:
        original(self, told, *args, **named)
        if told == "LevelOpened" and self.release.level > 1:
            self.events.pop()

    patch.setattr(release.Story, "tell", tell)


def one_seat_too_few(patch: Patch) -> None:
    original = matching._free

    def lax(*given: Any) -> Any:
        found = original(*given)
        return [] if len(found) == 1 else found

    patch.setattr(matching, "_free", lax)


def any_role(patch: Patch) -> None:
    patch.setattr(rules.Quorum, "fits", lambda *_: True)


def greedy(patch: Patch) -> None:
    """Each vote takes the first seat that fits and never moves (GitLab issue 425759)."""

    def free(choice: Any, voters: Collection[str], able: Any, _pool: Any = ()) -> list[Any]:
        seats = [(i, s) for i, way in enumerate(choice) for s in way for _ in range(s.count)]
        for person in sorted(voters):
            roles = able.get(person, frozenset())
            fit = next((seat for seat in seats if seat[1].fits(person, roles)), None)
            if fit:
                seats.remove(fit)
        return seats

    patch.setattr(matching, "_free", free)


def first_way_only(patch: Patch) -> None:
    patch.setattr(rules.AnyOf, "ways", lambda self: self.parts[0].ways())


def all_ways_at_once(patch: Patch) -> None:
    patch.setattr(rules.AnyOf, "ways", lambda self: rules.AllOf(self.parts).ways())


def stranding(patch: Patch) -> None:
    patch.setattr(voting, "strands", lambda *_: False)


def stale_rights(patch: Patch) -> None:
    patch.setattr(promotion, "check_votes", NOTHING)


def inactive_count(patch: Patch) -> None:
    patch.setattr(actors, "holders", lambda crowd: {one.id: one.roles for one in crowd})


def unenrolled_count(patch: Patch) -> None:
    patch.setattr(
        actors, "holders", lambda crowd: {one.id: one.claimed for one in crowd if one.active}
    )


def void_keeps(*kept: str) -> Callable[[Patch], None]:
    def mutate(patch: Patch) -> None:
        original = release._APPLY["ReleaseVoided"]

        def lax(one: Any, content: Any) -> Any:
            return replace(original(one, content), **{name: getattr(one, name) for name in kept})

        patch.setitem(release._APPLY, "ReleaseVoided", lax)  # type: ignore[arg-type]

    return mutate


def spent_twice(patch: Patch) -> None:
    """The guard forgets what was spent."""

    def hand_in(self: Any, grant_id: str) -> None:
        self.spent.add(grant_id)

    patch.setattr(engines.DomainEngine, "hand_in", hand_in)


def never_revoked(patch: Patch) -> None:
    patch.setattr(engines.DomainEngine, "revoke", NOTHING)
    original = engines.ends_at
    patch.setattr(engines, "ends_at", lambda now, limits: original(now, limits) + SKEW)


def grant_for_ever(patch: Patch) -> None:
    original = engines.ends_at
    patch.setattr(engines, "ends_at", lambda now, limits: original(now, limits) + SKEW)


def overtaken(patch: Patch) -> None:
    """An attempt has nothing to itself: others go on as if it were not there."""
    patch.setattr(promotion, "check_idle", NOTHING)
    patch.setattr(engines, "check_idle", NOTHING)
    moves = {**release.MOVES, State.PROMOTING: release.MOVES[State.APPROVED]}
    moves[State.PROMOTING] |= release.MOVES[State.PROMOTING]
    patch.setattr(release, "MOVES", moves)


def believed(patch: Patch) -> None:
    """The task says that it has moved the alias, and nobody looks."""

    def finish(self: Any, attempt: str) -> None:
        lease = self.release.lease
        if lease is None or lease.attempt != attempt:
            raise engines.Conflict("nobody has it")
        grant, at = self.grants[lease.grant], self.now()
        self._keep(engines.finish(self.release, grant, attempt, at, at))

    patch.setattr(engines.DomainEngine, "finish", finish)


def approved_for_ever(patch: Patch) -> None:
    patch.setattr(engines, "check_unexpired", NOTHING)


def granted_at_once(patch: Patch) -> None:
    """A vote that approves makes a grant, as before."""
    original = engines.DomainEngine.vote

    def vote(self: Any, name: str, ballot: Any) -> None:
        original(self, name, ballot)
        if self.release.state is State.APPROVED:
            self.begin("early")

    patch.setattr(engines.DomainEngine, "vote", vote)


def skips_a_level(patch: Patch) -> None:
    def advance(story: Any, plan: Any, able: Any) -> None:
        if not voting.lacking(story.release, plan, able):
            story.tell("ReleaseApproved", {})

    patch.setattr(voting, "_advance", advance)


def late(patch: Patch) -> None:
    patch.setattr(timers, "check_in_time", NOTHING)


def late_by_one(patch: Patch) -> None:
    def after_only(one: Any, timing: Any, at: str) -> None:
        over = timers.deadline(one, timing)
        if over is not None and at[:16] > over[:16]:
            raise timers.Late("late")

    patch.setattr(timers, "check_in_time", after_only)


def lent_for_ever(patch: Patch) -> None:
    patch.setattr(delegation.Delegation, "holds", lambda *_: True)


def giver_votes_too(patch: Patch) -> None:
    patch.setattr(delegation.Mandate, "people", property(lambda self: frozenset({self.person})))


def chains(patch: Patch) -> None:
    original = delegation.eligible

    def longer(wanted: Sequence[Any], able: Any, powers: Any, *args: Any, **named: Any) -> Any:
        lent = powers.delegations
        more = [replace(b, giver=a.giver) for a in lent for b in lent if a.taker == b.giver]
        wider = replace(powers, delegations=(*lent, *(m for m in more if m.giver != m.taker)))
        return original(wanted, able, wider, *args, **named)

    patch.setattr(voting, "eligible", longer)


def early_stand_in(patch: Patch) -> None:
    original = delegation.eligible
    patch.setattr(voting, "eligible", lambda *args, **_: original(*args, escalated=True))


def anybody_withdraws(patch: Patch) -> None:
    def withdraw(one: Any, actor: Any, reason: str, at: str) -> Any:
        return promotion.withdraw(one, replace(actor, id=one.requester), reason, at)

    patch.setattr(engines, "withdraw", withdraw)


def waiver_for_ever(patch: Patch) -> None:
    def why_not(self: waivers.Scene, waiver: Any) -> str:
        return "" if waiver.person in self.able else "no right"

    patch.setattr(waivers.Scene, "why_not", why_not)


def waiver_without_giver(patch: Patch) -> None:
    ended: Callable[..., str] = lambda self, one: "over" if one.until <= self.at else ""  # noqa: E731
    patch.setattr(waivers.Scene, "why_not", ended)


def anybody_waives(patch: Patch) -> None:
    patch.setattr(waiver_approval, "_check_person", NOTHING)


def able_to_waive(*, barred: bool, minus: bool) -> Callable[[Patch], None]:
    """Return who may waive, without one of the two rules."""

    def mutate(patch: Patch) -> None:
        def able(one: Any, plan: Any, holders: Any) -> frozenset[str]:
            giving = plan.waiving - (holders.get(one.requester, frozenset()) if minus else set())
            out = {*plan.excluded, one.requester} if barred else set()
            return frozenset(p for p, roles in holders.items() if roles & giving and p not in out)

        patch.setattr(waiver_approval, "able_to_waive", able)
        if not barred:
            patch.setattr(waiver_approval, "why_excluded", lambda *_: "")

    return mutate


def waiver_of_anything(patch: Patch) -> None:
    patch.setattr(waivers.Waiver, "covers", lambda *_: True)


def waiver_of_any_length(patch: Patch) -> None:
    patch.setattr(waiver_approval, "_check_end", NOTHING)


MUTANTS: dict[str, Callable[[Patch], None]] = {
    "nobody is excluded": no_separation,
    "committers may vote": separation_of(
        separation_of_duties.REQUESTED, separation_of_duties.CHANGED_POLICY
    ),
    "the policy's changer may vote": separation_of(
        separation_of_duties.REQUESTED, separation_of_duties.COMMITTED
    ),
    "an excluded person votes through a delegate": only_by_own_name,
    "one person votes twice": two_votes,
    "a vote for a later level counts now": any_level,
    "an answer to an earlier round counts": stale("round"),
    "an answer to another digest counts": stale("subject_digest"),
    "a no is not final": swallowed("ReleaseRejected"),
    "the last seat may stay empty": one_seat_too_few,
    "any role fits any seat": any_role,
    "votes are matched greedily": greedy,
    "only the first way of anyOf counts": first_way_only,
    "anyOf needs all": all_ways_at_once,
    "somebody needed later is used up": stranding,
    "rights are not checked at promotion": stale_rights,
    "the deactivated still count": inactive_count,
    "the unenrolled count": unenrolled_count,
    "voiding keeps the round": void_keeps("round"),
    "voiding keeps the subject": void_keeps("subject"),
    "a grant is spent twice": spent_twice,
    "a grant lives for minutes more": grant_for_ever,
    "a grant of an attempt that is over can be spent": never_revoked,
    "an attempt is overtaken": overtaken,
    "the task's word is believed": believed,
    "an approval never goes stale": approved_for_ever,
    "an approval comes with its grant": granted_at_once,
    "the last levels are skipped": skips_a_level,
    "a late answer counts": late,
    "an answer right after the deadline counts": late_by_one,
    "a delegation never ends": lent_for_ever,
    "giver and delegate both vote": giver_votes_too,
    "what was lent is lent on": chains,
    "a superior stands in before escalation": early_stand_in,
    "anybody withdraws": anybody_withdraws,
    "a state has no event": unlogged,
    "a waiver never ends": waiver_for_ever,
    "a waiver outlives the right to give it": waiver_without_giver,
    "a waiver holds for other evidence": waiver_of_anything,
    "a waiver may end when it likes": waiver_of_any_length,
    "anybody waives": anybody_waives,
    "the excluded waive for own work": able_to_waive(barred=False, minus=True),
    "the requester's own role waives": able_to_waive(barred=True, minus=False),
}
#: What the machine kills after dozens or hundreds of games; all others take it a few.
SUBTLE = frozenset(
    {
        "an excluded person votes through a delegate",
        "a vote for a later level counts now",
        "an answer to an earlier round counts",
        "votes are matched greedily",
        "only the first way of anyOf counts",
        "somebody needed later is used up",
        "rights are not checked at promotion",
        "the deactivated still count",
        "a grant is spent twice",
        "a grant of an attempt that is over can be spent",
        "an attempt is overtaken",
        "the task's word is believed",
        "an approval never goes stale",
        "a delegation never ends",
        "what was lent is lent on",
        "the excluded waive for own work",
    }
)
