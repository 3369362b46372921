"""Invariant 4: a no is final. Rejected bytes come back only with a reference to the rejection."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airlock.adapters.sql_store import SqlStore
from airlock.domain.approval.rejections import RejectedBefore
from airlock.domain.approval.release import Decision, State
from airlock.domain.errors import Invalid, Refused
from airlock.domain.people.actors import Actor, Channel
from airlock.services.approvals import break_glass, decide
from airlock.services.approvals import open_release as release_opening
from airlock.services.audit import access_log
from airlock.services.queries import releases
from airlock.testing import RULEBOOK, World
from tests.contract.conftest import Database
from tests.support import rounds

RUN = Actor.system("run", Channel.DAG)


class Runs:
    """Asks for releases of runs that produced given bytes."""

    def __init__(self, world: World) -> None:
        self.world, self.number = world, 0

    def measure(self, content: str) -> str:
        """Register another version with this content and return the run."""
        self.number += 1
        return self.world.measure(f"run-{self.number}", content=content)

    def ask(self, content: str, rejection: str = "", why: str = "") -> release_opening.Opened:
        """Ask for the release of a new run with this content."""
        origin, world = self.measure(content), self.world
        again = release_opening.Again(rejection, why)
        policy = world.rulebook.digest
        return release_opening.request_release(world.store, policy, origin, "supersede", RUN, again)

    def open(self, content: str, rejection: str = "", why: str = "looked again") -> str:
        """Open a release and return its id."""
        release = self.ask(content, rejection, why if rejection else "").release
        assert release is not None
        return release.id

    def reject(self, release_id: str) -> str:
        """Say no, and return the release."""
        self.world.vote(release_id, "lena", Decision.REJECT, reason="bias in the sample")
        return release_id


@pytest.fixture
def runs(world: World) -> Runs:
    return Runs(world)


def test_bytes_nobody_rejected_need_no_reference(runs: Runs) -> None:
    assert runs.ask("new").outcome == "opened"
    shown = releases.show(runs.world.store, runs.world.keys, runs.open("other"), None)
    assert shown["afterRejection"] is None


def test_rejected_bytes_are_refused_and_the_refusal_says_what_to_do(runs: Runs) -> None:
    rejected = runs.reject(runs.open("same"))
    said = rf"version 2 .* rejected .* {rejected}.*no is final"
    with pytest.raises(RejectedBefore, match=said) as caught:
        runs.ask("same")
    advised = f"airlock release request --after-rejection {rejected} --why"
    assert advised in caught.value.next_step
    assert runs.ask("changed").outcome == "opened"
    assert runs.ask("same", rejected, "the sample was fine after all").outcome == "opened"


def test_with_the_reference_and_a_reason_they_come_back_and_everybody_sees_it(runs: Runs) -> None:
    world = runs.world
    rejected = runs.reject(runs.open("same"))
    release_id = runs.open("same", rejected, "the sample was fine after all")
    shown = releases.show(world.store, world.keys, release_id, None)
    assert shown["afterRejection"] == rejected
    assert "the sample was fine after all" in shown["why"]
    told = access_log.events(world.store, release_id)[0]
    assert told["data"]["attempt_of"] == rejected
    why = "the sample was fine after all"
    assert told["why"] == f"asked again after {rejected} was rejected: {why}"
    assert world.approve_all(release_id).state is State.APPROVED
    assert access_log.verify(world.store, world.keys).ok


def test_a_reference_without_a_reason_is_refused(runs: Runs) -> None:
    rejected = runs.reject(runs.open("same"))
    with pytest.raises(Invalid, match="a reason of 3"):
        runs.ask("same", rejected, "")


def test_only_the_newest_rejection_is_a_reference(runs: Runs) -> None:
    first = runs.reject(runs.open("same"))
    second = runs.reject(runs.open("same", first))
    with pytest.raises(RejectedBefore, match=f"{second}.*which {first} is not"):
        runs.ask("same", first, "looked again")
    assert runs.ask("same", second, "looked again").outcome == "opened"


@pytest.mark.parametrize("named", ["rel-0000", "open"])
def test_what_is_no_rejection_is_no_reference(runs: Runs, named: str) -> None:
    other = runs.open("other")
    with pytest.raises(Refused, match="is no rejection of credit in production"):
        runs.ask("new", other if named == "open" else named, "looked again")


def test_the_words_of_the_requester_are_the_requesters_to_erase(runs: Runs) -> None:
    from airlock.services.audit import erasure

    world = runs.world
    rejected = runs.reject(runs.open("same"))
    release_id = runs.open("same", rejected, "I have been told to")
    erasure.erase(world.store, world.actor("admin"), "ana", "asked for it")
    assert releases.outcome(world.store, release_id).why == "erased"
    assert access_log.verify(world.store, world.keys).ok


@pytest.mark.attack
def test_a_worker_that_leaves_the_reference_out_gains_nothing(
    runs: Runs, database: Database
) -> None:
    """The worker opens the release past its own check; the decider looks again."""
    world = runs.world
    runs.reject(runs.open("same"))
    release_id = _opened_past_the_check(runs, "same")
    for name in ("lena", "carla", "mara"):
        world.approve(release_id, name)
    with pytest.raises(RejectedBefore, match="a no is final"):
        world.approve(release_id, "milo")
    assert releases.outcome(world.store, release_id).state is State.AWAITING_APPROVAL
    assert access_log.events(world.store, release_id)[-1]["what"] == "VoteRefused"


@pytest.mark.attack
def test_breaking_the_glass_brings_no_rejected_bytes_back(
    make_world: Callable[..., World],
) -> None:
    document = copy.deepcopy(dict(RULEBOOK))
    glass: dict[str, Any] = {"roles": ["algorithm_lead"], "people": 2, "hours": 4}
    document["approval"]["spec"]["breakGlass"] = glass | {"reviewers": ["security_auditor"]}
    world = make_world(rulebook=document)
    runs = Runs(world)
    runs.reject(runs.open("same"))
    release_id = _opened_past_the_check(runs, "same")

    def smash(name: str) -> None:
        actor = world.actor(name)
        break_glass.break_glass(world.store, world.signer, release_id, actor, "it burns", "INC-7")

    smash("lena")
    with pytest.raises(RejectedBefore):
        smash("luis")


@pytest.mark.attack
def test_an_open_release_does_not_turn_into_rejected_bytes(runs: Runs) -> None:
    world = runs.world
    rejected = runs.reject(runs.open("same"))
    digest = releases.outcome(world.store, rejected).subject.artifact_digest
    release_id = runs.open("other")
    system = Actor.system("decider")
    with pytest.raises(RejectedBefore):
        decide.void(world.store, release_id, system, "changed", artifact_digest=digest)
    with pytest.raises(RejectedBefore):
        decide.void(world.store, release_id, system, "taken over", origin=runs.measure("same"))
    assert releases.outcome(world.store, release_id).round == 1


def _opened_past_the_check(runs: Runs, content: str) -> str:
    """Open a release whose bytes were swapped for rejected ones behind the worker's own check."""
    from airlock.domain.approval.release_request import Draft, open_release
    from airlock.domain.clock import stamp
    from airlock.domain.people.actors import holders
    from airlock.gates import build

    world, origin = runs.world, runs.measure(content)
    with world.store.begin() as unit:
        found = unit.candidate(origin)
        assert found is not None
        subject = release_opening._subject(found, world.rulebook.digest)
        plan, document = release_opening._plan(unit, found, world.rulebook.digest)
        draft = Draft(
            id=f"rel-{runs.number:010x}",
            origin=origin,
            subject=subject,
            location=found.location,
            requester=found.requester,
        )
        gates = [build(gate).key for gate in document["spec"]["gates"]]
        results = unit.results_of(origin)
        able, now = holders(unit.people()), stamp(unit.now())
        unit.record(open_release(draft, plan, results, gates, able, RUN, now))
        unit.commit()
    return draft.id


