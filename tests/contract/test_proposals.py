"""What tasks propose, over PostgreSQL with the real roles and in one process: the same answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text

from airlock.adapters.sql_store.outbox.listening import PROPOSALS, Listener
from airlock.adapters.sql_store.proposals.submission import SqlProposals
from airlock.domain.approval.release import State
from airlock.domain.clock import moment, stamp
from airlock.domain.digest import digest_json
from airlock.domain.errors import Conflict, Invalid, NotFound, Refused, Unreachable
from airlock.domain.evidence.proposals import MOST_BYTES, MOST_PENDING, Kind, run_stream
from airlock.entrypoints.workers.proposal_loop import ProposalLoop
from airlock.ports import PendingProposal, PromotionRequest, RunRecord
from airlock.services.audit import access_log
from airlock.services.promotion import promote
from airlock.services.proposals import Handling, ProposedPromotions
from airlock.services.proposals.recent import RecentRuns
from airlock.services.queries import releases
from airlock.testing import FakeRuns, World, pipeline_document
from tests.contract.conftest import Database

MakeWorld = Callable[..., World]
ORIGIN = "credit/run-1"


@contextmanager
def answering(world: World, database: Database) -> Iterator[SqlProposals]:
    """Let a decider answer, and propose as a task does."""
    stop = threading.Event()
    handling = Handling(world.store, world.sources())
    loop = ProposalLoop(handling, Listener(plain(database, "airlock_decider"), PROPOSALS))
    thread = threading.Thread(target=loop.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield SqlProposals(database.urls["airlock_worker"], patience=30)
    finally:
        stop.set()
        thread.join()


def plain(database: Database, role: str) -> str:
    return database.urls[role]


def dsn(database: Database, role: str) -> str:
    return database.urls[role].replace("+psycopg", "")


@pytest.fixture
def apart(postgres_database: Database) -> World:
    """Return a world whose worker has its own role."""
    decider, worker = (postgres_database.store(f"airlock_{w}") for w in ("decider", "worker"))
    return World(decider, worker=worker)


def begin(world: World, origin: str = ORIGIN) -> dict[str, Any]:
    return {"pipeline": digest_json(world.pipeline), "policy": world.rulebook.digest}


def events(world: World, origin: str) -> list[dict[str, Any]]:
    with world.store.begin() as unit:
        return [entry.content for entry in unit.entries(run_stream(origin))]


def test_a_whole_release_is_proposed_over_postgresql(
    apart: World, postgres_database: Database
) -> None:
    with answering(apart, postgres_database) as proposals:
        apart.proposals = proposals
        release_id = apart.open()
        apart.approve_all(release_id)
        apart.promote(release_id)
    assert access_log.verify(apart.store, apart.keys).ok
    told = events(apart, ORIGIN)
    assert [one["what"] for one in told] == [
        "RunStarted",
        "EvidenceSubmitted",
        "CandidateSubmitted",
        "GateJudged",
    ]
    assert {one["who"]["id"] for one in told} == {"system:decider"}
    assert told[0]["data"]["requester"] == "ana"


def test_a_refusal_comes_back_as_what_it_is(apart: World, postgres_database: Database) -> None:
    with answering(apart, postgres_database) as proposals:
        with pytest.raises(NotFound, match="no release 'rel-none'") as caught:
            proposals.submit(Kind.PARK, ORIGIN, {"release": "rel-none", "level": 1, "task": "t"})
        assert caught.value.next_step
        with pytest.raises(Refused, match="has not begun here"):
            proposals.submit(Kind.RELEASE, ORIGIN, {"policy": "sha256:0"})


BAD: list[tuple[str, str, str]] = [
    ("run", "no JSON at all", "is no JSON"),
    ("run", "[1]", "is list, not an object"),
    ("run", '{"pipeline": NaN}', "NaN is no JSON"),
    ("run", "{}", "pipeline is None, expected a text"),
    ("run", '{"pipeline": 7, "policy": "x"}', "pipeline is 7"),
    ("run", '{"pipeline": "\\u0000", "policy": "x"}', "without NUL"),
    ("run", '{"pipeline": "\\ud800", "policy": "x"}', "without NUL or half characters"),
    ("run", "[" * 100_000, "is no JSON"),
    ("vote", "{}", "there is no kind of proposal 'vote'"),
    ("evidence", '{"evidence": 3}', "evidence is 3"),
    ("evidence", '{"evidence": [3]}', "a list of objects"),
    ("evidence", '{"evidence": [{"kind": "A B", "artifactDigest": "x", "facts": {}}]}', "word"),
    ("result", '{"gate": {"gate": "no-such"}, "verdict": "PASSED"}', "there is no gate"),
    ("result", '{"gate": {"gate": "latency", "x": 1}, "verdict": "PASSED"}', "cannot be made"),
    ("candidate", '{"candidate": []}', "candidate is \\[\\], expected an object"),
    ("park", '{"release": "r", "level": true, "task": "t"}', "level is True"),
    ("promotion-begin", '{"release": "r", "attempt": "a", "reach": {}}', "is not one of run"),
]


def test_what_cannot_be_read_is_refused_and_stops_nothing(
    apart: World, postgres_database: Database
) -> None:
    """Invariant 18. All of them wait at once, and an honest one behind them is answered."""
    with psycopg.connect(dsn(postgres_database, "airlock_worker"), autocommit=True) as worker:
        handed = [
            worker.execute("SELECT * FROM propose(%s, %s, %s)", (kind, ORIGIN, body)).fetchone()
            for kind, body, _ in BAD
        ]
        with answering(apart, postgres_database) as proposals:
            done = proposals.submit(Kind.RUN, ORIGIN, begin(apart))
        assert done["requester"] == "ana"
        for (kind, _, words), row in zip(BAD, handed, strict=True):
            assert row is not None
            (answer,) = worker.execute("SELECT proposal_answer(%s, %s)", row).fetchone() or ("",)
            said = json.loads(answer)["refused"]
            assert words.replace("\\", "") in said["message"], (kind, said)


def test_a_handler_that_breaks_is_a_refusal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_origin: str) -> RunRecord:
        raise ZeroDivisionError

    monkeypatch.setattr(world.runs, "run", broken)
    with pytest.raises(Invalid, match="could not be handled: ZeroDivisionError"):
        world.proposals.submit(Kind.RUN, ORIGIN, begin(world))


def test_a_proposal_that_ends_its_process_is_set_aside(
    apart: World, postgres_database: Database
) -> None:
    waiting = Listener(plain(postgres_database, "airlock_decider"), PROPOSALS)
    loop = ProposalLoop(Handling(apart.store, apart.sources()), waiting)
    with psycopg.connect(dsn(postgres_database, "airlock_worker"), autocommit=True) as worker:
        row = worker.execute(
            "SELECT * FROM propose(%s, %s, %s)", ("run", ORIGIN, json.dumps(begin(apart)))
        ).fetchone()
        assert row is not None
        loop.answer(PendingProposal(row[0], "run", ORIGIN, "{}", attempts=4))
        (answer,) = worker.execute("SELECT proposal_answer(%s, %s)", row).fetchone() or ("",)
    assert "ended the process" in json.loads(answer)["refused"]["message"]


def test_nobody_answers_is_unreachable_and_says_what_to_look_at(
    apart: World, postgres_database: Database
) -> None:
    proposals = SqlProposals(postgres_database.urls["airlock_worker"], patience=0.05)
    with pytest.raises(Unreachable, match=r"in 0.05 seconds") as caught:
        proposals.submit(Kind.RUN, ORIGIN, begin(apart))
    assert "airlock status" in caught.value.next_step


def test_what_is_too_large_or_too_much_is_refused_by_the_database(
    apart: World, postgres_database: Database
) -> None:
    proposals = SqlProposals(postgres_database.urls["airlock_worker"], patience=0)
    with pytest.raises((Invalid, Unreachable), match=f"body of {MOST_BYTES} bytes at most"):
        proposals.submit(Kind.RUN, ORIGIN, {"x": "y" * MOST_BYTES})
    owner = create_engine(postgres_database.urls["postgres"])
    with owner.begin() as connection:
        connection.execute(
            text(f"SELECT propose('run', 'o', '{{}}') FROM generate_series(1, {MOST_PENDING})")
        )
    owner.dispose()
    with pytest.raises(Unreachable, match=f"{MOST_PENDING} proposals wait"):
        proposals.submit(Kind.RUN, ORIGIN, {})


def test_only_whoever_has_proposed_hears_the_answer(
    apart: World, postgres_database: Database
) -> None:
    with (
        answering(apart, postgres_database) as proposals,
        psycopg.connect(dsn(postgres_database, "airlock_worker"), autocommit=True) as worker,
    ):
        proposals.submit(Kind.RUN, ORIGIN, begin(apart))
        assert worker.execute("SELECT proposal_answer(1, 'guess')").fetchone() == (None,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            worker.execute("SELECT * FROM proposal")


def test_the_function_owns_who_and_when(apart: World, postgres_database: Database) -> None:
    with psycopg.connect(dsn(postgres_database, "airlock_worker"), autocommit=True) as worker:
        worker.execute("SET search_path = pg_temp, public")
        worker.execute("SELECT public.propose('run', 'o', '{}')")
    with psycopg.connect(dsn(postgres_database, "postgres")) as owner:
        row = owner.execute("SELECT handed_in_by, handed_in_at, attempts FROM proposal").fetchone()
        clock = owner.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    assert clock is not None
    assert (row[0], row[2]) == ("airlock_worker", 0)
    assert abs(moment(row[1]) - clock[0]) < timedelta(minutes=1)


def test_an_uncommitted_proposal_makes_nobody_wait(
    apart: World, postgres_database: Database
) -> None:
    with psycopg.connect(dsn(postgres_database, "airlock_worker")) as hostile:
        hostile.execute("SELECT propose('run', 'o', '{}')")  # and never commits
        with answering(apart, postgres_database) as proposals:
            assert proposals.submit(Kind.RUN, ORIGIN, begin(apart))["requester"] == "ana"


def test_answers_are_forgotten_after_a_while(apart: World, postgres_database: Database) -> None:
    with answering(apart, postgres_database) as proposals:
        proposals.submit(Kind.RUN, ORIGIN, begin(apart))
    with apart.store.begin() as unit:
        assert unit.forget_proposals(stamp(unit.now() - timedelta(hours=1))) == 0
        assert unit.forget_proposals(stamp(unit.now())) == 1


def test_the_same_proposal_twice_gives_the_same_answer(world: World) -> None:
    first = world.proposals.submit(Kind.RUN, ORIGIN, begin(world))
    again = world.proposals.submit(Kind.RUN, ORIGIN, begin(world))
    assert first["requester"] == again["requester"]
    origin = world.measure("run-2")
    told = events(world, origin)
    evidence_again = world.request(origin)
    assert world.request(origin) == evidence_again
    assert events(world, origin) == told


@pytest.mark.attack
def test_a_note_says_what_failed_in_airflows_words_and_whose_word_the_reason_is(
    world: World,
) -> None:
    """Row 8 of the attacks: no task has a decision noted on another team's run."""
    handling = Handling(world.store, world.sources())
    world.runs.add("theirs/run", "olga")
    body = json.dumps({"why": "APPROVED by the risk committee"})
    finish = lambda unit, _answer: unit.commit()  # noqa: E731
    answer = handling.answer(Kind.FAILURE, "theirs/run", body, finish)
    assert "no task of theirs/run has failed" in answer["refused"]["message"]
    world.runs.failed["theirs/run"] = ("train", "evaluate")
    assert "done" in handling.answer(Kind.FAILURE, "theirs/run", body, finish)
    with world.store.begin() as unit:
        notes = [one.payload["text"] for one in unit.claim() if one.kind == "run-note"]
    said = "Task train and 1 more failed. The run says why: APPROVED by the risk committee"
    assert notes == [said]


