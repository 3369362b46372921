"""`make bench`: one module's failure costs its rows only, and is named at the end."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.bench import __main__ as bench

pytestmark = pytest.mark.unit
ROW = {"unit": "s", "ours": 1, "peer": 1, "ratio": 1, "goal": "none", "met": True, "n": 1}


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "build" / "bench.json"
    monkeypatch.setattr(bench, "OUT", file)
    return file


def modules(monkeypatch: pytest.MonkeyPatch, **runs: Any) -> None:
    for name, run in runs.items():
        module = ModuleType(f"tests.bench.{name}")
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(bench, "MODULES", tuple(runs))


def names(out: Path) -> list[str]:
    return [row["name"] for row in json.loads(out.read_text())]


def rows(name: str, *, met: bool = True) -> list[dict[str, Any]]:
    return [{**ROW, "name": name, "met": met}]


def test_a_module_that_fails_costs_its_own_rows(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> Any:
        assert names(out) == ["first"], "what was measured before is written"
        raise RuntimeError("MLflow asks for a login")

    modules(monkeypatch, a=lambda: rows("first"), b=broken, c=lambda: rows("last"))
    assert bench.main([]) == 1
    assert names(out) == ["first", "last"]
    output = capsys.readouterr()
    assert "have no rows: b" in output.err
    assert "MLflow asks for a login" in output.err
    assert "last" in output.out


def test_all_goals_met_ends_with_0_and_one_missed_with_1(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules(monkeypatch, a=lambda: rows("a"), b=lambda: rows("b", met=False))
    assert bench.main(["a"]) == 0
    assert bench.main([]) == 1
    assert names(out) == ["a", "b"]


def test_nothing_measured_is_no_success(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules(monkeypatch, a=list)
    assert bench.main([]) == 1


def test_a_module_nobody_knows_is_wrong_use(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules(monkeypatch, a=lambda: rows("a"))
    assert bench.main(["b"]) == 2
    assert not out.exists()


@pytest.mark.parametrize("name", bench.MODULES)
def test_every_module_there_is_can_be_imported_and_run(name: str) -> None:
    module = __import__(f"tests.bench.{name}", fromlist=["run"])
    assert callable(module.run)
