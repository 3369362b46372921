"""A hostile task with all a task has: the worker's role, and proposals. On PostgreSQL.

Each test of a row of issue 11 says what was done on a running platform before it was closed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from airlock.domain.approval.policy import Tier
from airlock.domain.clock import stamp
from airlock.domain.digest import digest_bytes, digest_json
from airlock.domain.errors import AirlockError, Conflict, Invalid, NotFound, Refused, Unreachable
from airlock.domain.evidence.attestation import Unattested, attest
from airlock.domain.evidence.proposals import Kind
from airlock.domain.gates import options_digest
from airlock.gates import build
from airlock.ports import Candidate
from airlock.services.approvals import policy_registry
from airlock.services.audit import access_log
from airlock.services.pipeline import collect_and_judge
from airlock.services.proposals import DirectProposals, Handling
from airlock.services.queries import releases
from airlock.testing import FakeKeys, FakeRules, World, pipeline_document
from tests.contract.conftest import Database

pytestmark = pytest.mark.attack
GATE = {"gate": "metrics-threshold", "metric": "roc_auc", "threshold": 0.7}


@pytest.fixture
def world(postgres_database: Database) -> World:
    decider, worker = (postgres_database.store(f"airlock_{w}") for w in ("decider", "worker"))
    return World(decider, worker=worker)


def low(world: World) -> str:
    """Register the pipeline of another model, with little risk, and return its digest."""
    document = pipeline_document(impact="none")
    document["metadata"]["name"] = "visits"
    policy_registry.register(world.store, world.rulebook.document, [world.pipeline, document])
    both = {"visits": digest_json(document), "credit": digest_json(world.pipeline)}
    rules = FakeRules(lambda: world.rulebook.digest, lambda: both)
    sources = replace(world.sources(), rules=rules)
    world.proposals = DirectProposals(Handling(world.store, sources))
    return both["visits"]


def begin(world: World, origin: str, **changes: str) -> Mapping[str, Any]:
    body = {"pipeline": digest_json(world.pipeline), "policy": world.rulebook.digest}
    return world.proposals.submit(Kind.RUN, origin, {**body, **changes})


def said(world: World, origin: str, started: str, **changes: Any) -> dict[str, Any]:
    """Return what an honest task would say of its candidate, with *changes*."""
    version = world.registry.add("credit", origin.encode())
    honest = Candidate(
        origin=origin,
        model="credit",
        version=version,
        run_id="mlflow",
        location="memory:/there",
        artifact_digest=world.registry.artifact_digest("credit", version),
        data_digest=digest_bytes(b"data"),
        code_commit=world.code.head,
        pipeline_digest=digest_json(world.pipeline),
        requester="ana",
        environment="production",
        raised_to=None,
        started_at=started,
        lock_digest=world.code.locked,
    )
    return {"candidate": {**asdict(honest), **changes}}


def candidate_with(world: World, origin: str = "credit/liar", **changes: Any) -> None:
    started = begin(world, origin)["startedAt"]
    world.proposals.submit(Kind.CANDIDATE, origin, said(world, origin, started, **changes))


def kept(world: World, origin: str) -> Candidate:
    with world.store.begin() as unit:
        found = unit.candidate(origin)
    assert found is not None
    return found


# Row 1: a candidate of one model under the pipeline, and so the risk, of another.


def test_a_pipeline_digest_of_another_model_is_refused(world: World) -> None:
    """It led to tier low: one approver moved the alias of a high-risk model."""
    visits = low(world)
    with pytest.raises(Refused, match="not of its pipeline credit: pipeline_digest is said"):
        candidate_with(world, pipeline_digest=visits)
    with pytest.raises(Refused, match="the DAG credit is that of another pipeline than visits"):
        begin(world, "credit/other", pipeline=visits)
    started = begin(world, "visits/honest", pipeline=visits)["startedAt"]
    body = said(world, "visits/honest", started, pipeline_digest=visits)
    with pytest.raises(Refused, match="model is said to be credit, and is visits"):
        world.proposals.submit(Kind.CANDIDATE, "visits/honest", body)


def test_a_release_that_mixed_models_before_gets_no_vote_and_no_promotion(
    world: World, postgres_database: Database
) -> None:
    """Whoever had one open when this was closed: it is compared when a vote counts, too."""
    visits, release_id = low(world), world.open()
    mixed = "UPDATE release SET subject = replace(subject, %s, %s)"
    with psycopg.connect(postgres_database.urls["postgres"].replace("+psycopg", "")) as admin:
        admin.execute(mixed, (digest_json(world.pipeline), visits))
    with pytest.raises(Refused, match="is that of visits for production, not of credit"):
        world.approve(release_id, "lena")


@pytest.mark.parametrize(
    "claim",
    [
        {"model": "employment"},
        {"environment": "staging"},
        {"requester": "lena"},
        {"started_at": "2999-01-01T00:00:00.000000000Z"},
        {"artifact_digest": digest_bytes(b"another")},
        {"version": "99"},
        {"code_commit": "f" * 40},
        {"lock_digest": digest_bytes(b"lock")},
        {"pipeline_digest": digest_bytes(b"pipeline")},
        {"raised_to": "none"},
        {"model": ["credit"]},
        {"version": None},
    ],
    ids=lambda claim: next(iter(claim)),
)
def test_every_claim_of_a_candidate_is_compared(world: World, claim: dict[str, Any]) -> None:
    with pytest.raises((Refused, Invalid)):
        candidate_with(world, **claim)
    with world.store.begin() as unit:
        assert unit.candidate("credit/liar") is None


def test_committers_are_the_deciders_own_word(world: World) -> None:
    """A task that leaves the author of the code out changes nothing."""
    world.code.people = ("cole@x.org",)
    candidate_with(world, committers=())
    assert kept(world, "credit/liar").committers == ("cole@x.org",)


def test_a_raised_tier_never_lowers(world: World) -> None:
    candidate_with(world, "credit/liar", raised_to="low")
    origin = "credit/liar"
    _measure(world, origin)
    assert (released := world.request(origin).release) is not None
    assert released.tier is Tier.HIGH


def _measure(world: World, origin: str, auc: float = 0.9) -> None:
    about = kept(world, origin).artifact_digest
    facts = {"rows": 1000, "candidate": {"metrics": {"roc_auc": auc}}, "champion": None}
    collect_and_judge.submit(world.proposals, origin, "evaluation", about, facts)
    collect_and_judge.judge(world.worker, world.proposals, origin, build(GATE))


def test_data_other_than_pinned_is_refused(world: World) -> None:
    origin = "credit/liar"
    started = begin(world, origin)["startedAt"]
    collect_and_judge.submit(
        world.proposals, origin, "data-profile", "d", {"digest": "sha256:pinned"}
    )
    with pytest.raises(Refused, match="has pinned the data"):
        world.proposals.submit(Kind.CANDIDATE, origin, said(world, origin, started))


def test_a_registry_that_is_away_lets_nothing_through(world: World) -> None:
    started = begin(world, "credit/liar")["startedAt"]
    body = said(world, "credit/liar", started)
    world.registry.down = True
    with pytest.raises(Unreachable):
        world.proposals.submit(Kind.CANDIDATE, "credit/liar", body)


# Rows 2, 4, 5, 6 and 8: what was written directly.

ROW_2 = [
    'UPDATE release SET emergency = \'{"people": ["carla"]}\'',
    "INSERT INTO break_glass (release) SELECT id FROM release",
]
ROW_4 = [
    "INSERT INTO line VALUES ('credit', 'production', 9, '1', 'rel')",
    "UPDATE line SET version = '9'",
    "UPDATE release SET state = 'PROMOTED', level = 0",
    "UPDATE release SET state = 'WITHDRAWN', level = 0",
    "UPDATE release_grant SET spent_at = 'now', spent_by = 'me'",
    "UPDATE release SET lease = '{}'",
]
ROW_5 = ["UPDATE release SET state = 'SUPERSEDED' WHERE state = 'REJECTED'"]
ROW_6 = [
    "INSERT INTO audit_event (stream, seq, what, body, prev, hash) "
    "VALUES ('access', 1, 'VoteCast', 'x', 'x', 'x')",
    "INSERT INTO audit_event (id, stream, seq, what, body, prev, hash, xid) "
    "VALUES (999, 'access', 1, 'VoteCast', 'x', 'x', 'x', '7')",
    "UPDATE audit_stream SET seq = 0",
    "INSERT INTO audit_stream VALUES ('mine', 0, 'x')",
    "INSERT INTO audit_text (commitment) VALUES ('x')",
    "SELECT setval('audit_event_id_seq', 1)",
    "SELECT nextval('audit_event_id_seq')",
]
ROW_8 = [
    "INSERT INTO outbox (kind, key, payload, posted_at, attempts, error) "
    "VALUES ('mail', 'mail/1', '{}', 'now', 0, '')",
    "UPDATE outbox SET payload = '{}'",
    "DELETE FROM outbox",
]
OWN = [
    "INSERT INTO candidate VALUES ('o', '{}')",
    "UPDATE candidate SET document = '{}'",
    "INSERT INTO evidence VALUES ('d', 'x')",
    "INSERT INTO run_evidence VALUES ('o', 'k', 'd')",
    "UPDATE gate_result SET document = '{}'",
    "INSERT INTO run VALUES ('o', 'd', 's', 'r', 'p', 'p', 'airflow')",
    "UPDATE run SET requester = 'sam'",
    "DELETE FROM parked",
    "UPDATE proposal SET answer = '{}'",
    "INSERT INTO proposal (kind) VALUES ('run')",
]


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(statement, id=f"row {row}-{number}")
        for row, statements in {
            "2": ROW_2,
            "4": ROW_4,
            "5": ROW_5,
            "6": ROW_6,
            "8": ROW_8,
            "own": OWN,
        }.items()
        for number, statement in enumerate(statements, 1)
    ],
)
def test_what_a_worker_wrote_it_can_write_no_more(
    postgres_database: Database, statement: str
) -> None:
    dsn = postgres_database.urls["airlock_worker"].replace("+psycopg", "")
    with (
        psycopg.connect(dsn) as worker,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for"),
    ):
        worker.execute(statement)  # type: ignore[arg-type] # a literal of this file


def test_a_proposal_posts_nothing_but_what_its_kind_posts(world: World) -> None:
    """Row 8: notices and mails in Airlock's name, and the keys of later messages taken."""
    origin = world.measure("run-1")
    with world.store.begin() as unit:
        before = {one.key for one in unit.claim(1000)}
    for kind in Kind:
        body = {"kind": "mail", "key": "mail/1", "to": "all@x.org", "text": "APPROVED"}
        try:
            world.proposals.submit(kind, origin, {**body, "release": "rel-1", "level": 1})
        except AirlockError:
            continue
    with world.store.begin() as unit:
        posted = {one.key for one in unit.claim(1000)} - before
    assert all(key.startswith(("timers/sweep/", "detect/")) for key in posted), posted


