"""The run behind a frozen or released version: nobody deletes it or changes what it shows."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelInput, Metric
from mlflow.exceptions import MlflowException

from airlock_mlflow import runs
from tests.attack.guard_kit import ON_ALL_PAIRS, Site
from tests.attack.guard_server import WORKER

ATTACKS: dict[str, Callable[[MlflowClient, str], Any]] = {
    "a metric": lambda client, run: client.log_metric(run, "roc_auc", 0.99),
    "a parameter": lambda client, run: client.log_param(run, "late", "1"),
    "a tag": lambda client, run: client.set_tag(run, "reviewed", "yes"),
    "a tag of Airlock's": lambda client, run: client.set_tag(run, "airlock.origin", "x"),
    "no tag": lambda client, run: client.delete_tag(run, "mlflow.runName"),
    "a batch": lambda client, run: client.log_batch(run, [Metric("f1", 0.99, 1, 0)]),
    "a status": lambda client, run: client.set_terminated(run, "FAILED"),
    "a name": lambda client, run: client.update_run(run, name="other"),
    "an input": lambda client, run: client.log_inputs(run, models=[LoggedModelInput("m-1")]),
    "no run": lambda client, run: client.delete_run(run),
    "no experiment": lambda client, run: client.delete_experiment(
        client.get_run(run).info.experiment_id
    ),
    "another experiment": lambda client, run: client.rename_experiment(
        client.get_run(run).info.experiment_id, f"other-{run}"
    ),
    "no traces": lambda client, run: client.delete_traces(
        client.get_run(run).info.experiment_id, max_timestamp_millis=1
    ),
}


def frozen_run(site: Site, model: str) -> tuple[str, str]:
    version = site.candidate(model)
    with site.as_(WORKER) as client:
        return version, str(client.get_model_version(model, version).run_id)


def denied(site: Site, person: str, attack: str, run: str) -> None:
    with site.as_(person) as client, pytest.raises(MlflowException, match="airlock: "):
        ATTACKS[attack](client, run)


@ON_ALL_PAIRS
def test_the_run_behind_a_frozen_version_stays_as_it_is(site: Site) -> None:
    model = f"run-{uuid.uuid4().hex[:8]}"
    version, run = frozen_run(site, model)
    with site.as_(WORKER) as client:
        before = client.get_run(run).to_dictionary()
    for attack in ATTACKS:
        denied(site, "ana", attack, run)
    for attack in ("no run", "no experiment", "another experiment", "no tag", "no traces"):
        denied(site, WORKER, attack, run)
    with site.as_(WORKER) as client:
        assert client.get_run(run).to_dictionary() == before
        client.log_metric(run, "latency", 1.0)  # the gates add what they measured
    site.release(model, version)
    with site.as_(WORKER) as client:
        before = client.get_run(run).to_dictionary()
    for attack in ATTACKS:
        denied(site, WORKER, attack, run)
        denied(site, "ana", attack, run)
    with site.as_(WORKER) as client:
        assert client.get_run(run).to_dictionary() == before


def test_a_run_of_ones_own_is_free(site: Site) -> None:
    with site.as_("ana") as client:
        experiment = client.create_experiment(f"free-{uuid.uuid4().hex[:8]}")
        run = client.create_run(experiment).info.run_id
        for attack in ATTACKS:
            if attack not in ("a tag of Airlock's", "an input", "no experiment", "no run"):
                ATTACKS[attack](client, run)
        denied(site, "ana", "a tag of Airlock's", run)
        with pytest.raises(MlflowException, match="written by Airlock alone"):
            client.create_run(experiment, tags={"airlock.origin": "x"})
        client.delete_run(run)
        client.restore_run(run)
        client.delete_experiment(experiment)


def test_every_writing_method_of_runs_is_classified() -> None:
    assert runs.unclassified() == []
    assert not runs.GUARDED & runs.FREE


def test_a_frozen_version_that_no_run_made_binds_no_run(site: Site) -> None:
    model = f"runless-{uuid.uuid4().hex[:8]}"
    with site.as_("ana") as client:
        client.create_registered_model(model)
        logged = client.create_logged_model("0")
        place = f"/api/2.0/mlflow-artifacts/artifacts/0/models/{logged.model_id}/artifacts/x"
        assert site.ask("PUT", place, b"good").status == 200
        made = client.create_model_version(
            model, f"models:/{logged.model_id}", model_id=logged.model_id
        )
    asked = {"model": model, "version": str(made.version)}
    assert site.ask("POST", "/airlock/freeze", asked).status == 201
    with site.as_("ana") as client:
        run = client.create_run("0")
        client.log_metric(run.info.run_id, "roc_auc", 0.9)
        client.set_terminated(run.info.run_id)


# -- what belongs to such a run --------------------------------------------------------------------


class Scene:
    """A frozen run, a trace of another experiment, a prompt, and its experiment's data set."""

    def __init__(self, site: Site) -> None:
        self.site, self.model = site, f"own-{uuid.uuid4().hex[:8]}"
        self.prompt = f"{self.model}-prompt"
        self.elsewhere = self.trace = self.dataset = ""
        self.version, self.run = frozen_run(site, self.model)
        with site.as_(WORKER) as client:
            self.experiment = client.get_run(self.run).info.experiment_id
            models = client.search_logged_models([self.experiment])
            (self.logged,) = (one.model_id for one in models if one.source_run_id == self.run)
        with site.as_("ana") as client:
            self.elsewhere = client.create_experiment(f"{self.model}-elsewhere")
            for text in ("used", "free"):
                client.register_prompt(self.prompt, text)
        self.trace, self.written = self._trace(), self._trace(self.run, WORKER)
        self.free = self._trace()
        linked = {"trace_ids": [self.trace], "run_id": self.run}
        self.told("POST", "/api/2.0/mlflow/traces/link-to-run", linked, WORKER)
        prompts = {"trace_id": self.trace, "prompt_versions": [self._prompt(1)]}
        self.told("POST", "/api/2.0/mlflow/traces/link-prompts", prompts, WORKER)
        asked = {"name": self.model, "experiment_ids": [self.experiment]}
        made = self.told("POST", "/api/3.0/mlflow/datasets/create", asked, WORKER)
        self.dataset = json.loads(made)["dataset"]["dataset_id"]

    def _prompt(self, version: int) -> dict[str, str]:
        return {"name": self.prompt, "version": str(version)}

    def _trace(self, run: str = "", person: str = "ana") -> str:
        trace = f"tr-{uuid.uuid4().hex}"
        answer = self.site.ask("POST", f"{V3}/traces", self.new_trace(trace, run), person)
        assert answer.status == 200, answer.text
        return trace

    def new_trace(self, trace: str, run: str = "", tag: str = "x") -> dict[str, Any]:
        place = {"mlflow_experiment": {"experiment_id": self.elsewhere}}
        info = {
            "trace_id": trace,
            "trace_location": {"type": "MLFLOW_EXPERIMENT", **place},
            "request_time": "2026-12-01T00:00:00Z",
            "state": "OK",
            "trace_metadata": {"mlflow.sourceRun": run} if run else {},
            "tags": {tag: "y"},
        }
        return {"trace": {"trace_info": info}}

    def told(self, method: str, path: str, body: Any, person: str = "ana") -> str:
        answer = self.site.ask(method, path, body, person)
        assert answer.status == 200, answer.text
        return answer.text

    def attacks(self, trace: str) -> dict[str, Callable[[MlflowClient], Any]]:
        """What somebody might do to a trace."""
        said = {
            "assessment_name": "good",
            "trace_id": trace,
            "source": {"source_type": "HUMAN", "source_id": "ana"},
            "create_time": "2026-12-01T00:00:00Z",
            "last_update_time": "2026-12-01T00:00:00Z",
            "feedback": {"value": True},
        }
        return {
            "tag": lambda client: client.set_trace_tag(trace, "reviewed", "yes"),
            "assess": lambda _: self._refused(
                "POST", f"{V3}/traces/{trace}/assessments", {"assessment": said}),
            "written anew": lambda _: self._refused("POST", f"{V3}/traces", self.new_trace(trace)),
            "a prompt": lambda _: self._refused(
                "POST", "/api/2.0/mlflow/traces/link-prompts",
                {"trace_id": trace, "prompt_versions": [self._prompt(2)]}),
            "deleted": lambda client: client.delete_traces(self.elsewhere, trace_ids=[trace]),
        }  # fmt: skip

    def _refused(self, method: str, path: str, body: Any) -> None:
        """Raise as the client does; for what it has no call for."""
        answer = self.site.ask(method, path, body)
        if answer.status != 200:
            raise MlflowException(answer.text)


