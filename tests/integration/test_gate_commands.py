"""`airlock gate list|run|recompute`: real data, a real model in a real MLflow, the real lab."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest

from airlock import bootstrap
from airlock.adapters.keys.ed25519 import create
from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.bootstrap.workbench import bench_of
from airlock.config.load import load_pipelines, load_rulebook
from airlock.config.settings import Settings
from airlock.domain.clock import stamp
from airlock.domain.errors import NotFound
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.gates import Evidence
from airlock.domain.people.actors import Actor, Channel, Person
from airlock.entrypoints.presentation import gate_figures
from airlock.gates import GATES
from airlock.ports import Candidate, Run
from airlock.services.approvals import open_release, policy_registry
from airlock.services.people import recognition
from airlock.services.pipeline import collect_and_judge
from tests.command import Said, run_cli
from tests.contract.test_registry import mlflow_server
from tests.integration.door_kit import Doors, running
from tests.support import ROOT

MODEL, RUN = "doctor-visits", "doctor-visits/by-hand"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A registered candidate, trained on some of the real rows, and the settings of a worker."""
    folder = tmp_path_factory.mktemp("gates")
    create(folder / "gate.pem", folder / "gate-keys")
    with mlflow_server(folder) as uri, pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AIRLOCK_ROOT": str(ROOT),
            "AIRLOCK_HOME": str(folder),
            "AIRLOCK_DATABASE_URL": f"sqlite:///{folder}/airlock.db",
            "AIRLOCK_GATE_SIGNING_KEY": str(folder / "gate.pem"),
            "MLFLOW_TRACKING_URI": uri,
        }.items():
            patch.setenv(name, value)
        upgrade(f"sqlite:///{folder}/airlock.db")
        _candidate(folder)
        yield folder


def _candidate(folder: Path) -> None:
    airlock = bootstrap.worker(Settings.from_environment(os.environ, ROOT))
    config = airlock.pipelines.get(MODEL)
    assert config is not None
    recipe, bench = Recipe(config.document), bench_of(airlock)
    policy_registry.register(
        airlock.store, load_rulebook(ROOT / "include").document, [config.document]
    )
    rows = pandas.read_parquet(ROOT / recipe.source).tail(3000)
    rows.to_parquet(folder / "some.parquet", index=False)
    profile = airlock.data.pin(
        folder / "some.parquet", recipe.time_column, None, None, target=recipe.target
    )
    data = profile["digest"]
    with airlock.store.begin() as unit:
        started = stamp(unit.now())
    trained = bench.train(recipe, data)
    facts, _, _ = bench.evaluate(recipe, data, trained.folder, None)
    tags = {"origin": RUN, "requester": "ana", "reason": "", "data_digest": data}
    tags |= {"code_commit": "0123456789abcdef", "lock_digest": "sha256:0"}
    made = bench.record(recipe, trained, tags, {"evaluation": facts}, {})
    candidate = Candidate(
        origin=RUN,
        model=MODEL,
        version=made.version,
        run_id=made.run_id,
        location=made.location,
        artifact_digest=trained.artifact_digest,
        data_digest=data,
        code_commit="0123456789abcdef",
        pipeline_digest=recipe.digest,
        requester="ana",
        environment=recipe.environment,
        raised_to=None,
        started_at=started,
    )
    begun = Run(
        origin=RUN,
        dag=RUN.partition("/")[0],
        started_at=started,
        requester="ana",
        pipeline=recipe.digest,
        policy=configuring_digest(),
    )
    with airlock.store.begin() as unit:
        unit.put_run(begun)
        unit.put_candidate(candidate)
        unit.commit()
    collect_and_judge.submit(airlock.proposals, RUN, "evaluation", trained.artifact_digest, facts)


def run(name: str, *more: str) -> Said:
    return run_cli("gate", "run", name, "--model", MODEL, "--version", "1", *more)


