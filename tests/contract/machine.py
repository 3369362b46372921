"""The state machine: it plays with a release, whose model knows what must happen.

Before every step the model says whether the step is to be accepted, and afterwards where the
release has to be; so a rule that is too lax and a rule that is too strict are both found.

Tuned for: bursts of eligible voters in any order, second votes, stale rounds and digests, jumps to
the deadline, lent votes, people losing their roles between the approval and the promotion, and the
waiver of its one gate ending or losing its ground (`machine_waivers`); attempts that die, come
late, come twice, and hand in grants of before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airlock.domain.approval.release import Decision, State, apply
from airlock.domain.approval.voting import Ballot
from airlock.domain.clock import moment
from airlock.domain.errors import AirlockError
from tests.contract.engines import CROWD, EXCLUDED, EXPIRES, LEVELS, STRANGER
from tests.contract.machine_waivers import GIVER, Waiving
from tests.contract.model import WAYS

PERSON = st.sampled_from(sorted(CROWD))
#: Mostly somebody who could not answer without what is lent.
TAKER = st.sampled_from(["vera", "boss", "vera", "boss", "vera", "boss", *sorted(CROWD)])
ROLE = st.sampled_from(["algorithm_lead", "compliance_officer", "risk_committee", "viewer"])


class ReleaseMachine(Waiving, RuleBasedStateMachine):
    """One release, from its opening to its end."""

    make_engine: Callable[[], Any]
    #: Who has the release, until when; every grant there ever was; the one that was spent.
    attempt: str
    until: datetime
    granted: list[str]
    moved: bool
    spent: str = ""

    @initialize(first=GIVER, hours=st.sampled_from([2000, 2000, 60]))
    def open(self, first: str, hours: int) -> None:
        self.engine = type(self).make_engine()
        self.roles = {name: set(roles) for name, roles in CROWD.items()}
        self.active = set(CROWD)
        self.lent = []
        self.votes, self.waivers = [], []
        self.state, self.level, self.round, self.voids = "BLOCKED", 0, 1, 0
        self.engine_and_model_agree()
        for no_end in (0, 90 * 24 + 1):
            self.waive_one("vera", no_end)
        for person in (first, "vera"):
            self.waive_one(person, hours)
        self.state, self.level = "AWAITING_APPROVAL", 1
        self.promoted, self.data = 0, self.engine.release.subject.data_digest
        self.attempt, self.until, self.moved = "", self.engine.clock.at, False
        self.granted = list[str]()
        self.opened_at = moment(str(self.engine.release.level_opened_at))

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        try:
            if sys.exc_info()[0] is None:  # what went wrong before is what counts
                self.say_no()
        finally:
            self.engine.close()

    def say_no(self) -> None:
        """At the end somebody who may answer says no, and nobody's yes comes after it."""
        self.waive_again()
        able = sorted(p for p in CROWD if self.state == "AWAITING_APPROVAL" and self.mandate(p))
        if able:
            self.cast(able[0], Decision.REJECT)
            self.engine_and_model_agree()
            self.invariant_4_a_no_is_final()
            self.cast(able[-1], Decision.APPROVE)

    # the steps

    def ballot(self, decision: Decision, **overrides: Any) -> Ballot:
        release = self.engine.release
        seen = {
            "decision": decision,
            "reason": "looked at it",
            "level": release.level,
            "round": release.round,
            "subject_digest": release.subject.digest,
        }
        return Ballot(**(seen | overrides))

    def attempt_to(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except AirlockError:
            return False
        return True

    def cast(self, person: str, decision: Decision, **overrides: Any) -> None:
        waiting = self.state == "AWAITING_APPROVAL" and not self.late() and not overrides
        waiting = waiting and self.waived()
        seat = self.mandate(person) if waiting else None
        rejects = decision is Decision.REJECT
        expected = seat is not None and (rejects or not self.strands(person, seat))
        ballot = self.ballot(decision, **overrides)
        done = self.attempt_to(lambda: self.engine.vote(person, ballot))
        assert done == expected, f"{person} {decision}: accepted {done}, expected {expected}"
        if not done or seat is None:
            return
        if rejects:
            self.state, self.level = "REJECTED", 0
            return
        self.votes.append((person, seat, self.level))
        if self.complete(self.level):
            self.opened_at = moment(str(self.engine.release.level_opened_at))
            last = self.level == len(LEVELS)
            self.state = "APPROVED" if last else self.state
            self.level = 0 if last else self.level + 1

    @rule(person=PERSON, approve=st.integers(0, 9))
    def vote(self, person: str, approve: int) -> None:
        self.cast(person, Decision.APPROVE if approve else Decision.REJECT)

    @rule(crowd=st.permutations(sorted(CROWD)), size=st.integers(1, 12))
    def burst(self, crowd: list[str], size: int) -> None:
        self.waive_again()
        for person in crowd[:size]:
            self.cast(person, Decision.APPROVE)

    @precondition(lambda self: self.votes)
    @rule(data=st.data())
    def again(self, data: st.DataObject) -> None:
        self.cast(data.draw(st.sampled_from(sorted(self.used()))), Decision.APPROVE)

    @rule(person=PERSON, what=st.sampled_from(["level", "round", "subject_digest"]))
    def stale(self, person: str, what: str) -> None:
        release = self.engine.release
        wrong = {
            "level": {"level": release.level + 1},
            "round": {"round": release.round - 1},
            "subject_digest": {"subject_digest": "sha256:" + "0" * 64},
        }
        self.cast(person, Decision.APPROVE, **wrong[what])

    @precondition(lambda self: self.state == "AWAITING_APPROVAL")
    @rule(role=ROLE, approve=st.booleans())
    def vote_unenrolled(self, role: str, approve: bool) -> None:
        """Airflow's role alone makes nobody an approver, whatever it is."""
        self.waive_again()
        self.engine.claim(STRANGER, frozenset({role}))
        ballot = self.ballot(Decision.APPROVE if approve else Decision.REJECT)
        assert not self.attempt_to(lambda: self.engine.vote(STRANGER, ballot)), f"{role} counted"

    @rule(person=PERSON, role=ROLE, active=st.integers(0, 4))
    def change_rights(self, person: str, role: str, active: int) -> None:
        self.change_rights_to(person, role, active=bool(active))

    def change_rights_to(self, person: str, role: str, *, active: bool) -> None:
        self.roles[person] = {role}
        self.active = self.active | {person} if active else self.active - {person}
        self.engine.set_person(person, frozenset({role}), active)

    @rule(
        data=st.data(),
        taker=TAKER,
        hours=st.sampled_from([1, 400]),
        wait=st.sampled_from([0, 2]),
    )
    def lend(self, data: st.DataObject, taker: str, hours: int, wait: int) -> None:
        if self.lend_one(data, taker, hours):
            self.engine.clock.pass_(hours=wait)
            self.cast(taker, Decision.APPROVE)

    @precondition(lambda self: self.lent)
    @rule(data=st.data(), taker=TAKER)
    def lend_on(self, data: st.DataObject, taker: str) -> None:
        """The taker of one lends to a third, answers, and then the third tries for the first."""
        middle = data.draw(st.sampled_from(self.lent))[1]
        if self.lend_one(data, taker, 400, middle):
            self.cast(middle, Decision.APPROVE)
            self.cast(taker, Decision.APPROVE)

    def lend_one(self, data: st.DataObject, taker: str, hours: int, giver: str = "") -> bool:
        self.waive_again()
        voting = {"algorithm_lead", "compliance_officer", "risk_committee"}
        givers = sorted(p for p in self.active if self.roles[p] & voting and p != taker)
        givers = [giver] if giver in givers else [] if giver else givers
        if not givers or taker not in self.active or "admin" in self.roles[taker]:
            return False
        giver = data.draw(st.sampled_from(givers))
        if any((giver, taker) == one[:2] for one in self.lent):
            return False
        end = self.engine.clock.at + timedelta(hours=hours)
        self.engine.lend(giver, taker, hours)
        self.lent.append((giver, taker, end))
        return True

    @rule(hours=st.sampled_from([1, 2, 30, 75]))
    def wait(self, hours: int) -> None:
        self.engine.clock.pass_(hours=hours)

    @precondition(lambda self: self.state == "AWAITING_APPROVAL")
    @rule(early=st.booleans())
    def wait_to_the_deadline(self, early: bool) -> None:
        edge = self.opened_at + EXPIRES - timedelta(seconds=60 if early else 0)
        self.engine.clock.at = max(self.engine.clock.at, edge)

    @rule(seldom=st.integers(0, 2))
    def void(self, seldom: int) -> None:
        if not seldom:
            self.void_now()

    def void_now(self) -> None:
        self.voids += 1
        done = self.attempt_to(lambda: self.engine.void(f"sha256:{self.voids:064d}"))
        assert done == (self.state != "PROMOTING")
        if self.state in ("AWAITING_APPROVAL", "APPROVED"):
            self.state, self.level, self.round = "AWAITING_APPROVAL", 1, self.round + 1
            self.votes, self.data = [], f"sha256:{self.voids:064d}"
            self.waivers = [] if self.engine.voids_waivers else self.waivers
            self.opened_at = moment(str(self.engine.release.level_opened_at))

    @rule(person=st.sampled_from(["ana", "ana", "lena", "admin"]), seldom=st.integers(0, 4))
    def withdraw(self, person: str, seldom: int) -> None:
        if seldom:
            return
        expected = person == "ana" and self.state in ("AWAITING_APPROVAL", "APPROVED")
        assert self.attempt_to(lambda: self.engine.withdraw(person)) == expected
        if expected:
            self.state, self.level = "WITHDRAWN", 0

    # promoting: a task begins, hands its grant in, asks to finish, or dies at any point

    def lapse(self) -> None:
        """What the decider does with an attempt whose time is over, before anything else."""
        if self.state == "PROMOTING" and self.engine.clock.at >= self.until:
            self.settled()

    def settled(self) -> None:
        self.state = "PROMOTED" if self.moved else "APPROVED"
        self.promoted += self.moved

    def begin_now(self, attempt: str) -> bool:
        self.lapse()
        still = self.state == "APPROVED" and all(self.complete(n + 1) for n in range(len(WAYS)))
        expected = still and self.waived() and not self.approval_over()
        expected = expected or (self.state == "PROMOTING" and self.attempt == attempt)
        before = self.engine.clock.at
        done = self.attempt_to(lambda: self.granted.append(self.engine.begin(attempt)))
        assert done == expected, f"{attempt} began {done}, expected {expected}"
        if done and self.state == "APPROVED":
            self.state, self.attempt = "PROMOTING", attempt
            self.until = moment(self.engine.release.lease.until)
            lasts = self.until - before
            assert lasts < timedelta(seconds=121), f"the lease lasts {lasts}"
        return done

    def hand_in_now(self, grant: str) -> None:
        """Only the grant of the attempt that has the release moves anything, and in its time."""
        living = self.state == "PROMOTING" and grant == self.granted[-1]
        expected = living and (self.moved or self.engine.clock.at < self.until)
        expected = expected or (self.state == "PROMOTED" and grant == self.spent)
        done = self.attempt_to(lambda: self.engine.hand_in(grant))
        assert done == expected, f"{grant} moved {done}, expected {expected}"
        if done and living:
            self.moved, self.spent = True, grant

    def finish_now(self, attempt: str) -> None:
        mine = self.state == "PROMOTING" and self.attempt == attempt
        expected = mine and self.moved
        done = self.attempt_to(lambda: self.engine.finish(attempt))
        assert done == expected, f"{attempt} finished {done}, expected {expected}"
        if mine:
            self.settled()

    @rule(attempt=st.sampled_from(["one", "two"]))
    def begin(self, attempt: str) -> None:
        self.begin_now(attempt)

    @precondition(lambda self: self.granted)
    @rule(data=st.data())
    def hand_in(self, data: st.DataObject) -> None:
        """The newest grant mostly; any grant there ever was may be tried."""
        last = self.granted[-1]
        self.hand_in_now(data.draw(st.sampled_from([last, last, *self.granted])))

    @rule(attempt=st.sampled_from(["one", "two"]))
    def finish(self, attempt: str) -> None:
        self.finish_now(attempt)

    @rule(seconds=st.sampled_from([1, 60, 119, 130]))
    def settle(self, seconds: int) -> None:
        self.engine.clock.pass_(seconds=seconds)
        self.lapse()
        self.engine.settle()

    def promote_now(self, attempt: str) -> None:
        if self.begin_now(attempt):
            self.hand_in_now(self.granted[-1])
            self.finish_now(attempt)

    @precondition(lambda self: self.state in ("APPROVED", "PROMOTING"))
    @rule(
        data=st.data(),
        what=st.sampled_from(["withdraw", "void", "another", "late", "wait", "finish"]),
    )
    def die(self, data: st.DataObject, what: str) -> None:
        """An attempt begins; something happens; whatever was signed is handed in late."""
        if not self.begin_now("one"):
            return
        if what == "withdraw":
            assert not self.attempt_to(lambda: self.engine.withdraw("ana"))
        elif what == "void":
            self.void_now()
        elif what == "another":
            assert not self.begin_now("two")
        elif what == "finish":
            self.finish_now("one")
        else:
            self.engine.clock.pass_(seconds=60 if what == "wait" else 180)
        for grant in data.draw(st.permutations(self.granted)):
            self.hand_in_now(grant)
        self.begin_now("two")

    @precondition(lambda self: self.state in ("AWAITING_APPROVAL", "APPROVED"))
    @rule(data=st.data(), what=st.sampled_from(["", "rights", "wait", "twice", "void", "waiver"]))
    def run_up(self, data: st.DataObject, what: str) -> None:
        """Get every approval there is, let something happen, then promote."""
        self.waive_again()
        for person in data.draw(st.permutations(sorted(CROWD))) * 2:
            if self.state == "AWAITING_APPROVAL" and self.mandate(person):
                self.cast(person, Decision.APPROVE)
        self.engine_and_model_agree()
        if what == "rights" and self.votes:
            voter = data.draw(st.sampled_from(self.votes))[0]
            self.change_rights_to(voter, "viewer", active=True)
        elif what == "wait":
            self.engine.clock.pass_(hours=336)
        elif what == "void":
            self.void_now()
        elif what == "waiver" and self.waivers:
            self.change_rights_to(self.waivers[-1][0], "viewer", active=True)
        for attempt in ("one", "two") if what == "twice" else ("one",):
            self.promote_now(attempt)

    def approval_over(self) -> bool:
        told = [e["at"] for e in self.engine.log() if e["what"] == "ReleaseApproved"]
        return bool(self.engine.clock.at >= moment(told[-1]) + timedelta(hours=336))

    # what holds always

    @invariant()
    def engine_and_model_agree(self) -> None:
        release = self.engine.release
        assert (release.state.value, release.level, release.round) == (
            self.state,
            self.level,
            self.round,
        )

    @invariant()
    def invariant_1_no_grant_without_its_votes(self) -> None:
        told = [event["what"] for event in self.engine.log()]
        for at, what in enumerate(told):
            if what == "GrantIssued":
                assert "ReleaseApproved" in told[:at]
                assert told[at - 1] == "PromotionStarted", "a grant is made when it is used"
        assert (self.engine.grant is not None) == ("GrantIssued" in told)

    @invariant()
    def invariant_2_nobody_judges_own_work(self) -> None:
        for one in self.engine.release.votes:
            assert not {one.person, one.behind} & EXCLUDED

    @invariant()
    def invariant_3_one_person_one_vote_one_level(self) -> None:
        release = self.engine.release
        now = [v for v in release.votes if v.round == release.round]
        names = [name for v in now for name in {v.person, v.mandate.principal}]
        assert len(names) == len(set(names))

    @invariant()
    def invariant_4_a_no_is_final(self) -> None:
        told = [event["what"] for event in self.engine.log()]
        if any(v.decision is Decision.REJECT for v in self.engine.release.votes):
            assert self.engine.release.state is State.REJECTED
            assert "ReleasePromoted" not in told

    @invariant()
    def invariant_5_change_voids(self) -> None:
        told = [event["what"] for event in self.engine.log()]
        assert told.count("ReleaseVoided") == self.engine.release.round - 1
        assert self.engine.release.subject.data_digest == self.data

    @invariant()
    def invariant_6_a_grant_is_spent_once(self) -> None:
        told = [event["what"] for event in self.engine.log()]
        assert told.count("ReleasePromoted") == self.promoted <= 1

    @invariant()
    def invariant_6_what_ended_has_moved_nothing(self) -> None:
        assert self.engine.moved == self.moved
        if self.moved:
            assert self.state in ("PROMOTING", "PROMOTED")
        assert (self.engine.release.lease is not None) == (self.state == "PROMOTING")

    @invariant()
    def invariant_7_time_never_approves_and_8_one_outcome(self) -> None:
        ends = {"ReleaseRejected", "ReleaseWithdrawn", "ReleasePromoted", "ReleaseExpired"}
        told = [event for event in self.engine.log() if event["what"] in ends | {"ReleaseApproved"}]
        assert sum(event["what"] in ends for event in told) <= 1
        for event in told:
            if event["what"] == "ReleaseApproved":
                assert event["who"]["id"] in CROWD

    @invariant()
    def invariant_9_replaying_the_log_rebuilds_the_state(self) -> None:
        replayed = None
        for content in self.engine.log():
            replayed = apply(replayed, content)
        assert replayed == self.engine.release

    @precondition(lambda self: self.state == "AWAITING_APPROVAL")
    @rule()
    def who_may_answer(self) -> None:
        """Everybody named could answer; nobody who completes a level is left out."""
        named = set(self.engine.may_answer())
        able = {p for p in CROWD if (s := self.mandate(p)) and not self.strands(p, s)}
        assert named <= able
        for person in able - named:
            seat = self.mandate(person)
            assert seat is not None
            self.votes.append((person, seat, self.level))
            assert not self.complete(self.level), f"{person} would complete it, but is not named"
            self.votes.pop()
