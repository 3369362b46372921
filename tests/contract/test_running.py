"""The steps of a run over each store, on a bench that trains nothing but keeps every promise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from airlock.domain.digest import digest_bytes, folder_manifest, manifest_digest
from airlock.domain.errors import Conflict, Refused, Unreachable
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.gates import build
from airlock.gates.latency import Latency
from airlock.services.pipeline import collect_and_judge, gate_dry_run, steps
from airlock.services.pipeline.steps import Job, Origin
from airlock.services.pipeline.training_runtime import Case, Recorded, Trained
from airlock.testing import World, pipeline_document

CODE = Origin(code_commit="0123abc", lock_digest=digest_bytes(b"lock"))


@dataclass
class Bench:
    """Trains a file of one line."""

    folder: Path
    rows: int = 100
    recorded: dict[str, Recorded] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)
    broken: tuple[str, ...] = ()
    down: bool = False
    suite_says: dict[str, Any] = field(default_factory=dict)

    def pin(self, recipe: Recipe, since: Any, until: Any) -> dict[str, Any]:
        digest = digest_bytes(f"{since}{until}".encode())
        window = {"since": since and str(since), "until": until and str(until)}
        return {"digest": digest, "rows": self.rows, "window": window}

    def validate(self, recipe: Recipe, data: str) -> tuple[dict[str, Any], Path]:
        facts = {"success": True, "evaluated": 2, "successful": 2, "rows": self.rows}
        facts |= {"failed": [], "raised": [], "unseen": []}
        return facts, self.folder

    def validated(
        self, origin: str, recipe: Recipe, data: str, folder: Path
    ) -> tuple[dict[str, Any], Path]:
        facts, docs = self.validate(recipe, data)
        return facts | self.suite_says, docs

    def run_team_code(self, origin: str, recipe: Recipe, data: str) -> dict[str, str]:
        return {"test-coverage": f"done for {origin}"}

    def train(self, recipe: Recipe, data: str) -> Trained:
        model = self.folder / f"model-{len(list(self.folder.iterdir()))}"
        model.mkdir()
        (model / "model.skops").write_text(f"{recipe.name} {data}")
        digest = manifest_digest(folder_manifest(model))
        return Trained(
            folder=model, artifact_digest=digest, params={}, metrics={}, seconds=1.0, peak_mb=10
        )

    def receive(self, folder: Path, artifact: str) -> Path:
        if not folder.is_dir():
            raise Unreachable(f"{folder} is not on this machine", next_step="Clear the task train.")
        return folder

    def evaluate(
        self, recipe: Recipe, data: str, candidate: Path, champion: Any
    ) -> tuple[dict[str, Any], dict[str, Any], Path]:
        self.seen["champion"] = champion
        found = {"rows": self.rows, "candidate": {"metrics": {"roc_auc": 0.8}}, "champion": None}
        if champion:
            found["champion"] = {"version": champion[0], "metrics": {"roc_auc": 0.7}}
        return found, {"champion": None, "comparisons": []}, self.folder

    collects = ("latency", "artifact-format")

    def collect(self, kind: str, case: Case) -> dict[str, Any]:
        self.seen[kind] = case
        if kind in self.broken:
            raise Refused(f"{kind} could not be measured", next_step="Look at the model.")
        return {"p95Ms": 3.0, "n": 500} if kind == "latency" else {"files": [], "unknown": []}

    look = collect

    def champion(self, model: str, version: str) -> Path:
        return Path(self.seen["champion folder"])

    def record(
        self,
        recipe: Recipe,
        trained: Trained,
        tags: Mapping[str, str],
        evidence: Mapping[str, Mapping[str, Any]],
        files: Mapping[str, Path],
    ) -> Recorded:
        if self.down:
            raise Unreachable("MLflow is away")
        made = Recorded(
            version=str(len(self.recorded) + 1),
            run_id="run",
            location="mlflow:/there",
            artifact_digest=trained.artifact_digest,
        )
        return self.recorded.setdefault(tags["origin"], made)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    folder = tmp_path / "bench"
    folder.mkdir()
    return Bench(folder)


def job(world: World, run: str = "run-1", **changes: Any) -> Job:
    recipe = Recipe(world.pipeline)
    return Job(**{"origin": f"credit/{run}", "recipe": recipe, "requester": "ana", **changes})


def ready(world: World, bench: Bench) -> None:
    """Let the decider see the code, and the bytes the bench has recorded."""
    world.code.head, world.code.locked = CODE.code_commit, CODE.lock_digest
    world.artifacts.recorded = lambda _model, version: next(
        (one.artifact_digest for one in bench.recorded.values() if one.version == version), None
    )


def go(world: World, bench: Bench, one: Job) -> dict[str, Any]:
    """Run all steps."""
    ready(world, bench)
    pinned = steps.pin(world.worker, world.proposals, bench, one, world.rulebook.digest)
    return register(world, bench, one, pinned, measured(world, bench, one, pinned))


def measured(world: World, bench: Bench, one: Job, pinned: Mapping[str, Any]) -> dict[str, Any]:
    """Train and evaluate."""
    trained = steps.train(bench, one, pinned)
    steps.evaluate(world.worker, world.proposals, bench, one, pinned, trained)
    return trained


def register(
    world: World,
    bench: Bench,
    one: Job,
    pinned: Mapping[str, Any],
    trained: Mapping[str, Any],
) -> dict[str, Any]:
    """Validate, and register what was trained, as tasks do."""
    checked = steps.validate(bench, one, pinned)
    return steps.register(
        world.worker, world.proposals, bench, one, CODE, pinned, checked, trained, {}
    )


def test_a_whole_run_ends_in_a_candidate_with_its_evidence(world: World, bench: Bench) -> None:
    found = go(world, bench, job(world, raised_to="high"))
    with world.store.begin() as unit:
        candidate = unit.candidate("credit/run-1")
        kept = unit.evidence_of("credit/run-1")
    assert candidate is not None
    assert (candidate.version, candidate.requester, candidate.code_commit) == (
        "1",
        "ana",
        "0123abc",
    )
    assert candidate.raised_to == "high"
    assert candidate.lock_digest == CODE.lock_digest
    assert set(kept) == {
        "data-profile",
        "data-validation",
        "evaluation",
        "comparison",
    }
    assert {one.artifact_digest for one in kept.values()} == {found["artifact"]}
    assert kept["comparison"].facts["attempt"] == 1


def test_the_evidence_opens_the_gates_and_the_release(world: World, bench: Bench) -> None:
    go(world, bench, job(world))
    for gate in world.pipeline["spec"]["gates"]:
        assert (
            collect_and_judge.examine(
                world.worker, world.proposals, bench, "credit/run-1", build(gate)
            ).verdict
            == "PASSED"
        )
    assert world.request("credit/run-1").outcome == "opened"


def test_the_validation_says_as_of_when_and_what_the_champion_was_made_from(
    world: World, bench: Bench
) -> None:
    one = job(world, until=date(2020, 1, 31))
    pinned = steps.pin(world.worker, world.proposals, bench, one, world.rulebook.digest)
    as_measured = world.artifacts.recorded
    ready(world, bench)
    register(world, bench, one, pinned, steps.train(bench, one, pinned))
    world.artifacts.recorded = as_measured
    origin = world.measure("beforehand")
    collect_and_judge.submit(world.proposals, origin, "data-profile", "any", {"rows": 80})
    opened = world.request(origin).release
    assert opened is not None
    world.approve_all(opened.id)
    world.promote(opened.id)
    two = job(world, "run-2")
    pinned = steps.pin(world.worker, world.proposals, bench, two, world.rulebook.digest)
    bench.seen["champion folder"] = bench.folder
    ready(world, bench)
    register(world, bench, two, pinned, steps.train(bench, two, pinned))
    with world.store.begin() as unit:
        first, second = (
            unit.evidence_of(f"credit/run-{number}")["data-validation"].facts for number in (1, 2)
        )
    assert (first["asOf"], first["champion"]) == ("2020-01-31", None)
    assert second["asOf"] == pinned["startedAt"][:10]
    assert second["champion"] == {"version": "1", "rows": 80}


def test_what_the_steps_left_is_there_for_whoever_collects(world: World, bench: Bench) -> None:
    go(world, bench, job(world))
    collect_and_judge.submit(
        world.proposals, "credit/run-1", "gossip", digest_bytes(b"another"), {"rows": 1}
    )
    collect_and_judge.examine(
        world.worker, world.proposals, bench, "credit/run-1", Latency(p95_ms=10)
    )
    facts = bench.seen["latency"].facts
    assert facts["evaluation"]["rows"] == bench.rows
    assert "gossip" not in facts  # it is about another model


def test_a_gate_collects_what_it_needs_and_nothing_else(world: World, bench: Bench) -> None:
    found = go(world, bench, job(world))
    result = collect_and_judge.examine(
        world.worker, world.proposals, bench, "credit/run-1", Latency(p95_ms=10)
    )
    assert result.verdict == "PASSED"
    assert set(bench.seen) == {"champion", "latency"}
    assert bench.seen["latency"].candidate.artifact_digest == found["artifact"]
    assert bench.seen["latency"].champion is None
    assert bench.seen["latency"].facts["evaluation"]["candidate"]["metrics"] == {"roc_auc": 0.8}
    with world.store.begin() as unit:
        assert unit.evidence_of("credit/run-1")["latency"].facts == {"p95Ms": 3.0, "n": 500}


def test_evidence_is_collected_with_the_options_of_whoever_asks(world: World, bench: Bench) -> None:
    go(world, bench, job(world))
    asked = {"gate": "latency", "p95Ms": 10, "n": 700}
    collect_and_judge.examine(world.worker, world.proposals, bench, "credit/run-1", build(asked))
    assert bench.seen["latency"].options == asked
    tried = asked | {"n": 900}
    gate_dry_run.attempt(world.worker, bench, "credit/run-1", build(tried))
    assert bench.seen["latency"].options == tried


def test_a_gate_asked_otherwise_than_in_the_pipeline_names_both_and_measures_nothing(
    world: World, bench: Bench
) -> None:
    go(world, bench, job(world))
    (known,) = world.pipeline["spec"]["gates"]
    other = build(known | {"threshold": 0.1, "confidence": 0.9})
    said = (
        "metrics-threshold:roc_auc is asked otherwise than in the pipeline credit: "
        "confidence 0.9 here and not set there, threshold 0.1 here and 0.7 there"
    )
    with pytest.raises(Refused, match=said):
        collect_and_judge.examine(world.worker, world.proposals, bench, "credit/run-1", other)
    with world.store.begin() as unit:
        assert unit.results_of("credit/run-1") == ()
    assert gate_dry_run.attempt(world.worker, bench, "credit/run-1", other).message.startswith(
        "metrics-threshold:roc_auc could not be judged"
    ), "trying other options is what it is for; nobody measured a bound"


def test_evidence_that_cannot_be_collected_is_an_error_that_says_why(
    world: World, bench: Bench
) -> None:
    go(world, bench, job(world))
    bench.broken = ("latency",)
    result = collect_and_judge.examine(
        world.worker, world.proposals, bench, "credit/run-1", Latency(p95_ms=10)
    )
    assert result.verdict == "ERRORED"
    assert "latency could not be measured. Look at the model." in result.message
    assert (
        collect_and_judge.judge(world.worker, world.proposals, "credit/run-1", Latency(p95_ms=10))
        == result
    )


def test_nothing_is_collected_any_more_once_the_release_is_open(world: World, bench: Bench) -> None:
    go(world, bench, job(world))
    for gate in world.pipeline["spec"]["gates"]:
        collect_and_judge.examine(world.worker, world.proposals, bench, "credit/run-1", build(gate))
    assert world.request("credit/run-1").outcome == "opened"
    bench.seen.clear()
    collect_and_judge.examine(
        world.worker, world.proposals, bench, "credit/run-1", Latency(p95_ms=10)
    )
    assert not bench.seen


def test_a_run_without_a_candidate_has_nothing_to_examine(world: World, bench: Bench) -> None:
    with pytest.raises(Refused, match="no candidate"):
        collect_and_judge.examine(
            world.worker, world.proposals, bench, "credit/run-1", Latency(p95_ms=10)
        )


def test_every_step_can_be_tried_again(world: World, bench: Bench) -> None:
    ready(world, bench)
    one = job(world)
    pinned = steps.pin(world.worker, world.proposals, bench, one, world.rulebook.digest)
    assert steps.validate(bench, one, pinned) == steps.validate(bench, one, pinned)
    trained = measured(world, bench, one, pinned)
    bench.down = True
    with pytest.raises(Unreachable):
        register(world, bench, one, pinned, trained)
    bench.down = False
    first = register(world, bench, one, pinned, trained)
    assert register(world, bench, one, pinned, trained) == first


def test_the_teams_own_code_runs_for_the_gates_without_a_store(world: World, bench: Bench) -> None:
    one = job(world)
    pinned = steps.pin(world.worker, world.proposals, bench, one, world.rulebook.digest)
    found = steps.collect(bench, one, pinned)
    assert found == {"test-coverage": "done for credit/run-1"}


@pytest.mark.attack
def test_a_suite_that_speaks_of_other_rows_than_were_pinned_is_refused(
    world: World, bench: Bench
) -> None:
    bench.suite_says = {"rows": bench.rows + 1}
    with pytest.raises(Conflict, match="has pinned 100 rows, its validation speaks of 101"):
        go(world, bench, job(world))


def test_a_run_waits_until_its_policy_is_registered(world: World, bench: Bench) -> None:
    with pytest.raises(Unreachable, match="not registered yet"):
        steps.pin(world.worker, world.proposals, bench, job(world), digest_bytes(b"another policy"))


def test_a_pipeline_that_changed_during_the_run_is_refused(world: World, bench: Bench) -> None:
    pinned = steps.pin(world.worker, world.proposals, bench, job(world), world.rulebook.digest)
    document = pipeline_document()
    document["spec"]["gates"] = [{**document["spec"]["gates"][0], "threshold": 0.1}]
    changed = replace(job(world), recipe=Recipe(document))
    with pytest.raises(Refused, match="changed during the run"):
        steps.train(bench, changed, pinned)


@pytest.mark.attack
def test_a_model_changed_after_training_is_refused(world: World, bench: Bench) -> None:
    one = job(world)
    pinned = steps.pin(world.worker, world.proposals, bench, one, world.rulebook.digest)
    trained = steps.train(bench, one, pinned)
    Path(trained["folder"], "model.skops").write_text("another")
    with pytest.raises(Conflict, match="was changed"):
        steps.evaluate(world.worker, world.proposals, bench, one, pinned, trained)


@pytest.mark.attack
def test_evidence_about_another_model_is_refused(world: World, bench: Bench) -> None:
    one = job(world)
    pinned = steps.pin(world.worker, world.proposals, bench, one, world.rulebook.digest)
    trained = steps.train(bench, one, pinned)
    collect_and_judge.submit(
        world.proposals, one.origin, "evaluation", digest_bytes(b"better"), {"rows": 1}
    )
    with pytest.raises(Conflict, match="is about"):
        register(world, bench, one, pinned, trained)


@pytest.mark.attack
def test_training_again_after_registering_is_refused(world: World, bench: Bench) -> None:
    one = job(world)
    go(world, bench, one)
    other = digest_bytes(b"other bytes")
    known = bench.recorded[one.origin]
    bench.recorded[one.origin] = replace(known, artifact_digest=other)
    with pytest.raises(Conflict, match="already registered version 1"):
        go(world, bench, one)


def test_a_model_folder_that_is_gone_is_made_again(world: World, bench: Bench) -> None:
    one = job(world)
    pinned = steps.pin(world.worker, world.proposals, bench, one, world.rulebook.digest)
    trained = {**steps.train(bench, one, pinned), "folder": "/nowhere"}
    with pytest.raises(Unreachable, match="not on this machine") as caught:
        steps.evaluate(world.worker, world.proposals, bench, one, pinned, trained)
    assert "train" in caught.value.next_step


def test_the_first_run_has_no_champion_and_the_next_has_the_one_airlock_promoted(
    world: World, bench: Bench, tmp_path: Path
) -> None:
    go(world, bench, job(world))
    assert bench.seen["champion"] is None
    world.artifacts.recorded = lambda _model, _version: None
    release = world.open("beforehand")
    world.approve_all(release)
    world.promote(release)
    world.registry.aliases["credit", "champion"] = "99"  # MLflow's alias is not asked

    folder = tmp_path / "champion"
    folder.mkdir()
    bench.seen["champion folder"] = world.registry.download("credit", "1", folder)
    go(world, bench, job(world, "run-2"))
    assert bench.seen["champion"] == ("1", folder)


@pytest.mark.attack
def test_a_champion_whose_bytes_changed_is_no_yardstick(
    world: World, bench: Bench, tmp_path: Path
) -> None:
    release = world.open("beforehand")
    world.approve_all(release)
    world.promote(release)
    folder = tmp_path / "champion"
    folder.mkdir()
    (folder / "model.skops").write_text("weakened")
    bench.seen["champion folder"] = folder
    with pytest.raises(Conflict, match="the champion, version 1, was changed"):
        go(world, bench, job(world, "run-2"))
