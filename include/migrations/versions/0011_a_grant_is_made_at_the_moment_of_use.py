"""a grant is made at the moment of use: the state PROMOTING, its lease, and revoked grants

A release in PROMOTING has a lease, and still occupies its line. Of the grants of a round one lives;
the others were revoked at the guard. Grants that were given at approval and never spent are revoked
here: the guard refuses them by their length, so nobody has to ask it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BEFORE = (
    "REQUESTED",
    "BLOCKED",
    "AWAITING_APPROVAL",
    "APPROVED",
    "PROMOTED",
    "REJECTED",
    "WITHDRAWN",
    "VOIDED",
    "ROLLED_BACK",
    "SUPERSEDED",
    "EXPIRED",
)
STATES = (*BEFORE[:4], "PROMOTING", *BEFORE[4:])
OPEN_BEFORE = ("REQUESTED", "AWAITING_APPROVAL", "APPROVED")
OPEN = (*OPEN_BEFORE, "PROMOTING")
PROMOTION = sa.text("purpose = 'promotion'")
LIVING = sa.text("purpose = 'promotion' AND revoked_at IS NULL")
LEASED = sa.text("lease IS NOT NULL")
LEVEL = "(state = 'AWAITING_APPROVAL') = (level > 0)"
SPENT = "(spent_by IS NULL) = (spent_at IS NULL)"


def upgrade() -> None:
    """Go forward."""
    op.add_column("release", sa.Column("lease", sa.Text()))
    op.add_column("release", sa.Column("rollback", sa.Text()))
    op.drop_index("uq_release_open_line", "release")
    with _without_triggers(), op.batch_alter_table("release") as table:
        table.drop_constraint(op.f("ck_release_state"), type_="check")
        table.create_check_constraint(op.f("ck_release_state"), f"state IN ({_words(STATES)})")
        leased = "state <> 'PROMOTING' OR lease IS NOT NULL"
        table.create_check_constraint(op.f("ck_release_lease"), leased)
    _open_line(OPEN)
    op.create_index(
        "ix_release_lease", "release", ["id"], postgresql_where=LEASED, sqlite_where=LEASED
    )
    op.add_column("release_grant", sa.Column("revoked_at", sa.String(length=30)))
    op.drop_index("uq_release_grant_round", "release_grant")
    with op.batch_alter_table("release_grant") as table:
        once = "spent_at IS NULL OR revoked_at IS NULL"
        table.create_check_constraint(op.f("ck_release_grant_ended"), once)
    op.execute("UPDATE release_grant SET revoked_at = issued_at WHERE spent_at IS NULL")
    _round(LIVING)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "GRANT UPDATE (spent_by, spent_at, revoked_at) ON release_grant TO airlock_decider"
        )
        op.execute("GRANT UPDATE (lease, rollback) ON release TO airlock_decider")


@contextmanager
def _without_triggers() -> Iterator[None]:
    """SQLite makes the table anew, which the triggers of others that read it do not survive."""
    connection = op.get_bind()
    triggers: list[tuple[str, str]] = []
    if connection.dialect.name == "sqlite":
        there = (
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%release%'"
        )
        triggers = [(row.name, row.sql) for row in connection.execute(sa.text(there))]
    for name, _ in triggers:
        op.execute(f"DROP TRIGGER {name}")
    yield
    for _, statement in triggers:
        op.execute(statement)


def _open_line(states: tuple[str, ...]) -> None:
    where = sa.text(f"state IN ({_words(states)})")
    op.create_index(
        "uq_release_open_line",
        "release",
        ["model", "environment"],
        unique=True,
        postgresql_where=where,
        sqlite_where=where,
    )


def _round(where: sa.TextClause) -> None:
    op.create_index(
        "uq_release_grant_round",
        "release_grant",
        ["release", "round"],
        unique=True,
        postgresql_where=where,
        sqlite_where=where,
    )


def _words(words: tuple[str, ...]) -> str:
    return ", ".join(repr(word) for word in words)


def downgrade() -> None:
    """Go back; an attempt under way is over, and of the grants of a round the newest is kept."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "REVOKE UPDATE (spent_by, spent_at, revoked_at) ON release_grant FROM airlock_decider"
        )
    op.drop_index("uq_release_grant_round", "release_grant")
    op.execute("DELETE FROM release_grant WHERE revoked_at IS NOT NULL")
    with op.batch_alter_table("release_grant") as table:
        table.drop_constraint(op.f("ck_release_grant_ended"), type_="check")
    op.drop_column("release_grant", "revoked_at")
    _round(PROMOTION)
    op.drop_index("ix_release_lease", "release")
    op.drop_index("uq_release_open_line", "release")
    op.execute("UPDATE release SET state = 'APPROVED' WHERE state = 'PROMOTING'")
    with _without_triggers(), op.batch_alter_table("release") as table:
        table.drop_constraint(op.f("ck_release_lease"), type_="check")
        table.drop_constraint(op.f("ck_release_state"), type_="check")
        table.create_check_constraint(op.f("ck_release_state"), f"state IN ({_words(BEFORE)})")
    _open_line(OPEN_BEFORE)
    op.drop_column("release", "rollback")
    op.drop_column("release", "lease")
