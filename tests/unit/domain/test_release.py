"""The moves of a release: all pairs of states, and the fold over events."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import product

import pytest

from airlock.domain.approval.policy import Level, Rulebook, Tier
from airlock.domain.approval.release import MOVES, Release, State, Story, Subject, apply
from airlock.domain.errors import Conflict, Invalid
from airlock.domain.log.audit import Head, append
from airlock.domain.people.actors import Actor, Channel
from airlock.testing import RULEBOOK

SUBJECT = Subject(
    model="credit",
    version="1",
    artifact_digest="sha256:" + "a" * 64,
    data_digest="sha256:" + "b" * 64,
    code_commit="0123abc",
    pipeline_digest="sha256:" + "c" * 64,
    policy_digest="sha256:" + "d" * 64,
    environment="production",
)
RELEASE = Release(
    id="rel-1",
    origin="credit/run",
    subject=SUBJECT,
    location="memory:/credit/1",
    requester="ana",
    tier=Tier.HIGH,
    state=State.REQUESTED,
    opened_at="2026-01-01T00:00:00.000000000Z",
)
VOIDED = {
    "subject": asdict(replace(SUBJECT, version="2")),
    "origin": "credit/other",
    "location": "memory:/credit/2",
    "requester": "ana",
}
EVENTS = {
    State.BLOCKED: ("ReleaseBlocked", {}),
    State.AWAITING_APPROVAL: ("LevelOpened", {"level": 1}),
    State.APPROVED: ("ReleaseApproved", {}),
    State.REJECTED: ("ReleaseRejected", {}),
    State.WITHDRAWN: ("ReleaseWithdrawn", {}),
    State.SUPERSEDED: ("ReleaseSuperseded", {}),
    State.PROMOTED: ("ReleasePromoted", {}),
    State.ROLLED_BACK: ("ReleaseRolledBack", {}),
    State.EXPIRED: ("ReleaseExpired", {}),
    State.VOIDED: ("ReleaseVoided", VOIDED),
}


#: As the log told a promotion before a grant was made at the moment of use; it is still replayed.
BEFORE = {(State.APPROVED, State.PROMOTED)}


@pytest.mark.parametrize(("old", "new"), list(product(State, EVENTS)))
def test_only_the_legal_moves_are_made(old: State, new: State) -> None:
    event_type, data = EVENTS[new]
    story = Story(replace(RELEASE, state=old), Actor.system("x"), "2026", "p")
    if new in MOVES[old] or (old, new) in BEFORE:
        story.tell(event_type, data)
        assert story.release is not None
        assert story.release.state is new
    else:
        with pytest.raises(Conflict, match=f"it cannot become {new}"):
            story.tell(event_type, data)


def test_final_states_have_no_way_out() -> None:
    final = {state for state in State if not MOVES[state]}
    assert final == {
        State.REJECTED,
        State.EXPIRED,
        State.ROLLED_BACK,
        State.WITHDRAWN,
        State.SUPERSEDED,
    }


def test_an_event_without_a_release_is_nothing() -> None:
    content = {"what": "VoteCast", "data": {}, "at": "", "who": {"id": "x"}}
    assert apply(None, content) is None


def test_an_unknown_event_changes_nothing() -> None:
    content = {"what": "SomebodyLooked", "data": {}, "at": "", "who": {"id": "x"}}
    assert apply(RELEASE, content) == RELEASE


@pytest.mark.parametrize("field", list(Subject.__dataclass_fields__))
def test_invariant_5_any_change_in_the_subject_changes_its_digest(field: str) -> None:
    assert replace(SUBJECT, **{field: "other"}).digest != SUBJECT.digest


def test_a_story_and_its_entries_tell_the_same() -> None:
    story = Story(RELEASE, Actor("ana", "Ana", frozenset({"x"}), Channel.CLI), "2026", "policy")
    story.tell("LevelOpened", {"level": 1, "name": "lead"})
    entry = append(Head(), "rel-1", story.events[0], "2026")
    assert apply(RELEASE, entry.content) == story.release


def test_a_level_without_rules_cannot_exist() -> None:
    with pytest.raises(Invalid, match="has no rules"):
        Level("empty", ())


class TestRulebook:
    book = Rulebook.from_document(RULEBOOK)

    def test_the_first_matching_rule_decides_and_nothing_known_is_high(self) -> None:
        assert self.book.tier({"impact": "none"}) is Tier.LOW
        assert self.book.tier({"impact": "direct"}) is Tier.HIGH
        assert self.book.tier({}) is Tier.HIGH

    @pytest.mark.parametrize("declared", Tier)
    @pytest.mark.parametrize("wish", Tier)
    def test_a_person_can_only_raise_a_tier(self, declared: Tier, wish: Tier) -> None:
        assert declared.raised_to(wish).rank == max(declared.rank, wish.rank)

    def test_an_unknown_environment_is_refused(self) -> None:
        with pytest.raises(Invalid, match="unknown environment 'prod'"):
            self.book.plan("prod", Tier.LOW)

    def test_a_tier_without_levels_is_blocked(self) -> None:
        document = {
            **RULEBOOK,
            "approval": {
                "spec": {**RULEBOOK["approval"]["spec"], "tiers": {"low": {"levels": []}}}
            },
        }
        with pytest.raises(Invalid, match="no approval levels: blocked"):
            Rulebook.from_document(document).plan("production", Tier.LOW)

    def test_permissions_are_inherited_but_never_the_vote(self) -> None:
        assert self.book.permissions(frozenset({"algorithm_lead"})) == {
            "release:read",
            "release:vote",
        }
        roles = {
            **RULEBOOK["access"]["spec"]["roles"],
            "boss": {"inherits": ["algorithm_lead", "security_auditor"], "permissions": []},
        }
        document = {**RULEBOOK, "access": {"spec": {"roles": roles, "airflowRoles": {}}}}
        got = Rulebook.from_document(document).permissions(frozenset({"boss"}))
        assert got == {"release:read", "audit:read", "audit:verify"}

    def test_an_unknown_role_gives_nothing(self) -> None:
        assert self.book.permissions(frozenset({"nobody"})) == frozenset()
        assert self.book.roles_of_airflow(frozenset({"Op", "viewer"})) == {"viewer"}
