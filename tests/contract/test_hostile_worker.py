"""A hostile task beside honest people: whatever it proposes, no release moves but by people.

Each step is one proposal of any kind, by any run, with fields from everywhere: right ones, other
people's, wrong types, nonsense. Between them honest people approve, reject, withdraw and promote.
After every step each release is where people have brought it, and its subject is what the decider
measured for it.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.domain.approval.release import Decision, State
from airlock.domain.digest import digest_bytes, digest_json
from airlock.domain.errors import AirlockError
from airlock.domain.evidence.proposals import Kind
from airlock.services.approvals import decide
from airlock.services.audit import access_log
from airlock.services.promotion.promote import promote
from airlock.services.proposals import ProposedPromotions
from airlock.services.queries import releases as release_queries
from airlock.testing import FakeClock, World, pipeline_document
from tests.support import rounds, short_folder

pytestmark = pytest.mark.attack

ORIGINS = ("credit/honest-1", "credit/honest-2", "credit/liar", "other/liar", "credit/over", "x")
LOW = pipeline_document(impact="none")
TEMPLATE: list[bytes] = []


def fresh() -> tuple[SqlStore, Path]:
    """Return an empty migrated database."""
    folder = Path(short_folder("hostile", hasty=True))
    path = folder / "airlock.db"
    if TEMPLATE:
        path.write_bytes(TEMPLATE[0])
    else:
        upgrade(f"sqlite:///{path}")
        TEMPLATE.append(path.read_bytes())
    return SqlStore(f"sqlite:///{path}", clock=FakeClock()), folder


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**20),
    st.text(max_size=8),
    st.just("\x00"),
    st.just("\ud800"),
    st.lists(st.none(), max_size=2),
    st.dictionaries(st.sampled_from(["gate", "kind"]), st.none(), max_size=1),
)


class Hostile(RuleBasedStateMachine):
    """The machine."""

    def __init__(self) -> None:
        super().__init__()
        store, self.folder = fresh()
        self.store = store
        self.world = World(store, pipeline=pipeline_document())
        self.world.runs.strict = True
        #: Where people have brought each release.
        self.states: dict[str, State] = {}
        self.subjects: dict[str, str] = {}
        self.runs = 0
        self.moves = 0

    def teardown(self) -> None:
        """Let the log be verified once at the end of each life."""
        assert access_log.verify(self.world.store, self.world.keys).damages == ()
        self.store.close()
        shutil.rmtree(self.folder)

    @initialize()
    def begin(self) -> None:
        """Two honest runs, a liar's, one that is over."""
        for origin in ("credit/liar", "other/liar"):
            self.world.runs.add(origin, "ana")
        self.world.runs.add("credit/over", "ana", state="success")
        self._remember(self.world.open("honest-1"))

    def _remember(self, release_id: str) -> None:
        release = release_queries.outcome(self.store, release_id)
        self.states[release_id] = release.state
        self.subjects[release_id] = release.subject.digest

    # people

    @precondition(
        lambda self: not {State.AWAITING_APPROVAL, State.APPROVED} & set(self.states.values())
    )
    @rule()
    def honest_run(self) -> None:
        """Somebody trains again and asks."""
        self.runs += 1
        self._remember(self.world.open(f"again-{self.runs}"))

    @precondition(lambda self: self._open())
    @rule(name=st.sampled_from(["lena", "carla", "mara", "milo"]), no=st.integers(0, 19))
    def answer(self, name: str, no: int) -> None:
        """Somebody answers what is open."""
        (release_id, *_) = self._open()
        try:
            decision = Decision.REJECT if no == 0 else Decision.APPROVE
            self.states[release_id] = self.world.vote(release_id, name, decision).state
        except AirlockError:
            return

    @precondition(lambda self: self._open())
    @rule(sure=st.integers(0, 9))
    def withdraw(self, sure: int) -> None:
        """Its requester takes one back, now and then."""
        if sure == 0:
            (release_id, *_) = self._open()
            decide.withdraw(self.store, release_id, self.world.actor("ana"), "a mistake")
            self.states[release_id] = State.WITHDRAWN

    @precondition(lambda self: State.APPROVED in self.states.values())
    @rule()
    def honest_promotion(self) -> None:
        """The task of an approved release promotes it, by proposals."""
        release_id = next(one for one, at in self.states.items() if at is State.APPROVED)
        origin = release_queries.outcome(self.store, release_id).origin
        asked = ProposedPromotions(self.world.proposals, origin)
        promote(asked, self.world.registry, release_id, f"{origin}/promote")
        self.states[release_id] = State.PROMOTED
        self.moves += 1

    def _open(self) -> list[str]:
        return [one for one, at in self.states.items() if at is State.AWAITING_APPROVAL]

    # the liar

    @rule(
        kind=st.sampled_from([*Kind, "vote", "run", "candidate", "result", "release"]),
        origin=st.sampled_from(ORIGINS),
        seed=st.integers(0, 2**32),
        junk=JUNK,
    )
    def propose(self, kind: str, origin: str, seed: int, junk: Any) -> None:
        """Propose something."""
        dice = random.Random(seed)
        body = self._body(dice, junk)
        text = json.dumps(body) if dice.random() < 0.97 else json.dumps(body)[:-3]
        answer = self.world.proposals._handling.answer(
            kind, origin, text, lambda unit, _: unit.commit()
        )
        assert set(answer) in ({"done"}, {"refused"})
        json.dumps(answer)

    def _body(self, dice: random.Random, junk: Any) -> dict[str, Any]:
        digest = self._digest(dice)
        release = dice.choice([*self.states, "rel-0"])
        pipeline = dice.choice([digest_json(self.world.pipeline), digest_json(LOW), digest])
        item = {"kind": dice.choice(["evaluation", "latency", "data-profile"])}
        item |= {"artifactDigest": digest, "facts": self._facts(dice, junk)}
        fields = {
            "pipeline": pipeline,
            "policy": dice.choice([self.world.rulebook.digest, digest]),
            "evidence": dice.choice([[item], [], junk]),
            "candidate": self._candidate(dice, pipeline, digest),
            "gate": dice.choice([self.world.pipeline["spec"]["gates"][0], {"gate": "latency"}]),
            "verdict": dice.choice(["PASSED", "FAILED", "ERRORED", "WAIVED"]),
            "attestation": dice.choice(["", "{}", digest]),
            "afterRejection": dice.choice(["", release]),
            "reason": dice.choice(["", "because"]),
            "release": release,
            "level": dice.choice([1, 2, 3, 0]),
            "task": "level_1",
            "attempt": dice.choice([f"{dice.choice(ORIGINS)}/promote", "a"]),
            "reach": {"share": 1.0, "segments": []},
            "key": dice.choice(["", "detect/1"]),
        }
        if dice.random() < 0.3:
            fields[dice.choice(list(fields))] = junk
        return fields

    def _digest(self, dice: random.Random) -> str:
        known = [self.world.registry.artifact_digest(*one) for one in self.world.registry.files]
        return dice.choice([*known, digest_bytes(b"evil")])

    def _facts(self, dice: random.Random, junk: Any) -> Any:
        good = {"rows": 1000, "candidate": {"metrics": {"roc_auc": 0.99}}, "champion": None}
        return dice.choice([good, good, {"digest": junk}, junk])

    def _candidate(self, dice: random.Random, pipeline: str, digest: str) -> dict[str, Any]:
        with self.store.begin() as unit:
            run = unit.run(dice.choice(ORIGINS))
        return {
            "model": dice.choice(["credit", "credit", "other"]),
            "version": dice.choice(["1", "2", "3"]),
            "run_id": "r",
            "location": "l",
            "artifact_digest": digest,
            "data_digest": digest_bytes(b"data"),
            "code_commit": self.world.code.head,
            "pipeline_digest": pipeline,
            "requester": run.requester if run else "ana",
            "environment": dice.choice(["production", "production", "staging"]),
            "raised_to": dice.choice([None, "low", "high", "none"]),
            "started_at": run.started_at if run else "2999",
            "committers": [],
            "lock_digest": self.world.code.locked,
        }

    # what holds

    @invariant()
    def no_release_moves_but_by_people(self) -> None:
        """A release a liar opened waits for people like any other."""
        if not self.states:
            return
        with self.store.begin() as unit:
            releases = {one.id: one for one in unit.find(limit=1000)}
            line = unit.line("credit", "production")
        for release_id, state in self.states.items():
            now = releases[release_id]
            allowed = {state, State.PROMOTING} if state is State.APPROVED else {state}
            if state is State.APPROVED and now.state is State.PROMOTED:
                self.states[release_id] = State.PROMOTED  # by its own run's attempt: people agreed
                self.moves += 1
                continue
            assert now.state in allowed, (release_id, state, now.state)
            assert now.subject.digest == self.subjects[release_id]
        for release_id, release in releases.items():
            if release_id not in self.states:
                self._remember(release_id)
                assert release.state in (State.AWAITING_APPROVAL, State.BLOCKED), release
                assert release.subject.pipeline_digest == digest_json(self.world.pipeline)
                assert release.requester == "ana"
        assert line.epoch == self.moves


TestHostileWorker = Hostile.TestCase
TestHostileWorker.settings = settings(
    max_examples=rounds(4, 40),
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
