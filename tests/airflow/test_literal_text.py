"""No text of a pipeline is ever rendered as a template, wherever Airflow or Airlock shows it."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from airflow.sdk import DAG, BaseOperator

import airlock_airflow
from airlock.config.load import load_pipelines, load_rulebook
from airlock.domain.approval.policy import Rulebook
from airlock_airflow import gates, pipeline
from airlock_airflow.literal import LiteralFields
from tests.support import ROOT

EVIL = "{{ 7*7 }}{{ conn.airlock_secret.password }}{% include '/etc/passwd' %}"
MORE: list[dict[str, Any]] = [
    {"gate": "drift", "ignore": ["AGEP"]},
    {"gate": "dependency-audit"},
    {"gate": "static-analysis"},
    {"gate": "test-coverage", "total": 1, "changedLines": 1},
]  # fmt: skip


class NoSecrets:
    """Stands for `conn` and `var`: whoever asks has rendered something."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a template asked for {name}")


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    else:
        yield path


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    made = copy.deepcopy(document)
    place = made
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("literal") / "include"
    shutil.copytree(ROOT / "include/policies", made / "policies")
    (made / "pipelines").mkdir()
    return made


def dags(folder: Path, document: Any) -> list[DAG]:
    """Return the DAG of a pipeline; none if the configuration refuses it."""
    (folder / "pipelines" / "employment.yaml").write_text(yaml.safe_dump(document))
    rulebook = Rulebook.from_document(load_rulebook(folder).document)
    return [pipeline.build(one, rulebook) for one in load_pipelines(folder, ROOT).valid]


def rendered(dag: DAG) -> list[str]:
    """Render every task of a DAG as a worker does; return what its fields are then."""
    context = {"params": {}, "conn": NoSecrets(), "var": NoSecrets(), "ti": SimpleNamespace(
        xcom_pull=lambda *_, **__: EVIL), "dag": dag, "expanded_ti_count": None}  # fmt: skip
    found = []
    for task in dag.tasks:
        for field in task.template_fields:  # results of other tasks are text of somebody's, too
            if field == "inputs":
                task.inputs = {"pinned": EVIL, "deep": [{"data": EVIL}]}
        task.render_template_fields(context, dag.get_template_env())
        found += [repr(getattr(task, field)) for field in task.template_fields]
        found += [task.task_id, task.task_display_name, str(task.doc_md)]
    return found


def test_every_text_of_a_pipeline_is_shown_as_it_stands(folder: Path) -> None:
    document = yaml.safe_load((ROOT / "include/pipelines/employment.yaml").read_text())
    document["spec"]["gates"] += MORE
    taken = 0
    assert len(dags(folder, document)) == 1
    for path in leaves(document):
        for dag in dags(folder, put(document, path, EVIL)):
            texts = [*rendered(dag), str(dag.description), str(dag.doc_md), dag.dag_id]
            assert not [text for text in texts if "49" in text], path
            taken += 1
    everything = put(document, ("metadata", "description"), EVIL)
    (dag,) = dags(folder, everything)
    assert EVIL in str(dag.doc_md)
    assert taken >= 1


def test_options_and_sentences_of_a_gate_are_not_rendered() -> None:
    with DAG(dag_id="own", start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        task = gates.GateOperator(
            task_id="judge", gate={"gate": "metrics-threshold", "metric": "roc_auc", "threshold": 1}
        )
    task.gate["note"] = [{"deep": EVIL}]
    task.summary = f"the slice {EVIL} failed"  # a slice's name comes from data
    assert EVIL in "".join(rendered(dag))
    assert task.gate["note"] == [{"deep": EVIL}]


def test_no_other_operator_of_ours_renders_more_than_an_id() -> None:
    found = {}
    for name in airlock_airflow.__all__:
        kind = getattr(airlock_airflow, name)
        if isinstance(kind, type) and issubclass(kind, BaseOperator) and kind.template_fields:
            found[name] = (tuple(kind.template_fields), issubclass(kind, LiteralFields))
    assert found
    rendering = {name: fields for name, (fields, literal) in found.items() if not literal}
    # Given by who writes a DAG file: an id of a release, and the key of a message.
    assert set(rendering.values()) <= {("release",), ("message",)}