def results(home: Path) -> dict[str, str]:
    with SqlStore(f"sqlite:///{home}/airlock.db").begin() as unit:
        return {one.key: one.verdict.value for one in unit.results_of(RUN)}


def test_every_gate_is_listed_with_its_question_and_options() -> None:
    rows = json.loads(run_cli("gate", "list", "--json").out)
    assert [row["name"] for row in rows] == [gate.name for gate in GATES]
    for row in rows:
        assert row["question"]
        assert row["needs"]
    threshold = next(row for row in rows if row["name"] == "metrics-threshold")
    assert {one["name"]: one["required"] for one in threshold["options"]} == {
        "metric": True,
        "maxUnassessed": False,
        "threshold": True,
        "confidence": False,
        "sliceThreshold": False,
        "minimumRows": False,
    }
    assert (
        threshold["question"]
        == "is the candidate good enough on its own, and for every slice of the rows?"
    )
    said = run_cli("gate", "list").out
    assert all(gate.name in said for gate in GATES)
    assert "metric*, threshold*" in said


def test_a_gate_passes_and_nothing_is_kept(home: Path) -> None:
    said = run("artifact-format", "--json")
    assert said.code == 0, said.err
    (result,) = json.loads(said.out)
    assert (result["verdict"], result["gate"]) == ("PASSED", "artifact-format")
    assert results(home) == {}
    with SqlStore(f"sqlite:///{home}/airlock.db").begin() as unit:
        assert set(unit.evidence_of(RUN)) == {"evaluation"}


def test_a_gate_fails_with_an_option_that_is_tried(home: Path) -> None:
    said = run("latency", "--set", "p95Ms=0.0001")
    assert (said.code, "FAILED" in said.out) == (1, True), said.err
    assert results(home) == {}


def test_a_gate_without_its_evidence_could_not_tell(home: Path) -> None:
    said = run("performance-regression")
    assert (said.code, "ERRORED" in said.out) == (3, True), said.err
    assert "no evidence of kind comparison" in said.out


