"""The demo on any day: whoever opened a release first, and runs that end without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from airlock.domain.errors import Refused
from airlock.entrypoints.cli.pipelines import runs
from airlock.entrypoints.client import Client, Session
from airlock.entrypoints.demo import command

SCHEDULED = "scheduled__2026-11-30T02:00:00+00:00"
OWN = "manual__demo"
MODEL = "employment"


@dataclass
class FakePlatform:
    """Airflow and Airlock as far as the demo uses them: one level, answered by lena."""

    #: run -> state of its release; a run without one has ended with an outcome instead
    releases: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    may_answer: tuple[str, ...] = ("lena",)
    #: What happens once the demo's own run is there.
    on_trigger: Callable[[FakePlatform], None] = lambda _: None
    started: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    over: set[str] = field(default_factory=set)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.startswith("/airlock/api/v1/"):
            return self._airlock(request, path.removeprefix("/airlock/api/v1/"))
        if request.method == "POST":
            return self._trigger(path.split("/")[4])
        if path.endswith("/xcomEntries/return_value"):
            outcome = self.outcomes.get(path.split("/")[6])
            return _json({"value": outcome}) if outcome else httpx.Response(404, json={})
        if "/dagRuns/" not in path:
            return _json({"is_paused": False})
        run = path.split("/")[6]
        if run in self.gone:
            return httpx.Response(404, json={"detail": "no such run"})
        if path.endswith("/taskInstances"):
            return _json({"task_instances": self._tasks(run)})
        return _json({"state": self._state(run)})

    def _state(self, run: str) -> str:
        waits = self.releases.get(run) == "AWAITING_APPROVAL" and run not in self.over
        return "running" if waits else "success"

    def _tasks(self, run: str) -> list[dict[str, Any]]:
        state = "awaiting_input" if self._state(run) == "running" else "success"
        names = {"level_1": state} | dict.fromkeys(self.failed, "failed")
        rest = {"end_date": None, "try_number": 1, "duration": 1.0}
        return [{"task_id": name, "state": state, **rest} for name, state in names.items()]

    def _trigger(self, dag: str) -> httpx.Response:
        self.started.append(dag)
        if dag == "airlock_promote":
            self.releases |= {
                run: "PROMOTED" for run, state in self.releases.items() if state == "APPROVED"
            }
            return _json({"dag_run_id": "manual__promote"})
        self.on_trigger(self)
        return _json({"dag_run_id": OWN})

    def _airlock(self, request: httpx.Request, path: str) -> httpx.Response:
        if path == "mlflow-token":
            return _json({"user": "ana", "token": "t"})
        if path == "releases":
            state = request.url.params.get("state")
            views = [self._view(run) for run in self.releases]
            return _json([view for view in views if state in (None, view["state"])])
        run = path.split("/")[1].removeprefix("rel-")
        if path.endswith("/votes"):
            self.answered.append(run)
            self.releases[run] = "APPROVED" if run in self.over | set(self.gone) else "PROMOTED"
        return _json(self._view(run))

    def _view(self, run: str) -> dict[str, Any]:
        state = self.releases[run]
        level = {"number": 1, "name": "algorithm lead", "votes": [], "missing": []}
        return {
            "id": f"rel-{run}",
            "model": MODEL,
            "alias": "champion",
            "version": "1",
            "championVersion": None,
            "state": state,
            "why": "its line moved on" if state == "SUPERSEDED" else "",
            "level": 1 if state == "AWAITING_APPROVAL" else 0,
            "levels": [level],
            "round": 1,
            "mayAnswer": list(self.may_answer),
            "subject": {"digest": "sha256:1"},
            "gates": [],
            "origin": {"dagId": MODEL, "runId": run},
            "grant": {"id": "g", "sequence": 1, "issuedAt": "now", "spentAt": "now"},
        }


def _json(body: Any) -> httpx.Response:
    return httpx.Response(200, json=body)


@pytest.fixture
def walk(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakePlatform], None]:
    monkeypatch.setattr(command, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(runs, "_POLL_SECONDS", 0.0)
    site = SimpleNamespace(public_url="http://here")
    monkeypatch.setattr(command, "current_platform", lambda: SimpleNamespace(site=lambda: site))
    monkeypatch.setattr(command, "settings", lambda: SimpleNamespace(mlflow_tracking_uri=""))
    registry = SimpleNamespace(alias=lambda _model, _alias: "1")
    monkeypatch.setattr(command, "MlflowRegistry", lambda _uri: registry)

    def go(platform: FakePlatform) -> None:
        def connect(user: str) -> Client:
            return Client(Session("http://here", user, "t"), httpx.MockTransport(platform))

        monkeypatch.setattr(command, "connect", connect)
        command._chapter(MODEL, auto=True)

    return go


def opened_by(run: str, state: str = "AWAITING_APPROVAL") -> Callable[[FakePlatform], None]:
    return lambda platform: platform.releases.update({run: state})


def test_with_nothing_open_a_run_of_its_own_is_started(walk: Any) -> None:
    platform = FakePlatform(on_trigger=opened_by(OWN))
    walk(platform)
    assert (platform.started, platform.answered) == ([MODEL], [OWN])


@pytest.mark.parametrize("run", [SCHEDULED, "manual__of_yesterday"])
def test_an_open_release_is_gone_on_with_whoever_started_its_run(walk: Any, run: str) -> None:
    platform = FakePlatform(releases={run: "AWAITING_APPROVAL"})
    walk(platform)
    assert (platform.started, platform.answered) == ([], [run])


@pytest.mark.parametrize("where", ["over", "gone"])
def test_an_open_release_whose_run_is_over_is_answered_and_promoted(walk: Any, where: str) -> None:
    platform = FakePlatform(releases={SCHEDULED: "AWAITING_APPROVAL"})
    setattr(platform, where, {SCHEDULED})
    walk(platform)
    assert platform.answered == [SCHEDULED]
    assert platform.started == ["airlock_promote"]


def test_a_scheduled_run_that_comes_first_keeps_the_demos_run_and_is_gone_on_with(
    walk: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    why = "release rel-x of the scheduled run is open"
    platform = FakePlatform(
        on_trigger=opened_by(SCHEDULED), outcomes={OWN: {"outcome": "kept", "why": why}}
    )
    walk(platform)
    assert (platform.started, platform.answered) == ([MODEL], [SCHEDULED])
    assert why in capsys.readouterr().out


def test_a_scheduled_run_that_takes_the_place_of_the_demos_is_gone_on_with(walk: Any) -> None:
    def superseded(platform: FakePlatform) -> None:
        platform.releases |= {OWN: "SUPERSEDED", SCHEDULED: "AWAITING_APPROVAL"}

    platform = FakePlatform(on_trigger=superseded)
    walk(platform)
    assert platform.answered == [SCHEDULED]


def test_a_run_without_a_release_says_its_own_sentence_and_no_red_task(walk: Any) -> None:
    outcome = {"outcome": "kept", "why": "the candidate has the champion's bytes"}
    with pytest.raises(Refused, match="ended without a release: the candidate has") as refused:
        walk(FakePlatform(outcomes={OWN: outcome}))
    assert f"http://here/dags/{MODEL}/runs/{OWN}" in str(refused.value.next_step)
    assert "log" not in str(refused.value.next_step)


def test_a_task_that_failed_is_named_with_its_page(walk: Any) -> None:
    outcome = {"outcome": "failed", "why": "these tasks failed: train"}
    platform = FakePlatform(outcomes={OWN: outcome}, failed=("train", "outcome"))
    with pytest.raises(Refused, match="these tasks failed: train") as refused:
        walk(platform)
    assert refused.value.next_step == (
        f"The log of task train says why: http://here/dags/{MODEL}/runs/{OWN}/tasks/train"
    )


def test_a_level_nobody_may_answer_is_said(walk: Any) -> None:
    platform = FakePlatform(releases={SCHEDULED: "AWAITING_APPROVAL"}, may_answer=())
    with pytest.raises(Refused, match="nobody may answer it"):
        walk(platform)


def test_a_rejected_release_is_said_with_its_reason(walk: Any) -> None:
    with pytest.raises(Refused, match="is REJECTED"):
        walk(FakePlatform(on_trigger=opened_by(OWN, "REJECTED")))