def test_a_run_that_went_on_a_moment_ago_is_not_asked_about_again() -> None:
    now, source = [0.0], FakeRuns()
    runs = RecentRuns(source, 5, clock=lambda: now[0])
    first = runs.run(ORIGIN)
    source.down = True
    assert runs.run(ORIGIN) == first
    now[0] = 6.0
    with pytest.raises(Unreachable):
        runs.run(ORIGIN)
    source.down = False
    source.runs[ORIGIN] = replace(first, state="failed")  # type: ignore[type-var]
    assert runs.run(ORIGIN).is_over  # type: ignore[union-attr]


def test_a_cleared_run_begins_again_until_it_has_a_candidate(world: World) -> None:
    with world.store.begin() as unit:
        early = unit.now() - timedelta(hours=2)
    world.runs.add(ORIGIN, "ana", started_at=early)
    first = world.proposals.submit(Kind.RUN, ORIGIN, begin(world))
    assert first["startedAt"] == stamp(early)
    later = early + timedelta(hours=1)
    world.runs.add(ORIGIN, "lena", started_at=later)
    again = world.proposals.submit(Kind.RUN, ORIGIN, begin(world))
    assert (again["startedAt"], again["requester"]) == (stamp(later), "lena")
    origin = world.measure("run-2")
    with world.store.begin() as unit:
        known = unit.run(origin)
    world.runs.add(origin, "lena", started_at=later)
    world.proposals.submit(Kind.RUN, origin, begin(world))
    with world.store.begin() as unit:
        assert unit.run(origin) == known
    other = dict(begin(world), pipeline=digest_json({}))
    with pytest.raises((Conflict, Unreachable)):
        world.proposals.submit(Kind.RUN, origin, other)


def test_a_task_asks_again_while_what_it_would_replace_is_being_promoted(
    make_world: Callable[..., World],
) -> None:
    document = pipeline_document()
    document["spec"]["whenReleaseOpen"] = "supersede"
    world = make_world(pipeline=document)
    old, origin = world.open("first"), world.measure("second")
    world.approve_all(old)
    world.promoter.begin(PromotionRequest(release=old, attempt="slow"))
    with pytest.raises(Unreachable, match="is being promoted by slow until"):
        world.request(origin)
    with pytest.raises(Refused, match="the alias had not moved"):
        world.promoter.finish(old, "slow")
    assert world.request(origin).outcome == "opened"
    assert releases.outcome(world.store, old).state is State.SUPERSEDED


def test_a_task_asks_again_while_another_attempt_has_its_release(world: World) -> None:
    release_id = world.open()
    world.approve_all(release_id)
    world.promoter.begin(PromotionRequest(release=release_id, attempt="slow"))
    promotions = ProposedPromotions(world.proposals, "credit/run-1")
    with pytest.raises(Unreachable, match="is being promoted by slow until"):
        promote.promote(promotions, world.registry, release_id, "credit/run-1/promote")
