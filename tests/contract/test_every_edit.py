"""Every column of every table: one edit by a superuser is found by `audit verify`, and named.

The exceptions, each with its reason, are in `UNCHECKED`, and the same in ADR 0042. A new table or
column without a line there has to be found.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    Table,
    create_engine,
    delete,
    insert,
    select,
    text,
    update,
)

from airlock.adapters.keys.ed25519 import create
from airlock.adapters.sql_store import SqlStore
from airlock.adapters.sql_store.tables import metadata
from airlock.adapters.sql_store.unit import SqlUnit
from airlock.services.audit import verification
from airlock.services.audit.parallel_verification import Split
from airlock.testing import FakeClock, World
from airlock_platform.databases.server import Server
from tests.contract.rich_world import RichWorld
from tests.contract.unchecked import DELETABLE, INSERTABLE, UNCHECKED
from tests.support import ROOT, sample

pytestmark = pytest.mark.tamper

TABLES = sorted(metadata.tables)
COLUMNS = [(table, one.name) for table in TABLES for one in metadata.tables[table].columns]
#: How tables of the log itself are called.
CALLED = {
    "audit_checkpoint": ("checkpoint",),
    "audit_event": ("stream ", "entry"),
    "audit_leaf": ("leaf",),
    "audit_text": ("its text",),
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT")


class Held(SqlUnit):
    """A transaction that is the test's own, so that what it has edited is seen."""

    def hold_still(self, like: str = "") -> None:
        """It is still already."""

    def __exit__(self, *_: object) -> None:
        """The test ends it."""


