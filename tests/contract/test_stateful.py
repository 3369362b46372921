"""The state machine over the domain and over the store, and the mutants it has to kill."""

from __future__ import annotations

import contextlib
import shutil
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from airlock_platform.databases.server import Server
from tests.contract.engines import DomainEngine, SqlEngine
from tests.contract.machine import ReleaseMachine
from tests.contract.mutants import MUTANTS, SUBTLE
from tests.support import EVERYWHERE, rounds, sample

QUIET = list(HealthCheck)


def play(engine: Any, **options: Any) -> None:
    class Machine(ReleaseMachine):
        make_engine = staticmethod(engine)

    settled = settings(deadline=None, database=None, suppress_health_check=QUIET, **options)
    run_state_machine_as_test(Machine, settings=settled)


def test_no_invariant_breaks_in_the_domain() -> None:
    play(DomainEngine, max_examples=rounds(30, 150), stateful_step_count=30)


@pytest.mark.skipif(not EVERYWHERE, reason="PostgreSQL is what runs; make test-all has both")
def test_no_invariant_breaks_on_the_store(tmp_path: Path, sqlite_template: Path) -> None:
    copies = iter(range(10**6))

    def engine() -> SqlEngine:
        path = shutil.copy(sqlite_template, tmp_path / f"{next(copies)}.db")
        return SqlEngine(f"sqlite:///{path}")

    play(engine, max_examples=rounds(5, 15), stateful_step_count=25)


def test_no_invariant_breaks_on_postgresql(postgres: Server, template: str) -> None:
    admin = psycopg.connect(postgres.dsn("postgres"), autocommit=True)
    names = (f"machine_{number}" for number in count())

    def engine() -> SqlEngine:
        name = next(names)
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE {template} OWNER airlock_owner')
        decider, worker = (postgres.url(f"airlock_{role}", name) for role in ("decider", "worker"))
        return SqlEngine(
            decider, worker, lambda: admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        )

    with contextlib.closing(admin):
        play(engine, max_examples=rounds(2, 6), stateful_step_count=15)


PLAIN = [sentence for sentence in MUTANTS if sentence not in SUBTLE]


@pytest.mark.parametrize("sentence", MUTANTS if EVERYWHERE else sample(PLAIN, 2))
def test_the_machine_kills_the_mutant(sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[sentence](monkeypatch)
    with pytest.raises(AssertionError):
        play(
            DomainEngine,
            max_examples=1200,
            stateful_step_count=30,
            derandomize=True,
            report_multiple_bugs=False,
            phases=[Phase.generate],
        )