V3 = "/api/3.0/mlflow"


@pytest.fixture(scope="module")
def scene(site: Site) -> Scene:
    return Scene(site)


def _denied(scene: Scene, person: str, attack: Callable[[MlflowClient], Any]) -> None:
    with scene.site.as_(person) as client, pytest.raises(MlflowException, match="airlock: "):
        attack(client)


def test_a_trace_of_such_a_run_stays_as_it_is(scene: Scene) -> None:
    for trace in (scene.trace, scene.written):
        for attack in scene.attacks(trace).values():
            _denied(scene, "ana", attack)
    for trace in (scene.trace, scene.written):
        _denied(scene, WORKER, scene.attacks(trace)["deleted"])
    _denied(scene, "ana", lambda client: client.delete_traces(scene.elsewhere, 2**42))
    with scene.site.as_(WORKER) as client:
        client.set_trace_tag(scene.trace, "measured", "yes")  # what the gates add
    assert "reviewed" not in scene.told("GET", f"{V3}/traces/{scene.trace}", None)
    _denied(scene, WORKER, lambda client: client.delete_trace_tag(scene.trace, "measured"))


def test_nobody_writes_a_trace_or_a_logged_model_into_such_a_run(scene: Scene) -> None:
    new = scene.new_trace(f"tr-{uuid.uuid4().hex}", scene.run)
    assert scene.site.ask("POST", f"{V3}/traces", new).status == 403
    old = {
        "experiment_id": scene.elsewhere,
        "timestamp_ms": 1,
        "request_metadata": [{"key": "mlflow.sourceRun", "value": scene.run}],
    }
    assert scene.site.ask("POST", "/api/2.0/mlflow/traces", old).status == 403
    _denied(scene, "ana", lambda client: client.create_logged_model("0", source_run_id=scene.run))


