"""The DAG files: short, complete, quick, and honest about what is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airlock.adapters.airflow.rest import AirflowRest
from airlock.config.load import load_pipelines
from airlock.services.pipeline.commit_trigger import QUIET_S, CommitTrigger
from airlock_airflow import edge
from tests.airflow.harness import RunningPlatform
from tests.bench import parse_dags
from tests.support import ROOT

PLATFORM = {"airlock_promote", "airlock_timers", "airlock_detector", "airlock_mail"}
FILES = sorted((ROOT / "dags").glob("*.py"))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a configuration that may be broken."""
    folder = tmp_path / "include"
    for part in ("pipelines", "policies"):
        shutil.copytree(ROOT / "include" / part, folder / part)
    monkeypatch.setenv("AIRLOCK_CONFIG_DIR", str(folder))
    monkeypatch.setenv("AIRLOCK_ROOT", str(ROOT))
    edge.settings.cache_clear()
    yield folder
    edge.settings.cache_clear()


def bag(path: Path = ROOT / "dags") -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(path))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_dag_file_only_wires(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if line.strip()]
    assert len(lines) <= 25


def test_every_dag_is_complete(config: Path) -> None:
    found = bag()
    assert found.import_errors == {}
    assert set(found.dags) == {"employment", "doctor-visits", *PLATFORM}
    for dag in found.dags.values():
        assert "airlock" in dag.tags
        assert dag.doc_md
        assert dag.catchup is False
        assert dag.dagrun_timeout is None
        assert all(task.owner for task in dag.tasks)


def test_a_pipeline_dag_lets_many_releases_wait(config: Path) -> None:
    dag = bag().dags["employment"]
    assert dag.max_active_runs >= 100
    asked = {"since", "until", "reason", "after_rejection", "raise_tier", "dry_run"}
    assert set(dag.params) == asked
    assert dag.owner == "ana"
    assert "tier:high" in dag.tags
    assert {task.task_id for task in dag.tasks} >= {
        "pin_data",
        "validate_data",
        "train",
        "evaluate",
        "register_candidate",
        "gates.performance-regression-roc_auc",
        "request_release",
        "approval.level_1",
        "approval.level_2",
        "approval.level_3",
        "promote",
        "outcome",
    }
    assert dag.get_task("approval.level_3").task_display_name == "Level 3: risk-committee"


def test_a_gate_that_runs_team_code_waits_for_the_task_that_runs_it(config: Path) -> None:
    file = config / "pipelines" / "doctor-visits.yaml"
    more = "    - {gate: reproducibility}\n    - {gate: test-coverage, total: 80}\n"
    before = bag().dags["doctor-visits"]
    file.write_text(file.read_text() + more)
    after = bag().dags["doctor-visits"]
    added = {"run_team_code", "gates.reproducibility", "gates.test-coverage"}
    assert set(after.task_ids) - set(before.task_ids) == added
    collect = after.get_task("run_team_code")
    assert collect.upstream_task_ids == {"pin_data", "train"}
    assert collect.downstream_task_ids == added - {"run_team_code"}
    assert collect.execution_timeout is not None


def test_no_shipped_pipeline_has_more_tasks_than_its_steps_gates_and_levels(config: Path) -> None:
    for name in ("employment", "doctor-visits"):
        assert "run_team_code" not in bag().dags[name].task_ids


def test_a_low_tier_has_the_levels_a_raised_tier_would_need(config: Path) -> None:
    tasks = bag().dags["doctor-visits"].task_ids
    assert [task for task in tasks if task.startswith("approval")] == [
        "approval.level_1",
        "approval.level_2",
        "approval.level_3",
    ]


def test_nothing_runs_at_once_because_of_a_schedule(config: Path) -> None:
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables.base import TimeRestriction

    dag = DagSerialization.from_dict(DagSerialization.to_dict(bag().dags["employment"]))
    restriction = TimeRestriction(earliest=dag.start_date, latest=None, catchup=False)
    asked = datetime.now(UTC)
    first = dag.timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=restriction
    )
    assert first.run_after >= asked