@dataclass(frozen=True)
class Place:
    """The filled database, and how to check it within a transaction."""

    connection: Connection
    clock: FakeClock
    world: RichWorld

    def begin(self) -> Held:
        """Look into the test's own transaction."""
        return Held(self.connection, self.clock, {})

    def verify(self) -> verification.Report:
        """Check the log and the tables."""
        kept, alone = self.world.copies.checkpoints(), Split(processors=10**6)
        return verification.verify(self, self.world.keyring, kept, split=alone)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def filled(
    postgres: Server, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Fill one database, and take away what would stop a superuser's edit."""
    name, folder = f"edits_{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("edits")
    admin = psycopg.connect(postgres.dsn("postgres"), autocommit=True)
    admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER airlock_owner")
    create(folder / "signing.pem", folder / "keys")
    clock, opened = FakeClock(), list[SqlStore]()

    def make(clock: FakeClock, **options: Any) -> World:
        stores = [SqlStore(postgres.url(f"airlock_{role}", name), clock=clock) for role in ROLES]
        opened.extend(stores)
        return World(stores[0], worker=stores[1], **options)

    world = RichWorld(make, folder, clock)
    world.fill()
    for store in opened:
        store.close()
    engine = create_engine(postgres.url("postgres", name))
    with engine.connect() as connection:
        _unguard(connection)
        connection.commit()
        yield Place(connection, clock, world)
    engine.dispose()
    admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    admin.close()


ROLES = ("decider", "worker")


def _unguard(connection: Connection) -> None:
    """Drop every check and unique index beside the keys, and disable every trigger."""
    found = connection.execute(
        text(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint "
            "WHERE contype IN ('c', 'u') AND connamespace = 'public'::regnamespace"
        )
    )
    for table, name in found.all():
        connection.execute(text(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"'))
    unique = "SELECT indexname FROM pg_indexes WHERE indexname LIKE 'uq_%'"
    for (name,) in connection.execute(text(unique)).all():
        connection.execute(text(f'DROP INDEX "{name}"'))
    for table in TABLES:
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))


@pytest.fixture
def place(filled: Place) -> Iterator[Place]:
    """Undo what a test has edited."""
    yield filled
    filled.connection.rollback()


def test_the_untouched_world_verifies(place: Place) -> None:
    report = place.verify()
    assert list(report.damages) == []
    assert report.warnings == ()
    assert report.releases >= 8
    assert report.grants >= 6


@pytest.mark.parametrize("name", [name for name in TABLES if name not in UNCHECKED])
def test_every_table_has_rows_to_edit(place: Place, name: str) -> None:
    assert place.connection.execute(select(metadata.tables[name]).limit(1)).first(), name


@pytest.mark.parametrize(("name", "column"), sample(COLUMNS, 4))
def test_an_edit_of_one_value_is_found(place: Place, name: str, column: str) -> None:
    if f"{name}.{column}" in UNCHECKED or name in UNCHECKED:
        pytest.skip(UNCHECKED.get(f"{name}.{column}") or UNCHECKED[name])
    table = metadata.tables[name]
    for row in _rows(place.connection, table, column):
        savepoint = place.connection.begin_nested()
        streams = _edit(place.connection, table, table.c[column], row)
        damages = place.verify().damages
        savepoint.rollback()
        assert damages, row
        words = (name, *CALLED.get(name, ()), *streams)
        assert any(word in line for line in damages for word in words), damages


def test_the_exceptions_are_columns_and_stand_in_the_decision() -> None:
    known = {f"{table}.{column}" for table, column in COLUMNS} | set(TABLES)
    assert set(UNCHECKED) <= known
    (decision,) = (ROOT / "docs" / "adr").glob("0042-*.md")
    said = decision.read_text()
    assert [one for one in UNCHECKED if f"`{one}`" not in said] == []


def _rows(connection: Connection, table: Table, column: str) -> list[Any]:
    """Return the first and the last row with a value there; else the last row.

    Of texts, whose keys are random, one that was erased as well.
    """
    keys = list(table.primary_key)
    query = select(table)
    there = query.where(table.c[column].is_not(None))
    if column == "xid":  # once an entry is in the tree, nobody reads it
        there = there.where(text("id NOT IN (SELECT event FROM audit_leaf)"))
    rows = [connection.execute(there.order_by(*keys)).mappings().first()]
    rows += [connection.execute(there.order_by(*(one.desc() for one in keys))).mappings().first()]
    if column in ("commitment", "stream", "person"):
        erased = [there.where(table.c.erased_at.is_not(None))] if "erased_at" in table.c else []
        rows = [connection.execute(one).mappings().first() for one in erased] + rows
    found = [row for row in rows if row is not None]
    found = found or [connection.execute(query).mappings().first()]
    return [row for n, row in enumerate(found) if row not in found[:n]]


def _of(table: Table, row: Any) -> Any:
    clauses = [one == row[one.name] for one in table.primary_key]
    found = clauses[0]
    for one in clauses[1:]:
        found = found & one
    return found


def _edit(connection: Connection, table: Table, column: Column[Any], row: Any) -> list[str]:
    """Change one value; return how its row is called elsewhere."""
    value = row[column.name]
    if column.name == "xid":
        statement = "UPDATE audit_event SET xid = '3'::xid8 WHERE id = :id"
        connection.execute(text(statement), {"id": row["id"]})
    else:
        changed = update(table).where(_of(table, row))
        connection.execute(changed.values({column.name: _other(column, value)}))
    names = (row.get(one) for one in ("stream", "release", "id", "origin"))
    return [one for one in names if isinstance(one, str)]


def _other(column: Column[Any], value: Any) -> Any:
    if isinstance(column.type, LargeBinary):
        return bytes(value[:-1]) + bytes([value[-1] ^ 1])
    if isinstance(value, int):
        return value + 10**6  # a number nothing else has
    if value is None:
        return 1 if isinstance(column.type, Integer) else "2026-01-01T00:00:00.000000000Z"
    if TIME.match(value):
        return f"2019{value[4:]}"
    return (
        f"{value[:-1]}x"
        if len(value) >= (getattr(column.type, "length", None) or 10**9)
        else (f"{value}x")
    )


@pytest.mark.parametrize("name", sorted(DELETABLE))
def test_a_row_that_is_deleted_is_found(place: Place, name: str) -> None:
    table = metadata.tables[name]
    where = text(DELETABLE[name]) if DELETABLE[name] else text("true")
    row = place.connection.execute(select(table).where(where)).mappings().first()
    assert row is not None
    place.connection.execute(delete(table).where(_of(table, row)))
    damages = place.verify().damages
    words = (name, *CALLED.get(name, ()), str(next(iter(row.values()))))
    assert any(word in line for line in damages for word in words), damages


@pytest.mark.parametrize("erased", [False, True])
def test_the_row_of_a_text_that_is_deleted_is_found(place: Place, erased: bool) -> None:
    table = metadata.tables["audit_text"]
    which = table.c.erased_at.is_not(None) if erased else table.c.erased_at.is_(None)
    row = place.connection.execute(select(table).where(which)).mappings().first()
    assert row is not None
    place.connection.execute(delete(table).where(_of(table, row)))
    expected = "its row in audit_text is gone" if erased else "no entry says that it was erased"
    assert any(expected in line for line in place.verify().damages)


@pytest.mark.parametrize("name", sorted(INSERTABLE))
def test_a_row_that_is_inserted_is_found(place: Place, name: str) -> None:
    table = metadata.tables[name]
    row = place.connection.execute(select(table)).mappings().first()
    assert row is not None
    values = {**row, **INSERTABLE[name]}
    values.pop("xid", None)
    place.connection.execute(insert(table).values(values))
    damages = place.verify().damages
    assert any(name in line or str(next(iter(values.values()))) in line for line in damages), (
        damages
    )
