"""The queue of a task comes from its class and its DAG file, whatever the DAG says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airlock_airflow.queues import AIRLOCK, TRAIN, queue_of, task_policy
from tests.support import ROOT

pytestmark = pytest.mark.airflow
OWN = ROOT / "dags" / "pipelines.py"
STRANGE = Path("/srv/own-dags/hostile.py")


@pytest.fixture(autouse=True)
def dags_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(ROOT / "dags"))


def dag(file: Path) -> Any:
    from airflow.sdk import DAG

    made = DAG(dag_id="one", schedule=None)
    made.fileloc = str(file)
    return made


def step(name: Any, file: Path = OWN, **more: Any) -> Any:
    from airlock_airflow import StepOperator

    return StepOperator(task_id=name, step=name, pipeline="credit", dag=dag(file), **more)


def python(file: Path, **more: Any) -> Any:
    from airflow.providers.standard.operators.python import PythonOperator

    return PythonOperator(task_id="mine", python_callable=print, dag=dag(file), **more)


def decided(task: Any) -> str:
    task_policy(task)
    return str(task.queue)


@pytest.mark.attack
@pytest.mark.parametrize("file", [OWN, STRANGE], ids=["image", "own"])
def test_a_python_operator_that_asks_for_airlocks_queue_does_not_get_it(file: Path) -> None:
    task = python(file, queue=AIRLOCK)
    assert task.queue == AIRLOCK
    assert decided(task) == TRAIN


@pytest.mark.parametrize("name", ["pin", "evaluate", "register"])
def test_steps_with_a_credential_run_on_airlock(name: str) -> None:
    assert decided(step(name, queue=TRAIN)) == AIRLOCK


@pytest.mark.parametrize("name", ["validate", "train", "collect"])
def test_steps_that_run_team_code_run_where_there_is_no_credential(name: str) -> None:
    assert decided(step(name, queue=AIRLOCK)) == TRAIN


def test_every_operator_of_airlock_runs_on_airlock() -> None:
    from airflow.sdk import BaseOperator

    import airlock_airflow

    names = [name for name in airlock_airflow.__all__ if name.endswith("Operator")]
    assert len(names) > 20
    for name in names:
        operator = getattr(airlock_airflow, name)
        assert issubclass(operator, BaseOperator)
        one = SimpleNamespace(operator_class=operator, get_dag=lambda: dag(OWN))
        assert queue_of(one) == AIRLOCK, name


@pytest.mark.attack
def test_airlocks_operator_in_a_strangers_dag_file_stays_where_no_credential_is() -> None:
    assert decided(step("pin", STRANGE, queue=AIRLOCK)) == TRAIN


@pytest.mark.attack
def test_a_class_derived_from_airlocks_is_not_airlocks() -> None:
    from airlock_airflow import StepOperator

    class Derived(StepOperator):
        def execute(self, context: Any) -> Any:
            raise AssertionError("hostile")

    derived = Derived(task_id="pin", step="pin", pipeline="credit", dag=dag(OWN), queue=AIRLOCK)
    assert decided(derived) == TRAIN
    Derived.__module__, Derived.__qualname__ = StepOperator.__module__, StepOperator.__qualname__
    again = Derived(task_id="pin2", step="pin", pipeline="credit", dag=dag(OWN), queue=AIRLOCK)
    assert decided(again) == TRAIN


@pytest.mark.attack
def test_a_mapped_task_is_judged_by_its_class_too() -> None:
    from airflow.providers.standard.operators.python import PythonOperator

    from airlock_airflow import StepOperator

    with dag(OWN):
        mine = PythonOperator.partial(task_id="mine", python_callable=print, queue=AIRLOCK).expand(
            op_args=[[1]]
        )
        train = StepOperator.partial(task_id="t", step="train", pipeline="credit").expand(
            inputs=[{}]
        )
        pin = StepOperator.partial(task_id="p", step="pin", pipeline="credit").expand(inputs=[{}])
    assert [decided(one) for one in (mine, train, pin)] == [TRAIN, TRAIN, AIRLOCK]


def test_a_task_without_a_dag_file_has_no_credential() -> None:
    from airlock_airflow import StepOperator

    assert queue_of(StepOperator(task_id="pin", step="pin", pipeline="credit")) == TRAIN


@pytest.mark.attack
@pytest.mark.parametrize("name", ["validate", "train", "collect"])
def test_team_code_on_the_worker_of_airlock_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who put its message on the other queue: the broker's accounts forbid it, too."""
    from airflow.sdk.exceptions import AirflowFailException

    from airlock_airflow import edge

    monkeypatch.setenv("AIRLOCK_QUEUE", AIRLOCK)
    edge.settings.cache_clear()
    try:
        with pytest.raises(AirflowFailException, match="belongs to the queue train"):
            step(name).execute({})
    finally:
        edge.settings.cache_clear()


def test_a_task_on_train_that_needs_a_credential_says_where_it_belongs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airlock.domain.errors import Refused
    from airlock_airflow import edge

    monkeypatch.setenv("AIRLOCK_QUEUE", TRAIN)
    edge.settings.cache_clear()
    edge.airlock.cache_clear()
    try:
        with pytest.raises(Refused, match="queue train has no credential"):
            edge.airlock()
    finally:
        edge.settings.cache_clear()


def test_airflow_reads_the_policy_from_the_plugins_folder() -> None:
    text = (ROOT / "plugins" / "airflow_local_settings.py").read_text()
    assert "from airlock_airflow.queues import task_policy" in text
    ignored = (ROOT / "plugins" / ".airflowignore").read_text().split()
    assert "airflow_local_settings.py" in ignored