# Row 7: a requester who never asked, a run that never was, a start in the year 2999.


def test_the_requester_is_whoever_triggered_the_run(world: World) -> None:
    """It was the task's word, so separation of duties excluded whom the task named."""
    world.runs.add("credit/run-1", "lena")
    assert begin(world, "credit/run-1")["requester"] == "lena"
    with pytest.raises(Refused, match="requester is said to be ana, and is lena"):
        candidate_with(world, "credit/run-1")


def test_a_run_nobody_triggered_is_its_owners(world: World) -> None:
    world.runs.add("credit/run-1", "")
    assert begin(world, "credit/run-1")["requester"] == "ana"


@pytest.mark.parametrize("origin", ["credit/never", "credit", "/", "", "credit/../x", "a" * 700])
def test_a_run_airflow_never_had_can_propose_nothing(world: World, origin: str) -> None:
    world.runs.strict = True
    for kind in Kind:
        with pytest.raises(Refused, match="so it can propose nothing"):
            world.proposals.submit(kind, origin, {})


@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_run_that_is_over_can_propose_nothing(world: World, state: str) -> None:
    origin = world.measure("run-1")
    world.runs.add(origin, "ana", state=state)
    for kind in Kind:
        with pytest.raises(Refused, match=rf"is over \({state}\)"):
            world.proposals.submit(kind, origin, {})


