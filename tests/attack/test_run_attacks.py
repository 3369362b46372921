"""The run behind a frozen or released version: nobody deletes it or changes what it shows."""

from __future__ import annotations

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