BAD: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no such gate": (("no-such", "--model", MODEL, "--version", "1"), 2, "there is no gate"),
    "no such version": (("latency", "--model", MODEL, "--version", "99"), 1, ""),
    "no such model": (("latency", "--model", "nothing", "--version", "1"), 1, ""),
    "no such option": (
        ("latency", "--model", MODEL, "--version", "1", "--set", "p96Ms=1"),
        2,
        "only the keys p95Ms",
    ),
    "an option that is none": (
        ("latency", "--model", MODEL, "--version", "1", "--set", "p95Ms"),
        2,
        "is not OPTION=VALUE",
    ),
    "a value that is none": (
        ("latency", "--model", MODEL, "--version", "1", "--set", "p95Ms=fast"),
        2,
        "expected a number",
    ),
    "kept with other options": (
        ("latency", "--model", MODEL, "--version", "1", "--set", "p95Ms=1", "--keep"),
        2,
        "leave --set out",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_tried_is_said(home: Path, case: str) -> None:
    arguments, code, words = BAD[case]
    said = run_cli("gate", "run", *arguments)
    assert said.code == code, said.err
    assert words in said.err
    assert "Traceback" not in said.err


def test_kept_on_request_and_frozen_once_there_is_a_release(home: Path) -> None:
    said = run("artifact-format", "--keep")
    assert said.code == 0, said.err
    assert results(home) == {"artifact-format": "PASSED"}
    store = SqlStore(f"sqlite:///{home}/airlock.db")
    with store.begin() as unit:
        assert set(unit.attestations_of(RUN)) == {"artifact-format"}
    for name, role in {"ana": "developer", "lena": "algorithm_lead"}.items():
        recognition.keep_person(store, Person(name, name, frozenset({role})))
    policy = configuring_digest()
    opened = open_release.request_release(
        store, policy, RUN, "keep", Actor.system("run", Channel.DAG)
    )
    assert opened.outcome == "blocked"
    again = run("artifact-format", "--keep")
    assert (again.code, "so what was measured is frozen" in again.err) == (1, True)
    assert run("artifact-format").code == 0


def configuring_digest() -> str:
    return str(load_rulebook(ROOT / "include").digest)


def test_the_shipped_pipelines_can_all_be_read_by_a_worker() -> None:
    assert {one.name for one in load_pipelines(ROOT / "include", ROOT).valid} >= {MODEL}


# recompute


def test_every_number_is_computed_again_from_the_predictions_kept(home: Path) -> None:
    airlock = bootstrap.worker(Settings.from_environment(os.environ, ROOT))
    with airlock.store.begin() as unit:
        candidate = unit.candidate(RUN)
        (known,) = [one for one in unit.evidence_of(RUN).values() if one.kind == "evaluation"]
    assert candidate is not None
    about = candidate.artifact_digest
    assert gate_figures.of_run(airlock, RUN, about) == {
        "predictions": known.facts["predictionsDigest"],
        "same": True,
        "differs": [],
    }
    metric, value = next(iter(known.facts["candidate"]["metrics"].items()))
    said = {**known.facts["candidate"]["metrics"], metric: value + 0.01}
    other = known.facts | {"candidate": known.facts["candidate"] | {"metrics": said}}
    with airlock.store.begin() as unit:
        unit.put_evidence("liar/run", Evidence("evaluation", about, other))
        unit.commit()
    found = gate_figures.of_run(airlock, "liar/run", about)
    (line,) = found["differs"]
    assert line.startswith(f"evaluation.candidate.metrics.{metric}: kept {value + 0.01}, found ")
    with pytest.raises(NotFound, match="no evaluation whose predictions were kept"):
        gate_figures.of_run(airlock, RUN, "sha256:another")


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with running(tmp_path_factory.mktemp("doors")) as found:
        yield found


def recomputed(doors: Doors, release_id: str) -> tuple[int, dict[str, Any]]:
    said = doors.cli("vera", "gate", "recompute", release_id, "--json")
    return said.code, json.loads(said.out)


def test_the_same_evidence_gives_the_same_verdict(doors: Doors) -> None:
    code, found = recomputed(doors, doors.open("recompute"))
    assert (code, found["same"]) == (0, True)
    (gate,) = found["gates"]
    assert (gate["kept"], gate["again"], gate["differs"]) == ("PASSED", "PASSED", [])


def test_numbers_that_were_never_kept_cannot_be_computed_again(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRLOCK_DATABASE_URL", f"sqlite:///{doors.folder}/airlock.db")
    one = doors.open("numbers")
    said = doors.cli("vera", "gate", "recompute", one, "--numbers")
    assert (said.code, "no evaluation whose predictions were kept" in said.err) == (1, True)


def test_a_waived_result_is_compared_as_it_was_judged(doors: Doors) -> None:
    from tests.integration.duty_kit import WRITES, blocked

    one = blocked(doors)
    assert doors.cli("carla", *WRITES["waive a gate"].command(doors, one)).code == 0
    code, found = recomputed(doors, one)
    assert (code, found["gates"][0]["kept"], found["gates"][0]["again"]) == (0, "FAILED", "FAILED")


def test_a_verdict_the_evidence_does_not_bear_out_is_found(doors: Doors) -> None:
    from dataclasses import replace

    origin = doors.world.measure("liar", auc=0.6)
    with doors.world.worker.begin() as unit:
        (honest,) = unit.results_of(origin)
        unit.put_result(origin, replace(honest, verdict=type(honest.verdict).PASSED))
        unit.commit()
    opened = doors.world.request(origin, "supersede").release
    assert opened is not None
    code, found = recomputed(doors, opened.id)
    assert (code, found["same"]) == (1, False)
    assert found["gates"][0]["differs"] == ["verdict"]
    said = doors.cli("vera", "gate", "recompute", opened.id)
    assert (said.code, "NOT the same as was kept." in said.out) == (1, True)