def test_a_start_in_the_year_2999_is_now(world: World) -> None:
    """It made every policy older than the run it judges."""
    far = datetime(2999, 1, 1, tzinfo=UTC)
    world.runs.add("credit/run-1", "ana", started_at=far)
    with world.store.begin() as unit:
        now = unit.now()
    started = begin(world, "credit/run-1")["startedAt"]
    assert stamp(now) <= started < stamp(now + timedelta(minutes=5))


def test_airflow_away_lets_nothing_through(world: World) -> None:
    world.runs.down = True
    with pytest.raises(Unreachable):
        begin(world, "credit/run-1")


# What nobody had tried: the pairs of their kind.


def test_a_policy_or_pipeline_of_before_is_not_in_force(world: World) -> None:
    """Both were registered once; a task could choose the milder one."""
    mild = {**world.rulebook.document, "note": "before"}
    policy_registry.register(world.store, mild, [pipeline_document(impact="none"), world.pipeline])
    with pytest.raises(Refused, match="is not in force"):
        begin(world, "credit/run-1", policy=digest_json(mild))
    weak = digest_json(pipeline_document(impact="none"))
    with pytest.raises(Refused, match="is not in force"):
        begin(world, "credit/run-1", pipeline=weak)
    origin = world.measure("run-2")
    with pytest.raises(Refused, match="is not in force"):
        world.proposals.submit(Kind.RELEASE, origin, {"policy": digest_json(mild)})


