"""A check that broke says its reason where the verdict stands: ERRORED, and not "no result"."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airlock.adapters.jobs.errors import REPORTABLE, CheckBroke, LabInterrupted
from airlock.adapters.jobs.shared import job
from airlock.bootstrap import workbench
from airlock.bootstrap.workbench import Workbench
from airlock.domain.errors import Refused, Unreachable


def _answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> dict[str, Any]:
    """Return what a child writes whose work raises."""
    request, result = tmp_path / "request.json", tmp_path / "result.json"
    request.write_text(json.dumps({"parent": os.getppid(), "stage": "leakage", "name": "demo"}))
    monkeypatch.setattr(sys, "argv", ["child", str(request), str(result)])
    monkeypatch.setattr(job, "_tie_to_parent", lambda parent: None)

    def work(_: dict[str, Any]) -> dict[str, Any]:
        raise error

    job.run(work)
    answer: dict[str, Any] = json.loads(result.read_text())
    return answer


def test_a_child_that_broke_on_its_input_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = _answer(tmp_path, monkeypatch, KeyError("account"))
    assert answer["message"] == "leakage of demo broke: KeyError: 'account'"
    assert REPORTABLE[answer["failure"]] is CheckBroke
    assert issubclass(CheckBroke, Refused)


def test_a_child_the_machine_failed_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = _answer(tmp_path, monkeypatch, OSError(28, "No space left on device"))
    assert REPORTABLE[answer["failure"]] is LabInterrupted
    assert issubclass(LabInterrupted, Unreachable)


def test_a_collector_that_broke_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setitem(workbench.COLLECTORS, "leakage", broken)
    files = SimpleNamespace(get=None)
    lab = SimpleNamespace(runs_team_code=True)
    bench = Workbench(Path(), Path(), None, lab, None, files)  # type: ignore[arg-type]
    with pytest.raises(CheckBroke, match="collecting leakage broke: ZeroDivisionError") as raised:
        bench.look("leakage", SimpleNamespace(recipe=None))  # type: ignore[arg-type]
    assert raised.value.next_step