STEP = st.tuples(
    st.sampled_from(["one", "two"]),
    st.sampled_from(["none", "newest", "oldest", "other"]),
    st.sampled_from(["reject", "withdraw", "promote", "leave"]),
)


@settings(
    max_examples=rounds(8, 25),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
@given(steps=st.lists(STEP, min_size=1, max_size=8))
def test_invariant_4_a_no_is_final(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, ...]]
) -> None:
    """Whatever is asked for in whatever order: no rejected bytes without their newest rejection."""
    folder = tmp_path_factory.mktemp("no")
    store = SqlStore(f"sqlite:///{shutil.copy(sqlite_template, folder)}", pooled=False)
    runs = Runs(World(store))
    noes: dict[str, list[str]] = {"one": [], "two": []}
    for content, reference, then in steps:
        mine, others = noes[content], noes["two" if content == "one" else "one"]
        named = {"newest": mine[-1:], "oldest": mine[:1], "other": others[-1:]}.get(reference, [])
        rejection = named[0] if named else ""
        allowed = rejection == mine[-1] if mine else True
        try:
            release_id = runs.open(content, rejection)
        except Refused:
            assert not allowed
            continue
        assert allowed
        assert releases.outcome(store, release_id).attempt_of == rejection
        _end(runs, release_id, then, mine)
    assert access_log.verify(store, runs.world.keys).ok
    store.close()


def _end(runs: Runs, release_id: str, then: str, noes: list[str]) -> None:
    world = runs.world
    if then == "reject":
        noes.append(runs.reject(release_id))
    elif then == "withdraw":
        decide.withdraw(world.store, release_id, world.actor("ana"), "not now")
    elif then == "promote":
        world.approve_all(release_id)
        world.promote(release_id, release_id)
