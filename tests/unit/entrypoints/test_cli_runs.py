from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from airlock.domain.errors import Refused, Unreachable
from airlock.entrypoints.cli import release as cli_release
from airlock.entrypoints.cli.pipelines import pipeline, run_logs, runs
from airlock.entrypoints.client import Client, Session
from tests.command import Said, run_cli

RUN = "manual__2026-11-21T00:00:00+00:00"


class FakeAirflow:
    """Airflow's REST API as far as the commands use it; a run walks through *states*."""

    def __init__(self, states: list[str], outcome: Any = None, *, paused: bool = False) -> None:
        self.states, self.outcome, self.paused = states, outcome, paused
        self.events: list[dict[str, Any]] = []
        self.why = ""
        self.idle: tuple[str, ...] = ()
        self.release_state = "APPROVED"
        self.triggers: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        for ending, answer in self._answers().items():
            if path.endswith(ending):
                return answer(request)
        return httpx.Response(404, json={"detail": f"no {path}"})

    def _answers(self) -> dict[str, Callable[[httpx.Request], httpx.Response]]:
        return {
            "/importErrors": lambda _: _json({"import_errors": []}),
            "/dags": lambda _: _json({"dags": [_dag("credit"), _dag("own", "platform")]}),
            "/dags/credit": lambda _: _json({"is_paused": self.paused}),
            "/dags/airlock_promote": lambda _: _json({"is_paused": False}),
            "/dagRuns": self._trigger,
            "/taskInstances": lambda _: _json({"task_instances": self._tasks()}),
            "/xcomEntries/return_value": self._returned,
            "/gate/xcomEntries/why": lambda _: _json({"value": self.why}),
            f"/dagRuns/{RUN}": lambda _: _json({"state": self._next()}),
            "/releases/rel-1/events": lambda _: _json(self.events),
            "/releases/rel-1": lambda _: _json(self._release()),
            "/api/v1/releases": lambda _: _json([self._release()]),
        }

    def _trigger(self, request: httpx.Request) -> httpx.Response:
        self.triggers.append(json.loads(request.content))
        return _json({"dag_run_id": RUN}, 201)

    def _tasks(self) -> list[dict[str, Any]]:
        waiting = self.states[0] == "running"
        idle = [{"task_id": name, "state": "upstream_failed"} for name in self.idle]
        return [
            {"task_id": "gate", "state": "awaiting_input" if waiting else self.states[0]},
            *idle,
        ]

    def _returned(self, _: httpx.Request) -> httpx.Response:
        return _json({"value": self.outcome}) if self.outcome else httpx.Response(404, json={})

    def _next(self) -> str:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def _release(self) -> dict[str, Any]:
        origin = {"dagId": "credit", "runId": RUN}
        line = {"version": "3", "epoch": 1}
        release = {"id": "rel-1", "state": self.release_state, "level": 1, "origin": origin}
        return {**release, "model": "credit", "line": line}


def _json(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=body)


def _dag(name: str, *tags: str) -> dict[str, Any]:
    return {"dag_id": name, "is_paused": False, "tags": [{"name": tag} for tag in tags]}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    monkeypatch.setattr(runs, "_POLL_SECONDS", 0.0)

    def go(airflow: FakeAirflow, *arguments: str) -> Said:
        def connect(_user: str, _session_path: Path | None) -> Client:
            return Client(Session("http://here", "ana", "t"), httpx.MockTransport(airflow))

        for module in (cli_release, pipeline, cli_release, run_logs):
            monkeypatch.setattr(module, "connect", connect)
        return run_cli(*arguments)

    return go


def test_a_run_is_started_with_what_was_given(run: Callable[..., Said]) -> None:
    airflow = FakeAirflow(["success"])
    options = ("--since", "2018-01-01", "--reason", "new data", "--raise-tier", "high")
    result = run(airflow, "pipeline", "run", "credit", *options, "--dry-run")
    assert (result.code, RUN in result.out) == (0, True)
    conf = {"since": "2018-01-01", "reason": "new data", "raise_tier": "high", "dry_run": True}
    assert airflow.triggers == [{"logical_date": None, "conf": conf}]


