"""One broken row in any table of Airlock's database: what is not about that row goes on.

In a database in which everything has happened once the text of a row is spoilt: of all rows of a
table but those a sound release stands on. Then every round of the delivery process is done. The
sound release is voted on, its timers fire, its messages arrive and the log grows.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import IntegrityError

from airlock.adapters.keys.ed25519 import FileKeyring
from airlock.adapters.sql_store import SqlStore
from airlock.domain.approval.release import State
from airlock.entrypoints.workers.steps import Step
from airlock.services.approvals.deadlines import Keeper
from airlock.services.approvals.invalidation import void_stale
from airlock.services.audit.transparency_log import Sequencer
from airlock.services.notifications.outbox_relay import Delivery
from airlock.services.queries import releases
from airlock.testing import FakeAirflow, FakeClock, World, pipeline_document
from tests.contract.conftest import Database
from tests.contract.rich_world import RichWorld, rulebook
from tests.contract.test_broken_rows import edit
from tests.contract.tree_kit import keys
from tests.support import sample

#: Whose first row everything stands on: the policy, the only tree, who the voter is.
SHARED = {"alembic_version", "configuration", "audit_tree"}
#: Where other rows are those of the requester.
ONE_ROW = {"person", "account"}
#: People about whom nothing is broken.
FOLKS = {
    "ada": "algorithm_lead",
    "cleo": "compliance_officer",
    "rhea": "risk_committee",
    "rosa": "risk_committee",
}


class Rich:
    """A database in which everything has happened once, as a file to be copied."""

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder, self.file = folder, folder / "rich.db"
        shutil.copy(template, self.file)
        self.clock = FakeClock()
        keys(folder)

        def make(clock: FakeClock, **options: Any) -> World:
            return World(SqlStore(f"sqlite:///{self.file}", clock=clock), **options)

        self.world = RichWorld(make, folder, self.clock)
        self.world.fill()
        self.world.credit.store.close()
        self.world.fraud.store.close()

    def tables(self) -> dict[str, list[str]]:
        """Return the text columns of every table that has a row; keys name the row and stay."""
        engine = create_engine(f"sqlite:///{self.file}")
        found: dict[str, list[str]] = {}
        with engine.connect() as connection:
            seen = inspect(connection)
            for table in seen.get_table_names():
                if connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one():
                    keys_ = set(seen.get_pk_constraint(table)["constrained_columns"])
                    keys_ |= {
                        n
                        for key in seen.get_foreign_keys(table)
                        for n in key["constrained_columns"]
                    }
                    found[table] = [
                        column["name"]
                        for column in seen.get_columns(table)
                        if str(column["type"]).startswith(("VARCHAR", "TEXT"))
                        and column["name"] not in keys_
                    ]
        return {table: names for table, names in found.items() if names and table not in SHARED}


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Rich:
    return Rich(tmp_path_factory.mktemp("rich"), sqlite_template)


def spoil(rich: Rich, url: str, table: str, columns: list[str]) -> None:
    """Spoil what was there before, as far as the database lets it: a CHECK keeps some right."""
    database = Database("sqlite", {"airlock_decider": url})
    with create_engine(f"sqlite:///{rich.file}").connect() as connection:
        last = connection.execute(text(f"SELECT max(rowid) FROM {table}")).scalar_one()
    which = f"rowid <= {last}"
    if "person" in columns or table in ONE_ROW:
        which = f"rowid = {last}"
    for column in columns:
        with contextlib.suppress(IntegrityError):
            edit(database, f"UPDATE {table} SET {column} = 'broken' || rowid WHERE {which}")


class Sound:
    """What has nothing to do with the broken row: a release to vote on, and one to run out."""

    def __init__(self, rich: Rich, url: str) -> None:
        self.clock = FakeClock()
        self.clock.at = rich.clock.at
        self.store = SqlStore(url, clock=self.clock)
        self.voted, self.timed = (self._world(rich, name) for name in ("sound-a", "sound-b"))
        self.ids = {world: world.open("run") for world in (self.voted, self.timed)}
        self.airflow = FakeAirflow()
        world = self.voted
        acts: dict[str, Callable[[], object]] = {
            "timers": Keeper(self.store).round,
            "tree": Sequencer(self.store, world.signer).round,
            "messages": Delivery(self.store, world.signer, self.airflow, 0.0).run,
            "rules": lambda: void_stale(
                self.store, rulebook(), [self.voted.pipeline, self.timed.pipeline]
            ),
            "promotions": world.promoter.settle_all,
        }
        self.steps = [Step(name, act) for name, act in acts.items()]

    def _world(self, rich: Rich, name: str) -> World:
        pipeline = pipeline_document()
        pipeline["metadata"]["name"] = name
        given = rich.world.credit
        options: dict[str, Any] = {"rulebook": rulebook(), "gate_signer": given.gate_signer}
        world = World(self.store, rich.world.signer, pipeline=pipeline, folks=FOLKS, **options)
        world.keys = FileKeyring(rich.folder / "keys")  # type: ignore[assignment]
        return world

    def rounds(self, **time: float) -> None:
        self.clock.pass_(**time)
        for step in self.steps * 2:
            step._not_before = 0.0
            step.run()

    def problems(self) -> Iterator[str]:
        """Let it be voted on and time pass; say what does not work."""
        before = self._sequenced()
        if self.voted.approve(self.ids[self.voted], "ada").level != 2:
            yield "the vote does not count"
        self.rounds(seconds=2)
        if self._sequenced() <= before:
            yield "the tree does not grow"
        self.rounds(days=60)
        self.rounds(seconds=2)
        if (state := releases.outcome(self.store, self.ids[self.timed]).state) is not State.EXPIRED:
            yield f"the timers do not fire: it is {state.value}"
        if {f"{name}/run" for name in ("sound-a", "sound-b")} - self.airflow.notes.keys():
            yield "the messages do not arrive"
        yield from (f"to do the {one.name}: {one.error}" for one in self.steps if one.error)

    def _sequenced(self) -> int:
        with self.store.begin() as unit:
            tree = unit.tree()
        return tree.size if tree else 0


def check(rich: Rich, folder: Path, table: str, columns: list[str]) -> list[str]:
    """Spoil a row of a copy of the database and return what does not work any more."""
    url = f"sqlite:///{shutil.copy(rich.file, folder / f'{table}.db')}"
    sound = Sound(rich, url)
    spoil(rich, url, table, columns)
    try:
        return list(sound.problems())
    except Exception as error:
        return [f"broke: {error!r}"]
    finally:
        sound.store.close()


def test_every_table_with_one_broken_row(rich: Rich, tmp_path: Path) -> None:
    tables = rich.tables()
    assert len(tables) > 20
    tried = sample(tables.items(), 6)
    found = {table: check(rich, tmp_path, table, columns) for table, columns in tried}
    assert {table: wrong for table, wrong in found.items() if wrong} == {}