def test_metrics_of_its_logged_model_come_from_no_other_run(scene: Scene) -> None:
    with scene.site.as_("ana") as client:
        mine = client.create_run(scene.elsewhere).info.run_id
        metric = Metric("roc_auc", 0.99, 1, 0, model_id=scene.logged)
        for log in (
            lambda client: client.log_metric(mine, "roc_auc", 0.99, model_id=scene.logged),
            lambda client: client.log_batch(mine, [metric]),
        ):
            _denied(scene, "ana", log)


def test_a_prompt_it_used_stays_as_it_is(scene: Scene) -> None:
    def ask(method: str, path: str, person: str, **body: str) -> tuple[int, bool]:
        sent = {"name": scene.prompt, **body}
        answer = scene.site.ask(method, f"/api/2.0/mlflow/{path}", sent, person)
        return answer.status, "used the prompt" in answer.text

    text = "mlflow.prompt.text"
    for person in ("ana", WORKER):
        for method, path, body in (
            ("DELETE", "model-versions/delete", {"version": "1"}),
            ("POST", "model-versions/set-tag", {"version": "1", "key": text, "value": "evil"}),
            ("DELETE", "model-versions/delete-tag", {"version": "1", "key": text}),
            ("DELETE", "registered-models/delete", {}),
            ("POST", "registered-models/rename", {"new_name": f"{scene.prompt}-2"}),
        ):
            assert ask(method, path, person, **body) == (403, True), path
    body = {"version": "2", "key": text, "value": "another"}
    assert ask("POST", "model-versions/set-tag", "ana", **body)[0] == 200
    assert ask("DELETE", "model-versions/delete", "ana", version="2")[0] == 200


def test_a_data_set_of_its_experiment_is_not_taken_away(scene: Scene) -> None:
    path = f"{V3}/datasets/{scene.dataset}"
    for person in ("ana", WORKER):
        for method, below, body in (
            ("DELETE", "", {}),
            ("DELETE", "/records", {"dataset_record_ids": ["x"]}),
            ("POST", "/remove-experiments", {"experiment_ids": [scene.experiment]}),
        ):
            answer = scene.site.ask(method, f"{path}{below}", body, person)
            assert answer.status == 403, answer.text
            assert "airlock: " in answer.text


def test_what_belongs_to_no_such_run_is_free(scene: Scene) -> None:
    with scene.site.as_("ana") as client:
        for attack in scene.attacks(scene.free).values():
            attack(client)


def test_tags_of_airlocks_are_its_own_on_whatever_it_is(scene: Scene) -> None:
    key = "airlock.origin"
    new = scene.new_trace(f"tr-{uuid.uuid4().hex}", tag=key)
    assert scene.site.ask("POST", f"{V3}/traces", new).status == 403
    for path, body in (
        ("experiments/set-experiment-tag", {"experiment_id": scene.elsewhere}),
        ("experiments/create", {"name": f"x-{scene.model}"}),
        ("logged-models", {"experiment_id": scene.elsewhere, "name": "x"}),
    ):
        tags = {"key": key, "value": "x", "tags": [{"key": key, "value": "x"}]}
        answer = scene.site.ask("POST", f"/api/2.0/mlflow/{path}", body | tags)
        assert answer.status == 403, answer.text
        assert "written by Airlock alone" in answer.text
    tags = {"tags": json.dumps({key: "x"})}
    dataset = f"{V3}/datasets/{scene.dataset}/tags"
    assert scene.site.ask("PATCH", dataset, tags).status == 403
    _denied(scene, "ana", lambda client: client.set_trace_tag(scene._trace(), key, "x"))
