"""PostgreSQL itself refuses what a process has no business doing."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from airlock.testing import World
from tests.contract.conftest import Database

pytestmark = pytest.mark.attack


@pytest.fixture
def release_id(postgres_database: Database) -> str:
    """Return an open release on PostgreSQL."""
    store = postgres_database.store("airlock_decider")
    world = World(store, worker=postgres_database.store("airlock_worker"))
    return world.open()


def refused(database: Database, role: str, statement: str) -> str:
    """Run a statement as a role and return PostgreSQL's refusal."""
    with (
        pytest.raises(DBAPIError) as caught,
        create_engine(database.urls[role]).begin() as connection,
    ):
        connection.execute(text(statement))
    return str(caught.value.orig)


INSERT_VOTE = (
    "INSERT INTO vote (release, round, person, level, decision, reason, channel, at) "
    "SELECT id, 1, 'lena', 1, 'approve', 'forged', 'page', opened_at FROM release"
)
INSERT_GRANT = "INSERT INTO release_grant (id, release, envelope) SELECT 'g', id, '{}' FROM release"
INSERT_EVENT = (
    "INSERT INTO audit_event (stream, seq, what, body, prev, hash) "
    "SELECT id, 99, '{what}', '\\x00', '\\x00', '\\x00' FROM release"
)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (INSERT_VOTE, "permission denied for table vote"),
        (INSERT_GRANT, "permission denied for table release_grant"),
        ("UPDATE release SET state = 'APPROVED', level = 0", "permission denied for table release"),
        ("UPDATE release SET level = 3", "permission denied for table release"),
        ("UPDATE release SET state = 'REJECTED', level = 0", "permission denied for table release"),
        ("DELETE FROM release", "permission denied for table release"),
        ("UPDATE vote SET decision = 'approve'", "permission denied for table vote"),
        ("INSERT INTO configuration VALUES ('policy', 'd', '{}', 'now')", "permission denied"),
        ("INSERT INTO role_grant (person, role, granted_at) VALUES ('ana', 'x', 'y')", "denied"),
        ("UPDATE person SET active = 0", "permission denied for table person"),
        ("UPDATE release_grant SET envelope = '{}'", "permission denied for table release_grant"),
        ("INSERT INTO finding (id) VALUES ('f')", "permission denied for table finding"),
        ("UPDATE finding SET closed_by = 'me'", "permission denied for table finding"),
        ("INSERT INTO delegation (id) VALUES ('d')", "permission denied for table delegation"),
        ("UPDATE delegation SET revoked_at = NULL", "permission denied for table delegation"),
        ("INSERT INTO break_glass (model) VALUES ('m')", "permission denied for table break_glass"),
        ("UPDATE break_glass SET reviewed_by = 'me'", "permission denied for table break_glass"),
        (INSERT_EVENT.format(what="ReleaseVoided"), "permission denied for table audit_event"),
        (INSERT_EVENT.format(what="GlassBroken"), "permission denied for table audit_event"),
        (INSERT_EVENT.format(what="VoteCast"), "permission denied for table audit_event"),
        (INSERT_EVENT.format(what="GrantIssued"), "permission denied for table audit_event"),
        (INSERT_EVENT.format(what="ReleaseApproved"), "permission denied for table audit_event"),
        ("INSERT INTO timer (key) VALUES ('x')", "permission denied for table timer"),
        ("UPDATE timer SET fired = 1", "permission denied for table timer"),
        ("DELETE FROM timer", "permission denied for table timer"),
        ("UPDATE release SET level_opened_at = '2099'", "permission denied for table release"),
        ("UPDATE release SET subject = '{}'", "permission denied for table release"),
        ("UPDATE release SET requester = 'sam'", "permission denied for table release"),
        ("UPDATE release SET attempt_of = 'rel-1'", "permission denied for table release"),
        ("UPDATE audit_text SET text = NULL", "permission denied for table audit_text"),
        ("DELETE FROM audit_text", "permission denied for table audit_text"),
        ("DELETE FROM answered", "permission denied for table answered"),
        ("UPDATE audit_event SET what = 'x'", "permission denied for table audit_event"),
        ("DELETE FROM audit_event", "permission denied for table audit_event"),
        ("TRUNCATE audit_event", "permission denied for table audit_event"),
        ("ALTER TABLE audit_event DISABLE TRIGGER ALL", "must be owner"),
        ("SET session_replication_role = replica", "permission denied"),
        ("INSERT INTO chat_link (team) VALUES ('T')", "permission denied for table chat_link"),
        ("UPDATE chat_code SET hash = 'x'", "permission denied for table chat_code"),
        (INSERT_EVENT.format(what="SlackLinked"), "permission denied for table audit_event"),
        ("CREATE TABLE mine (x int)", "permission denied for schema public"),
        ("CREATE TEMP TABLE vote (x int)", "permission denied to create temporary tables"),
    ],
)
def test_the_worker_decides_nothing(
    postgres_database: Database, release_id: str, statement: str, reason: str
) -> None:
    assert reason in refused(postgres_database, "airlock_worker", statement)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE audit_event SET what = 'x'", "permission denied for table audit_event"),
        ("DELETE FROM audit_event", "permission denied for table audit_event"),
        ("TRUNCATE audit_event", "permission denied for table audit_event"),
        ("UPDATE vote SET decision = 'approve'", "permission denied for table vote"),
        ("DELETE FROM vote", "permission denied for table vote"),
        ("UPDATE evidence SET body = ''", "permission denied for table evidence"),
        ("UPDATE configuration SET document = '{}'", "permission denied for table configuration"),
        ("DELETE FROM line", "permission denied for table line"),
        ("UPDATE delegation SET taker = giver", "permission denied for table delegation"),
        ("DELETE FROM delegation", "permission denied for table delegation"),
        ("UPDATE finding SET due = '2999'", "permission denied for table finding"),
        ("DELETE FROM break_glass", "permission denied for table break_glass"),
        ("UPDATE release_grant SET envelope = ''", "permission denied for table release_grant"),
        ("UPDATE audit_text SET person = 'x'", "permission denied for table audit_text"),
        ("DELETE FROM audit_text", "permission denied for table audit_text"),
        ("TRUNCATE audit_text", "permission denied for table audit_text"),
        ("ALTER TABLE vote ADD COLUMN x int", "must be owner"),
    ],
)
def test_the_decider_rewrites_nothing(
    postgres_database: Database, release_id: str, statement: str, reason: str
) -> None:
    assert reason in refused(postgres_database, "airlock_decider", statement)


@pytest.mark.parametrize("role", ["airlock_owner", "postgres"])
def test_not_even_owner_or_superuser_edit_the_log_by_accident(
    postgres_database: Database, release_id: str, role: str
) -> None:
    for statement in (
        "UPDATE audit_event SET what = 'x'",
        "DELETE FROM audit_event",
        "TRUNCATE audit_event",
    ):
        assert "only grows" in refused(postgres_database, role, statement)
    if role == "postgres":
        sly = "SET LOCAL session_replication_role = replica; DELETE FROM audit_event"
        assert "only grows" in refused(postgres_database, role, sly)