def test_a_verdict_is_the_deciders(world: World) -> None:
    origin = "credit/liar"
    candidate_with(world, origin)
    with pytest.raises(Conflict, match="judged from its evidence it is ERRORED"):
        world.proposals.submit(Kind.RESULT, origin, {"gate": GATE, "verdict": "PASSED"})
    with world.store.begin() as unit:
        assert unit.results_of(origin) == ()


def test_a_gate_with_milder_options_is_refused(world: World) -> None:
    origin = "credit/liar"
    candidate_with(world, origin)
    mild = {**GATE, "threshold": 0.1}
    with pytest.raises(Refused, match="is asked otherwise than in the pipeline"):
        world.proposals.submit(Kind.RESULT, origin, {"gate": mild, "verdict": "ERRORED"})


@pytest.mark.parametrize("about", ["run", "evidence", "before", "nonsense"])
def test_a_signed_result_is_kept_for_exactly_this_run_and_evidence(
    world: World, about: str
) -> None:
    keys = FakeKeys()
    world.gate_signer = keys
    origin = world.measure("run-1")
    with world.store.begin() as unit:
        (result,) = unit.results_of(origin)
    if about == "evidence":
        result = replace(result, evidence=(digest_bytes(b"other"),))
    run = {"run": "credit/other", "before": ""}.get(about, origin)
    artifact, options = kept(world, origin).artifact_digest, options_digest(build(GATE))
    signed = attest(result, artifact, options, keys.key_id, keys.sign, run)
    envelope = "{}" if about == "nonsense" else signed
    body = {"gate": GATE, "verdict": result.verdict.value, "attestation": envelope}
    with pytest.raises(Refused, match="cannot be kept") as caught:
        world.proposals.submit(Kind.RESULT, origin, body)
    assert isinstance(caught.value, Refused | Unattested)


def test_evidence_is_frozen_once_there_is_a_release(world: World) -> None:
    release_id = world.open()
    origin = releases.outcome(world.store, release_id).origin
    with pytest.raises(Conflict, match="frozen"):
        collect_and_judge.submit(world.proposals, origin, "evaluation", "x", {"rows": 1})


def test_a_task_waits_for_nobody_elses_release_unless_airflow_has_that_task(world: World) -> None:
    release_id = world.open()
    body = {"release": release_id, "level": 1, "task": "level_1"}
    with pytest.raises(Refused, match="has no task level_1"):
        world.proposals.submit(Kind.PARK, "other/run", body)
    world.runs.tasks.add(("other", "run", "level_1"))
    world.proposals.submit(Kind.PARK, "other/run", body)
    with pytest.raises(NotFound):
        world.proposals.submit(Kind.PARK, "other/run", {**body, "release": "rel-0"})


def test_an_attempt_to_promote_is_one_of_the_run_that_asks(world: World) -> None:
    release_id = world.open()
    world.approve_all(release_id)
    body = {"release": release_id, "attempt": "credit/run-1/promote"}
    with pytest.raises(Invalid, match="is not one of run other/run"):
        world.proposals.submit(Kind.BEGIN, "other/run", {**body, "reach": {}})
    with pytest.raises(Invalid, match="is not one of run other/run"):
        world.proposals.submit(Kind.FINISH, "other/run", body)


def test_nothing_a_task_proposes_names_anybody_but_the_decider(world: World) -> None:
    origin = world.measure("run-1")
    world.request(origin)
    world.proposals.submit(
        Kind.EVIDENCE,
        world.measure("run-2"),
        {"who": "carla", "evidence": [{"kind": "k", "artifactDigest": "d", "facts": {}}]},
    )
    with world.store.begin() as unit:
        streams = {name for name, _ in unit.streams() if name.startswith(("run-", "rel-"))}
        who = {one.content["who"]["id"] for name in streams for one in unit.entries(name)}
    assert who == {"system:decider"}
    assert access_log.verify(world.store, world.keys).ok


def test_a_huge_or_deep_body_is_refused(world: World) -> None:
    handling = Handling(world.store, world.sources())
    for text in ("[" * 50_000, '{"a":' * 50_000, json.dumps({"pipeline": "p" * 3_000_000})):
        answer = handling.answer("run", "credit/run-1", text, lambda *_: None)
        assert answer["refused"]["error"] == "Invalid"
    assert releases.listing(world.store).rows == []
