"""A PostgreSQL of before, its tables filled, becomes one in which tasks propose."""

from __future__ import annotations

import lzma
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import MetaData, create_engine, func, select, text

from airlock.adapters.sql_migrations import check, upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.domain.approval.release import Decision, State
from airlock.domain.people.actors import Actor, Channel
from airlock.services.approvals import decide
from airlock.services.people import recognition
from airlock.services.queries import releases
from airlock.testing import FakeKeys, World
from airlock_platform.databases.server import Server
from tests.contract import rights_kit

DATA = Path(__file__).with_name("data") / "before-0040"


@pytest.fixture
def urls(postgres: Server, admin: psycopg.Connection, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return a database of revision 0009 with the rows of one of that time."""
    old = tmp_path / "old.db"
    old.write_bytes(lzma.decompress((DATA / "airlock.db.xz").read_bytes()))
    name = f"old_{uuid.uuid4().hex[:12]}"
    admin.execute(f'CREATE DATABASE "{name}" OWNER airlock_owner')
    found = {role: postgres.url(role, name) for role in ("airlock_owner", *rights_kit.ROLES)}
    found["postgres"] = postgres.url("postgres", name)
    upgrade(found["airlock_owner"], "0009")
    _copy(f"sqlite:///{old}", found["postgres"])
    yield found
    admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _copy(source: str, target: str) -> None:
    there, here = create_engine(source), create_engine(target)
    tables = MetaData()
    tables.reflect(there)
    with there.connect() as reading_, here.begin() as writing:
        writing.execute(text("SET session_replication_role = replica"))
        writing.execute(text("ALTER TABLE run_evidence DISABLE TRIGGER ALL"))
        writing.execute(text("ALTER TABLE gate_result DISABLE TRIGGER ALL"))
        for table in tables.sorted_tables:
            names = [one.name for one in table.columns if one.name != "xid"]
            rows = reading_.execute(select(*(table.c[name] for name in names))).all()
            if table.name == "alembic_version" or not rows:
                continue
            columns = ", ".join(f'"{name}"' for name in names)
            values = ", ".join(f":{name}" for name in names)
            filling = text(f'INSERT INTO "{table.name}" ({columns}) VALUES ({values})')
            writing.execute(filling, [dict(zip(names, row, strict=True)) for row in rows])
            if "id" in names and table.name != "audit_tree" and isinstance(rows[0][0], int):
                top = max(row[0] for row in rows)
                writing.execute(text(f"SELECT setval('{table.name}_id_seq', {top})"))
    there.dispose()
    here.dispose()


def counts(url: str) -> dict[str, int]:
    engine, tables = create_engine(url), MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        found = {
            name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
            for name, table in tables.tables.items()
        }
    engine.dispose()
    return found


def test_a_database_of_before_goes_on(urls: dict[str, str]) -> None:
    before = counts(urls["postgres"])
    assert before["candidate"] > 0
    upgrade(urls["airlock_owner"])
    check(urls["airlock_owner"])
    after = counts(urls["postgres"])
    assert {name: after[name] for name in before} == before
    assert after["run"] == before["candidate"]
    store = SqlStore(urls["airlock_decider"])
    try:
        with store.begin() as unit:
            waiting = unit.find(states=[State.AWAITING_APPROVAL])
            for release in unit.find(limit=100):
                run, candidate = unit.run(release.origin), unit.candidate(release.origin)
                assert run is not None
                assert candidate is not None
                assert (run.source, run.requester) == ("before", candidate.requester)
                assert run.policy == release.subject.policy_digest
        for release in waiting:
            lena = next(one for one in _people(store) if one.id == "lena")
            actor = Actor(lena.id, lena.name, lena.roles, Channel.PAGE)
            ballot = World.ballot_of(release, Decision.APPROVE)
            decided = decide.vote(store, FakeKeys(), release.id, ballot, actor)
            assert releases.outcome(store, release.id) == decided
    finally:
        store.close()


def _people(store: SqlStore) -> tuple[recognition.Person, ...]:
    with store.begin() as unit:
        return unit.people()


@pytest.mark.parametrize("role", rights_kit.ROLES)
def test_its_roles_have_the_rights_of_a_new_one(urls: dict[str, str], role: str) -> None:
    upgrade(urls["airlock_owner"])
    with psycopg.connect(urls["postgres"].replace("+psycopg", "")) as admin:
        places = rights_kit.columns(admin)
    with psycopg.connect(urls[role].replace("+psycopg", "")) as connection:
        assert rights_kit.tried(connection, places) == rights_kit.written()[role]
