"""The operators on a real (SQLite) store, with Airflow's own parts replaced by plain values."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    TaskAwaitingInput,
)
from airflow.utils.types import DagRunType

import airlock_airflow
from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.domain.approval.policy import Rulebook
from airlock.domain.approval.release import Decision
from airlock.domain.errors import Invalid, Refused, Unreachable
from airlock.services.notifications.outbox_relay import Delivery
from airlock.testing import RULEBOOK, FakeAirflow, World
from airlock_airflow import edge, releasing, steps, waiting

GATE = {"gate": "metrics-threshold", "metric": "roc_auc", "threshold": 0.7}


@dataclass
class Stage:
    """A world, and the parts of Airflow an operator sees."""

    world: World
    announced: list[dict[str, Any]] = field(default_factory=list)
    #: Called right after the Required Action was written, before the second look.
    meanwhile: Any = None
    #: What tasks have left, by (task, key), and the states of the run's tasks.
    left: dict[tuple[str, str], Any] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    def context(self, run: str, task: str = "task", **params: Any) -> dict[str, Any]:
        """Return a context of a run of the pipeline `credit`."""
        dag_run = SimpleNamespace(
            dag_id="credit", run_id=run, triggering_user_name="ana", logical_date=None
        )
        ti = SimpleNamespace(
            id=uuid4(),
            dag_id="credit",
            run_id=run,
            task_id=task,
            xcom_push=lambda key, value: self.left.update({(task, key): value}),
            xcom_pull=lambda task_ids, key="return_value": self.left.get((task_ids, key)),
            get_task_states=lambda **_: {run: self.states},
        )
        return {"dag_run": dag_run, "ti": ti, "params": params}

    def announce(self, ti_id: Any, **given: Any) -> None:
        self.announced.append(given)
        if self.meanwhile:
            self.meanwhile()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("operators") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def stage(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    world = World(SqlStore(f"sqlite:///{shutil.copy(template, tmp_path)}", pooled=False))
    found = Stage(world)
    airlock = SimpleNamespace(
        store=world.store,
        rulebook=world.rulebook,
        keyring=world.keys,
        proposals=world.proposals,
        registry=world.registry,
        gate_signer=None,
    )
    monkeypatch.setattr(edge, "airlock", lambda: airlock)
    # Nothing is collected here: the world has the evidence its gate needs.
    monkeypatch.setattr(edge, "bench", lambda: SimpleNamespace(collects=()))
    monkeypatch.setattr(edge, "settings", lambda: SimpleNamespace(service_user_id="7"))
    monkeypatch.setattr(steps, "recipe_of", lambda _name: SimpleNamespace(when_open="keep"))
    monkeypatch.setattr(waiting, "announce", found.announce)
    return found


def gate(**kwargs: Any) -> Any:
    return airlock_airflow.GateOperator(task_id="gate", gate=GATE, **kwargs)


def level(number: int = 1) -> Any:
    return airlock_airflow.ApprovalGateOperator(task_id=f"level_{number}", level=number)


def promote() -> Any:
    return airlock_airflow.PromoteModelOperator(task_id="promote")


def request() -> Any:
    return airlock_airflow.RequestReleaseOperator(task_id="request_release", pipeline="credit")


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "becomes", "text"),
    [
        (Refused("no", next_step="Do this."), AirflowFailException, "refused: no. Do this."),
        (Invalid("bad"), AirflowFailException, "bad."),
        (Unreachable("gone"), AirflowException, "could not tell: gone."),
    ],
)
def test_a_refusal_is_final_and_an_accident_is_retried(
    error: Exception, becomes: type[Exception], text: str
) -> None:
    left: dict[str, str] = {}
    context = {"ti": SimpleNamespace(xcom_push=lambda key, value: left.update({key: value}))}
    with pytest.raises(becomes) as caught, edge.translated(context):
        raise error
    assert str(caught.value) == text
    assert left == {"why": text}, "what a task fails with is left for the task outcome"
    assert isinstance(caught.value, AirflowFailException) is (becomes is AirflowFailException)


def test_what_nobody_foresaw_is_an_accident() -> None:
    left: dict[str, str] = {}
    context = {"ti": SimpleNamespace(xcom_push=lambda key, value: left.update({key: value}))}
    with pytest.raises(ZeroDivisionError), edge.translated(context):
        _ = 1 / 0
    assert left == {"why": "ZeroDivisionError: division by zero"}


def test_airflow_away_does_not_hide_why_a_task_failed() -> None:
    def away(**_: Any) -> None:
        raise ConnectionError("Airflow is away")

    context = {"ti": SimpleNamespace(xcom_push=away)}
    with pytest.raises(AirflowFailException, match="refused: no"), edge.translated(context):
        raise Refused("no")


# -- gates ---------------------------------------------------------------------------------------


def test_a_gate_without_a_candidate_fails_and_says_so(stage: Stage) -> None:
    with pytest.raises(AirflowFailException, match="has no candidate to collect evidence about"):
        gate().execute(stage.context("nothing"))


def test_a_gate_that_fails_names_its_numbers_and_is_stored(stage: Stage) -> None:
    origin = stage.world.measure("low", auc=0.6)
    with pytest.raises(AirflowFailException, match=r"FAILED: roc_auc 0\.6000, needs at least 0\.7"):
        gate().execute(stage.context("low"))
    with stage.world.store.begin() as unit:
        assert [result.verdict.value for result in unit.results_of(origin)] == ["FAILED"]


def test_an_advisory_gate_says_no_without_failing(stage: Stage) -> None:
    document = copy.deepcopy(dict(RULEBOOK))
    table = dict.fromkeys(("high", "medium", "low"), "advisory")
    document["approval"]["spec"]["enforcement"] = {"metrics-threshold": table}
    edge.airlock().rulebook = Rulebook.from_document(document)
    stage.world.measure("low", auc=0.6)
    assert gate().execute(stage.context("low"))["verdict"] == "FAILED"


def test_a_gate_that_passes_returns_its_result(stage: Stage) -> None:
    stage.world.measure("good")
    assert gate().execute(stage.context("good"))["verdict"] == "PASSED"


@pytest.mark.parametrize(("auc", "word"), [(0.6, "FAILED"), (0.9, "PASSED")])
def test_a_gates_page_has_its_sentence_whatever_it_says(
    stage: Stage, auc: float, word: str
) -> None:
    operator = gate()
    assert operator.summary == "not judged yet"
    stage.world.measure("run", auc=auc)
    with suppress(AirflowFailException):
        operator.execute(stage.context("run"))
    assert operator.summary.startswith(f"metrics-threshold:roc_auc {word}: roc_auc {auc:.4f}, ")
    assert operator.template_fields == ("gate", "summary")
    assert operator.overwrite_rtif_after_execution, "else Airflow keeps what it showed before"


def test_a_task_links_to_the_release_of_its_run_and_to_the_evidence() -> None:
    ti: Any = SimpleNamespace(dag_id="credit", run_id="manual__2026-11-22T00:00:00+00:00")
    page = "/airlock/releases?dag=credit&run=manual__2026-11-22T00%3A00%3A00%2B00%3A00"

    def links(operator: Any) -> dict[str, str]:
        return {
            one.name: one.get_link(operator, ti_key=ti) for one in operator.operator_extra_links
        }

    assert links(gate()) == {"Evidence": f"{page}#gates"}
    assert links(request()) == {"Evidence": f"{page}#gates", "Release": page}
    assert links(level()) == links(promote()) == {"Release": page}
    given = airlock_airflow.PromoteModelOperator(task_id="promote", release="rel-1/../x")
    assert links(given) == {"Release": "/airlock/releases/rel-1%2F..%2Fx"}


def test_the_named_gates_take_their_options_as_arguments() -> None:
    found = airlock_airflow.PerformanceRegressionGateOperator(
        task_id="gate", metric="roc_auc", margin=0.01, confidence=0.9, retries=1
    )
    assert found.gate_key == "performance-regression:roc_auc"
    assert found.retries == 1
    assert airlock_airflow.LatencyGateOperator(task_id="gate", p95_ms=50).gate_key == "latency"
    assert airlock_airflow.DataValidationGateOperator(task_id="g").gate_key == "data-validation"
    fair = airlock_airflow.FairnessGateOperator(task_id="g", equalized_odds=0.1, minimum_rows=50)
    assert (fair.gate_key, fair.gate["equalized_odds"]) == ("fairness", 0.1)
    assert airlock_airflow.ArtifactFormatGateOperator(task_id="g").gate_key == "artifact-format"
    assert airlock_airflow.FootprintGateOperator(task_id="g", size_mb=50).gate_key == "footprint"
    assert airlock_airflow.ReproducibilityGateOperator(task_id="g").gate_key == "reproducibility"
    assert airlock_airflow.ServingCheckGateOperator(task_id="g").gate_key == "serving-check"


def test_the_gates_on_code_take_their_options_as_arguments() -> None:
    coverage = airlock_airflow.CoverageGateOperator(task_id="g", total=70, changed_lines=95)
    assert coverage.gate == {"gate": "test-coverage", "total": 70, "changed_lines": 95}
    static = airlock_airflow.StaticAnalysisGateOperator(task_id="g", severities=["high"])
    assert static.gate_key == "static-analysis"
    audit = airlock_airflow.DependencyAuditGateOperator(task_id="g", ignore=["CVE-1"])
    assert audit.gate_key == "dependency-audit"


@pytest.mark.parametrize(
    "make",
    [
        lambda: airlock_airflow.GateOperator(task_id="g", gate={"gate": "no-such"}),
        lambda: airlock_airflow.GateOperator(task_id="g", gate={}),
        lambda: airlock_airflow.LatencyGateOperator(task_id="g", p95_ms=-1),
        lambda: airlock_airflow.ApprovalGateOperator(task_id="g", level=0),
        lambda: airlock_airflow.StepOperator(task_id="g", step="fly", pipeline="p"),
    ],
)
def test_a_bad_argument_fails_when_the_dag_is_parsed(make: Any) -> None:
    with pytest.raises(ValueError, match=r"must|counts"):
        make()


# -- asking for a release ------------------------------------------------------------------------


def test_nothing_measured_asks_for_nothing(stage: Stage) -> None:
    with pytest.raises(AirflowSkipException, match="nothing was registered"):
        request().execute(stage.context("nothing"))


def test_a_dry_run_opens_no_release(stage: Stage) -> None:
    stage.world.measure("dry")
    told = request().execute(stage.context("dry", dry_run=True))
    assert (told["outcome"], told["release"]) == ("measured", None)
    with pytest.raises(AirflowSkipException):
        level().execute(stage.context("dry"))


def test_a_blocked_release_is_recorded_and_refused(stage: Stage) -> None:
    origin = stage.world.measure("low", auc=0.6)
    with pytest.raises(AirflowFailException, match=r"^refused: .*FAILED"):
        request().execute(stage.context("low"))
    with stage.world.store.begin() as unit:
        release = unit.by_origin(origin)
    assert release is not None
    assert release.state == "BLOCKED"


def test_while_another_release_is_open_the_candidate_is_kept(stage: Stage) -> None:
    stage.world.open("first")
    stage.world.measure("second")
    told = request().execute(stage.context("second"))
    assert told["outcome"] == "kept"
    with pytest.raises(AirflowSkipException, match="no release"):
        promote().execute(stage.context("second"))


def test_asking_twice_gives_the_same_release(stage: Stage) -> None:
    stage.world.measure("run")
    first = request().execute(stage.context("run"))
    assert first["outcome"] == "opened"
    assert request().execute(stage.context("run"))["release"] == first["release"]


# -- waiting -------------------------------------------------------------------------------------


def test_an_undecided_level_parks_and_says_what_is_needed(stage: Stage) -> None:
    release = stage.world.open("run")
    with pytest.raises(TaskAwaitingInput) as caught:
        level().execute(stage.context("run", "level_1"))
    assert caught.value.method_name == "resume"
    (told,) = stage.announced
    assert release in told["subject"]
    assert f"/airlock/releases/{release}" in told["body"]
    with stage.world.store.begin() as unit:
        (parked,) = unit.parked(release)
    assert (parked.task_id, parked.level) == ("level_1", 1)


def test_an_answer_between_the_looks_is_seen_without_parking(stage: Stage) -> None:
    release = stage.world.open("run")
    stage.meanwhile = lambda: stage.world.approve(release, "lena")
    told = level().execute(stage.context("run", "level_1"))
    assert told["outcome"] == "approved"
    world, airflow = stage.world, FakeAirflow()
    while Delivery(world.store, world.signer, airflow, guard_seconds=0).run():
        pass  # the decider forgets whom it has woken
    with world.store.begin() as unit:
        assert unit.parked(release) == ()


@pytest.mark.attack
@pytest.mark.parametrize(
    "event",
    [None, {"chosen_options": ["Done"]}, {"error_type": "timeout"}, {"outcome": "approved"}],
)
def test_whatever_woke_the_task_only_the_database_decides(stage: Stage, event: Any) -> None:
    stage.world.open("run")
    with pytest.raises(TaskAwaitingInput):
        level().resume(stage.context("run", "level_1"), event=event)


def test_rejected_bytes_are_refused_until_the_run_names_the_rejection(stage: Stage) -> None:
    stage.world.measure("one", content="same")
    rejected = request().execute(stage.context("one"))["release"]
    stage.world.vote(rejected, "lena", Decision.REJECT)
    stage.world.measure("two", content="same")
    with pytest.raises(AirflowFailException, match=r"refused: .*a no is final.*after-rejection"):
        request().execute(stage.context("two"))
    named = {"after_rejection": rejected, "reason": "looked again"}
    assert request().execute(stage.context("two", **named))["outcome"] == "opened"


def test_a_reject_is_an_answer_and_what_follows_is_skipped(stage: Stage) -> None:
    release = stage.world.open("run")
    stage.world.approve(release, "lena")
    stage.world.vote(release, "carla", Decision.REJECT)
    assert level(1).resume(stage.context("run"))["outcome"] == "approved"
    told = level(2).execute(stage.context("run"))
    assert told["outcome"] == "rejected"
    assert "carla" in told["why"]
    with pytest.raises(AirflowSkipException, match="refused"):
        level(3).execute(stage.context("run"))
    with pytest.raises(AirflowSkipException, match="refused"):
        promote().execute(stage.context("run"))


def test_a_level_the_tier_does_not_need_skips_itself(stage: Stage) -> None:
    stage.world.open("run")
    with pytest.raises(AirflowSkipException, match="not needed"):
        level(4).execute(stage.context("run"))


def test_a_task_nobody_could_wake_does_not_park(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.world.open("run")
    monkeypatch.setattr(edge, "settings", lambda: SimpleNamespace(service_user_id=None))
    with pytest.raises(AirflowException, match="AIRLOCK_SERVICE_USER_ID"):
        level().execute(stage.context("run"))


# -- promoting -----------------------------------------------------------------------------------


@pytest.mark.attack
def test_promote_asks_airlock_whatever_the_tasks_before_say(stage: Stage) -> None:
    stage.world.open("run")
    with pytest.raises(AirflowFailException, match=r"^refused: .*no grant"):
        promote().execute(stage.context("run"))
    assert stage.world.registry.aliases == {}


def test_an_approved_release_is_promoted_once_however_often_it_is_tried(stage: Stage) -> None:
    release = stage.world.open("run")
    stage.world.approve_all(release)
    first = promote().execute(stage.context("run"))
    again = promote().execute(stage.context("run"))
    assert (first["after"], first["replayed"], again["replayed"]) == ("1", False, True)
    assert stage.world.registry.aliases == {("credit", "champion"): "1"}


def test_the_registry_down_is_retried(stage: Stage) -> None:
    stage.world.approve_all(stage.world.open("run"))
    stage.world.registry.down = True
    with pytest.raises(AirflowException) as caught:
        promote().execute(stage.context("run"))
    assert not isinstance(caught.value, AirflowFailException)


# -- the end -------------------------------------------------------------------------------------


def test_the_outcome_is_one_word(stage: Stage) -> None:
    def told(run: str, asked: dict[str, str], *failed: str) -> str:
        with stage.world.store.begin() as unit:
            release = unit.by_origin(f"credit/{run}")
        failures = dict.fromkeys(failed, "it broke")
        return str(releasing.outcome(release, asked, failures)["outcome"])

    stage.world.open("run")
    opened = {"outcome": "opened"}
    assert told("none", {"outcome": "kept"}) == "kept"
    assert told("none", {"outcome": "measured"}) == "measured"
    assert told("none", {}, "train") == "failed"
    assert told("none", {}) == "failed", "nothing known is no success"
    assert told("run", opened) == "failed", "still waiting, but the run is over"
    release = stage.world.approve_all(_only(stage)).id
    assert told("run", opened) == "failed"
    stage.world.promote(release)
    assert told("run", opened) == "promoted"


def test_one_cause_is_one_sentence_and_no_list_of_what_did_not_run(stage: Stage) -> None:
    stage.states = {"train": "failed", "evaluate": "upstream_failed", "gates.a": "upstream_failed"}
    stage.left["train", "why"] = "refused: training of credit raised KeyError: 'age'."
    context = stage.context("broken", task="outcome")
    stage.world.runs.add("credit/broken", "ana")
    stage.world.runs.failed["credit/broken"] = ("train",)
    with pytest.raises(AirflowFailException) as caught:
        airlock_airflow.OutcomeOperator(task_id="outcome").execute(context)
    told = stage.left["outcome", "return_value"]
    sentence = (
        "task train failed: refused: training of credit raised KeyError: 'age' "
        "(2 more tasks did not run because of that)"
    )
    assert told == {"outcome": "failed", "release": None, "why": sentence}
    assert str(caught.value) == f"failed: {sentence}"
    with stage.world.store.begin() as unit:
        notes = [one.payload["text"] for one in unit.claim() if one.kind == "run-note"]
    said = f"Task train failed. The run says why: failed: {sentence}"
    assert notes == [said], "the run's note says it too, and whose word it is"


def test_a_gates_no_in_a_dry_run_is_a_refusal_and_an_accident_is_not(stage: Stage) -> None:
    dry = {"outcome": "measured", "why": "dry run"}
    no = {"gates.latency": "latency FAILED: 300 ms"}
    told = releasing.outcome(None, dry, no)
    assert (told["outcome"], told["why"]) == (
        "refused",
        "task gates.latency failed: latency FAILED: 300 ms",
    )
    assert releasing.outcome(None, dry, {**no, "promote": "?"})["outcome"] == "failed"
    assert releasing.outcome(None, dry, {})["outcome"] == "measured"


def test_what_a_gate_blocked_is_no_second_failure(stage: Stage) -> None:
    stage.world.measure("low", auc=0.6)
    stage.states = {"gates.metrics-threshold-roc_auc": "failed"}
    with pytest.raises(AirflowSkipException, match=r"^refused: .*FAILED"):
        request().execute(stage.context("low"))


def _only(stage: Stage) -> str:
    with stage.world.store.begin() as unit:
        (release,) = unit.find()
    return release.id


# -- whose run is it -----------------------------------------------------------------------------


def test_a_run_nobody_triggered_belongs_to_the_pipelines_owner(stage: Stage) -> None:
    context = stage.context("run")
    assert edge.requester(context, "owner") == "ana"
    context["dag_run"].triggering_user_name = None
    assert edge.requester(context, "owner") == "owner"


def test_a_task_is_never_a_person(stage: Stage) -> None:
    actor = edge.actor(stage.context("run"))
    assert actor.id == "system:dag/credit"
    assert actor.roles == frozenset()


def test_a_scheduled_run_sees_data_up_to_its_logical_date() -> None:
    run = SimpleNamespace(logical_date=datetime(2026, 3, 1), run_type="scheduled")  # noqa: DTZ001
    timed, untimed = SimpleNamespace(time_column="day"), SimpleNamespace(time_column=None)
    assert str(steps._end({"dag_run": run}, timed)) == "2026-03-01"
    assert steps._end({"dag_run": run}, untimed) is None


def test_a_run_that_a_person_starts_has_no_end_of_its_own() -> None:
    """Airflow's form gives it the present as its date; the field says that empty is all."""
    run = SimpleNamespace(
        logical_date=datetime(2026, 3, 1),  # noqa: DTZ001
        run_type=DagRunType.MANUAL,
    )
    assert steps._end({"dag_run": run}, SimpleNamespace(time_column="day")) is None
