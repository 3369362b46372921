"""Asking several at once: one that hangs or breaks costs its own answer alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from airlock_platform import platform
from airlock_platform.budget import Answer, ask_all
from airlock_platform.components import Component, Probe
from airlock_platform.platform import Options, Platform


def hang() -> str:
    threading.Event().wait()
    return "never"


def broken() -> str:
    raise ValueError("no such thing")


def test_who_hangs_or_breaks_costs_nobody_else_an_answer() -> None:
    questions: dict[str, Callable[[], str]] = {"well": lambda: "yes", "odd": broken, "late": hang}
    assert ask_all(questions, 0.2) == {
        "well": Answer("yes"),
        "odd": Answer(None, "no such thing"),
        "late": Answer(None, "it did not answer within 0.2 s"),
    }


def test_a_process_whose_probe_hangs_is_one_ill_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [Component(name, name, ("true",), {}, Probe("process")) for name in ("one", "two")]
    monkeypatch.setattr(platform, "ASKED_S", 0.2)
    installation = Platform(Options(root=tmp_path, home=tmp_path, programs=tmp_path))
    ill = installation._silent(parts[0], "")

    def health(part: Component, _state: object) -> platform.Health:
        return replace(ill, name=hang()) if part.name == "two" else replace(ill, problem="")

    monkeypatch.setattr(installation, "_health", health)
    monkeypatch.setattr(installation, "parts", lambda: tuple(parts))
    rows = {row.name: row.problem for row in installation.health()}
    assert rows == {"one": "", "two": "it did not answer within 0.2 s"}
