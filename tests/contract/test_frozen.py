"""What a run has measured is frozen once a release was opened for it: on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from airlock.domain.errors import Conflict
from airlock.domain.gates import Evidence, Verdict
from airlock.gates import build
from airlock.services.pipeline import collect_and_judge
from airlock.services.queries import releases
from airlock.testing import World
from tests.contract.conftest import Database

KIND = "evaluation"


def opened(world: World) -> tuple[str, Evidence]:
    origin = releases.outcome(world.store, world.open()).origin
    with world.store.begin() as unit:
        return origin, unit.evidence_of(origin)[KIND]


def test_other_evidence_is_refused_and_the_same_is_no_change(world: World) -> None:
    origin, known = opened(world)
    again = collect_and_judge.submit(
        world.proposals, origin, KIND, known.artifact_digest, known.facts
    )
    assert again == known.digest
    with pytest.raises(Conflict, match="so its evidence is frozen: no other evaluation"):
        collect_and_judge.submit(world.proposals, origin, KIND, known.artifact_digest, {"rows": 1})
    with pytest.raises(Conflict, match="no other latency"):
        collect_and_judge.submit(
            world.proposals, origin, "latency", known.artifact_digest, {"n": 1}
        )


def test_a_gate_judged_again_keeps_nothing(world: World) -> None:
    origin, _ = opened(world)
    with world.store.begin() as unit:
        before = unit.results_of(origin)
    stricter = build({"gate": "metrics-threshold", "metric": "roc_auc", "threshold": 0.99})
    assert (
        collect_and_judge.judge(world.worker, world.proposals, origin, stricter).verdict
        is Verdict.FAILED
    )
    with world.store.begin() as unit:
        assert unit.results_of(origin) == before


def test_a_blocked_release_freezes_too(world: World) -> None:
    origin = world.measure("weak", auc=0.6)
    assert world.request(origin).outcome == "blocked"
    with pytest.raises(Conflict, match="frozen"):
        collect_and_judge.submit(world.proposals, origin, KIND, "sha256:0", {"rows": 1})


STATEMENTS = (
    "UPDATE run_evidence SET kind = 'other' WHERE origin = :origin",
    "UPDATE run_evidence SET origin = 'elsewhere' WHERE origin = :origin",
    "DELETE FROM run_evidence WHERE origin = :origin",
    "INSERT INTO run_evidence SELECT origin, 'more', digest FROM run_evidence "
    "WHERE origin = :origin",
    "UPDATE gate_result SET document = '{}' WHERE origin = :origin",
    "DELETE FROM gate_result WHERE origin = :origin",
    "INSERT INTO gate_result (origin, key, document) VALUES (:origin, 'more', '{}')",
)


def test_nobody_changes_it_in_the_database(world: World, database: Database) -> None:
    origin, _ = opened(world)
    for role in ("airlock_worker", "airlock_owner", "postgres"):
        engine = create_engine(database.urls.get(role, database.urls["airlock_worker"]))
        for statement in STATEMENTS:
            refused = pytest.raises(DBAPIError, match=r"frozen|permission denied")
            with refused, engine.begin() as connection:
                connection.execute(text(statement), {"origin": origin})
        engine.dispose()


def test_a_run_without_a_release_can_still_be_measured_again(world: World) -> None:
    origin = world.measure("run-2")
    collect_and_judge.submit(world.proposals, origin, KIND, "sha256:0", {"rows": 1})
    with world.store.begin() as unit:
        assert unit.evidence_of(origin)[KIND].facts == {"rows": 1}