def test_a_paused_pipeline_is_refused_instead_of_waiting_for_ever(
    run: Callable[..., Said],
) -> None:
    airflow = FakeAirflow(["success"], paused=True)
    result = run(airflow, "pipeline", "run", "credit")
    assert (result.code, "paused" in result.err, airflow.triggers) == (1, True, [])


OUTCOMES = {
    "promoted": ({"outcome": "promoted", "why": ""}, "success", 0),
    "kept": ({"outcome": "kept", "why": "one is open"}, "success", 0),
    "refused": ({"outcome": "refused", "why": "rejected by carla"}, "success", 1),
    "failed": ({"outcome": "failed", "why": "train failed"}, "failed", 3),
    "failed without a word": (None, "failed", 3),
}


@pytest.mark.parametrize(("outcome", "state", "code"), OUTCOMES.values(), ids=OUTCOMES)
def test_waiting_ends_with_the_outcome_of_the_run(
    run: Callable[..., Said], outcome: dict[str, str] | None, state: str, code: int
) -> None:
    result = run(FakeAirflow(["running", state], outcome), "pipeline", "run", "credit", "--wait")
    assert result.code == code
    if outcome:
        assert f"credit: {outcome['outcome']}" in result.out + result.err


def test_no_result_says_what_broke(run: Callable[..., Said]) -> None:
    airflow = FakeAirflow(["running", "failed"])
    airflow.why = "refused: training of credit raised KeyError: 'age'."
    result = run(airflow, "pipeline", "run", "credit", "--wait")
    assert result.code == 3
    assert f"credit: failed (task gate failed: {airflow.why})" in result.err


def test_what_did_not_run_is_no_line_of_its_own(run: Callable[..., Said]) -> None:
    airflow = FakeAirflow(
        ["running", "failed"], {"outcome": "failed", "why": "task gate failed: x"}
    )
    airflow.idle = ("later", "last")
    result = run(airflow, "pipeline", "run", "credit", "--wait")
    assert "later" not in result.out
    assert "failed          gate" in result.out


def test_a_waiting_release_is_shown_with_how_to_answer(run: Callable[..., Said]) -> None:
    airflow = FakeAirflow(["running", "running", "success"], {"outcome": "promoted"})
    result = run(airflow, "pipeline", "run", "credit", "--wait")
    assert re.search(r'airlock release approve rel-1 (--as APPROVER )?--reason "..."', result.out)
    assert "http://here/airlock/releases/rel-1" in result.out


def test_json_says_the_outcome_and_nothing_else(run: Callable[..., Said]) -> None:
    airflow = FakeAirflow(["running", "success"], {"outcome": "measured"})
    result = run(airflow, "pipeline", "run", "credit", "--wait", "--json")
    assert json.loads(result.out)["outcome"] == {"outcome": "measured"}


def test_a_run_that_takes_too_long_could_not_be_told() -> None:
    client = Client(
        Session("http://here", "ana", "t"), httpx.MockTransport(FakeAirflow(["running"]))
    )
    with pytest.raises(Unreachable, match="still running after 0 s"):
        runs.follow(client, "credit", RUN, lambda *_: None, 0.0)


def test_only_pipelines_are_listed(run: Callable[..., Said]) -> None:
    result = run(FakeAirflow(["success"]), "pipeline", "list", "--json")
    assert [row["name"] for row in json.loads(result.out)["pipelines"]] == ["credit"]


def refusal(attempt: str) -> dict[str, Any]:
    return {"what": "PromotionRefused", "why": "it has no grant", "data": {"attempt": attempt}}


def test_promote_tells_the_refusal_of_its_own_run(run: Callable[..., Said]) -> None:
    airflow = FakeAirflow(["failed"])
    airflow.events = [refusal(f"airlock_promote/{RUN}/promote")]
    result = run(airflow, "release", "promote", "rel-1")
    assert (result.code, result.err.splitlines()[0]) == (1, "it has no grant")
    airflow.events = [refusal("airlock_promote/another/promote")]
    result = run(airflow, "release", "promote", "rel-1")
    assert (result.code, "failed before Airlock could answer" in result.err) == (3, True)