def test_commits_start_runs_besides_the_clock(config: Path) -> None:
    from airflow.sdk import AssetOrTimeSchedule

    file = config / "pipelines" / "employment.yaml"
    text = file.read_text().replace(
        'triggers: {cron: "0 2 * * 1"}',
        'triggers: {cron: "0 2 * * 1", onCommit: true}',
    )
    file.write_text(text)
    timetable = bag().dags["employment"].timetable
    assert isinstance(timetable, AssetOrTimeSchedule)
    assert timetable.asset_condition.name == "airlock/commit/employment"


def test_the_delivery_process_starts_a_run_by_a_commit_once(
    platform: RunningPlatform, tmp_path: Path
) -> None:
    """With its own account and its rights; `tests/unit/services` has when it does."""
    airflow = platform.airflow
    airflow.as_user().patch("/api/v2/dags/triggered", json={"is_paused": False})
    password = tmp_path / "password"
    password.write_text(platform.users["airlock-service"])
    commits, seconds = ["one"], [0.0]
    service = AirflowRest(airflow.url, password)
    trigger = CommitTrigger(lambda _: commits[-1], service, lambda: seconds[0])

    def look() -> None:
        seconds[0] += QUIET_S
        assert trigger.round({"triggered": "model"}) == {}

    for commit in ("one", "one", "two", "two", "two"):
        commits.append(commit)
        look()
    assert service.last("airlock/commit/triggered") == {"commit": "two", "from_rest_api": True}

    def started() -> list[Any]:
        return list(airflow.get("dags/triggered/dagRuns")["dag_runs"])

    (run,) = airflow.wait(started, "a run because of a commit", 60)
    assert run["run_type"] == "asset_triggered"
    assert airflow.await_run("triggered", run["dag_run_id"]) == "success"


def test_a_refused_pipeline_is_shown_and_the_others_go_on(config: Path) -> None:
    file = config / "pipelines" / "employment.yaml"
    file.write_text(file.read_text().replace("holdout: 0.25", "holdut: 0.25"))
    found = bag()
    assert "doctor-visits" in found.dags
    assert "employment" not in found.dags
    (where, said), *others = found.import_errors.items()
    assert where.endswith("refused.py")
    assert not others
    for part in ("employment.yaml", "holdut", "holdout"):
        assert part in said


def test_a_broken_policy_stops_every_pipeline_and_says_so(config: Path) -> None:
    (config / "policies" / "risk.yaml").write_text("kind: RiskPolicy\n")
    found = bag()
    assert set(found.dags) == PLATFORM
    assert "risk.yaml" in str(found.import_errors)


def test_a_task_that_starts_builds_only_its_own_dag(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "doctor-visits")
    assert set(bag(ROOT / "dags" / "pipelines.py").dags) == {"doctor-visits"}


def test_the_guide_says_who_has_to_agree(config: Path) -> None:
    from airlock.domain.approval.policy import Rulebook
    from airlock_airflow.loading import current

    loaded = current()
    assert isinstance(loaded.rulebook, Rulebook)
    employment = load_pipelines(config, ROOT).get("employment")
    assert employment is not None
    text = loaded.build(employment).doc_md
    assert "1. algorithm-lead: 1 x algorithm_lead" in text
    assert "3. risk-committee: 2 x risk_committee" in text


def test_naming_an_operator_imports_nothing_heavy() -> None:
    code = (
        "import sys; from airlock_airflow import *; from airlock_airflow import pipeline, loading;"
        f"print([name for name in {(*parse_dags.HEAVY, 'sqlalchemy')!r} if name in sys.modules])"
    )
    before = "import sys; import airflow.sdk; print('sqlalchemy' in sys.modules)"
    environment = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": os.environ["AIRFLOW_HOME"],
        "PYTHONPATH": f"{ROOT}/include:{ROOT}/plugins",
    }

    def run(text: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", text],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout.strip().splitlines()[-1]

    heavy = run(code)
    assert heavy == ("['sqlalchemy']" if run(before) == "True" else "[]")


def test_an_unknown_name_is_refused_kindly() -> None:
    import airlock_airflow

    with pytest.raises(AttributeError, match="ApprovalGateOperator"):
        _ = airlock_airflow.AprovalGateOperator