def test_promote_says_what_serves_and_does_nothing_twice(run: Callable[..., Said]) -> None:
    airflow = FakeAirflow(["success"])
    result = run(airflow, "release", "promote", "rel-1")
    assert (result.code, "credit now serves version 3" in result.out) == (0, True)
    airflow.release_state = "PROMOTED"
    result = run(airflow, "release", "promote", "rel-1")
    assert (result.code, "promoted already" in result.out) == (0, True)
    assert len(airflow.triggers) == 1


def test_an_unknown_outcome_is_a_refusal_not_a_success() -> None:
    with pytest.raises(Refused):
        pipeline._conclude("credit", {"outcome": "something else"})


AGAIN = ("release", "request", "--after-rejection", "rel-1", "--why", "looked again")


def test_asking_again_starts_a_run_that_names_the_rejection(run: Callable[..., Said]) -> None:
    airflow = FakeAirflow(["success"])
    airflow.release_state = "REJECTED"
    result = run(airflow, *AGAIN)
    assert result.code == 0, result.err
    assert airflow.triggers[0]["conf"] == {"after_rejection": "rel-1", "reason": "looked again"}
    assert "which names rel-1" in result.out


def test_what_was_not_rejected_cannot_be_named(run: Callable[..., Said]) -> None:
    airflow = FakeAirflow(["success"])
    result = run(airflow, *AGAIN)
    assert (result.code, airflow.triggers) == (1, [])
    assert "is APPROVED, not REJECTED" in result.err
    assert run(airflow, *AGAIN[:4]).code == 2


LOG = [
    {"event": "::group::Log message source details"},
    {"timestamp": "2026-11-21T00:00:01Z", "level": "info", "event": "trained on 10 rows\nin 2 s"},
    {"level": "error", "event": "failed", "error_detail": [{"exc_type": "X", "exc_value": "why"}]},
    "a line that was no record",
]


class Tasks(FakeAirflow):
    """A last run whose `train` began twice and ended badly, before a mapped `gate`."""

    def _answers(self) -> dict[str, Callable[[httpx.Request], httpx.Response]]:
        rows = [("gate", "success", "02", 1, 3), ("train", "failed", "01", 2, -1)]
        begun = [
            {"task_id": task, "state": state, "try_number": tries, "map_index": index}
            | {"start_date": f"2026-11-21T00:00:{second}Z"}
            for task, state, second, tries, index in rows
        ]
        later = {"task_id": "later", "state": None, "start_date": None, "try_number": 0}
        last = [{"dag_run_id": RUN}] if self.states else []
        return {
            "/dags/credit/dagRuns": lambda _: _json({"dag_runs": last}),
            f"/dagRuns/{RUN}/taskInstances": lambda _: _json({"task_instances": [later, *begun]}),
            "/train/logs/2": lambda _: _json({"content": LOG}),
            "/gate/logs/1": lambda request: _json({"content": [request.url.params["map_index"]]}),
        }


def test_the_logs_of_the_last_run_are_shown_in_the_order_of_its_tasks(
    run: Callable[..., Said],
) -> None:
    result = run(Tasks(["x"]), "pipeline", "logs", "credit", "--json")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert (document["run"], [task["task"] for task in document["tasks"]]) == (
        RUN,
        ["train: failed, try 2", "gate [3]: success, try 1"],
    )
    assert document["tasks"][0]["lines"] == [
        "2026-11-21T00:00:01Z info trained on 10 rows",
        "in 2 s",
        "error failed",
        "X: why",
        "a line that was no record",
    ]
    assert document["tasks"][1]["lines"] == ["3"]
    last = run(Tasks(["x"]), "pipeline", "logs", "credit", "--task", "train", "--lines", "1")
    assert last.out.splitlines()[2:] == ["train: failed, try 2", "  a line that was no record"]


def test_what_has_no_log_is_named_with_what_has_one(run: Callable[..., Said]) -> None:
    result = run(Tasks(["x"]), "pipeline", "logs", "credit", "--task", "later")
    assert (result.code, "has not begun" in result.err, "begun: train, gate" in result.err) == (
        1,
        1,
        1,
    )
    result = run(Tasks([]), "pipeline", "logs", "credit")
    assert (result.code, "airlock pipeline run credit" in result.err) == (1, True)
