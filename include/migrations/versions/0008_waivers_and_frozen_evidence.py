"""waivers of soft gates, signed results, and evidence that is frozen once a release has it

A release keeps the waivers of its gates. PostgreSQL: the decider alone adds them; the worker can
neither open a release with one nor change them. What a run has measured can no longer be replaced
once a release was opened for it, by anybody, owner included: only new runs bring new evidence.
Beside a result lies the envelope in which the place that ran the gate has signed it. One index
finds every release of a line, the rejected among them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BEFORE = (
    "id",
    "origin",
    "model",
    "environment",
    "tier",
    "requester",
    "subject",
    "location",
    "opened_at",
    "level_opened_at",
    "attempt_of",
)
AFTER = (*BEFORE, "waivers")
EVENT_TYPES = (
    "ReleaseRequested",
    "GatesJudged",
    "ReleaseBlocked",
    "LevelOpened",
    "ReleaseSuperseded",
    "PromotionStarted",
    "PromotionRefused",
    "ReleasePromoted",
    "RollbackStarted",
    "RollbackRefused",
    "ReleaseRolledBack",
)
MOVES = ("PROMOTED", "SUPERSEDED", "ROLLED_BACK")
#: What belongs to a run and is read when its release is judged.
MEASURED = ("run_evidence", "gate_result")
DEEDS = ("INSERT", "UPDATE", "DELETE")

FROZEN = """
CREATE FUNCTION measured_is_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of text := CASE TG_OP WHEN 'DELETE' THEN OLD.origin ELSE NEW.origin END;
BEGIN
    IF EXISTS (SELECT 1 FROM release WHERE origin = of)
        OR (TG_OP = 'UPDATE' AND EXISTS (SELECT 1 FROM release WHERE origin = OLD.origin)) THEN
        RAISE EXCEPTION 'airlock: a release was opened for %, so its evidence is frozen', of
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
"""


def frozen(table: str) -> str:
    """Return the trigger of one table, for PostgreSQL."""
    return f"""
CREATE TRIGGER measured_is_frozen BEFORE INSERT OR UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION measured_is_frozen();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER measured_is_frozen;
"""


def frozen_on_sqlite(table: str, deed: str) -> str:
    """Return the trigger of one table and one kind of statement, for SQLite."""
    rows = {"INSERT": ("NEW",), "UPDATE": ("OLD", "NEW"), "DELETE": ("OLD",)}[deed]
    of = ", ".join(f"{row}.origin" for row in rows)
    there = f"EXISTS (SELECT 1 FROM release WHERE origin IN ({of}))"  # noqa: S608 - our own words
    why = "airlock: a release was opened for this run, so its evidence is frozen"
    name = f"{table}_frozen_{deed.lower()}"
    return (
        f"CREATE TRIGGER {name} BEFORE {deed} ON {table} WHEN {there} "
        f"BEGIN SELECT RAISE(ABORT, '{why}'); END"
    )


def worker_decides_nothing(open_with: str) -> str:
    """Return the function that says what the worker may write."""
    return f"""
CREATE OR REPLACE FUNCTION worker_decides_nothing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'airlock_worker' THEN
        RETURN NEW;
    END IF;
    IF TG_TABLE_NAME = 'audit_event' THEN
        IF NEW.what NOT IN ({_words(EVENT_TYPES)}) THEN
            RAISE EXCEPTION 'airlock: the worker cannot write a % event', NEW.what
                USING ERRCODE = 'insufficient_privilege';
        END IF;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.state NOT IN ('REQUESTED', 'BLOCKED', 'AWAITING_APPROVAL') OR NEW.level > 1
            {open_with} THEN
            RAISE EXCEPTION 'airlock: the worker cannot open a release as %', NEW.state
                USING ERRCODE = 'insufficient_privilege';
        END IF;
    ELSIF (NEW.state, NEW.level, NEW.round) IS DISTINCT FROM (OLD.state, OLD.level, OLD.round)
        AND NEW.state NOT IN ({_words(MOVES)}) THEN
        RAISE EXCEPTION 'airlock: the worker cannot move a release to %', NEW.state
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
"""


def worker_keeps_the_subject(columns: tuple[str, ...]) -> str:
    """Return the function that says what of a release the worker cannot change."""
    new, old = (", ".join(f"{row}.{name}" for name in columns) for row in ("NEW", "OLD"))
    return f"""
CREATE OR REPLACE FUNCTION worker_keeps_the_subject() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user = 'airlock_worker' AND ({new}) IS DISTINCT FROM ({old}) THEN
        RAISE EXCEPTION 'airlock: the worker cannot change what was asked for, or when'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
"""


def upgrade() -> None:
    """Go forward."""
    op.add_column("release", sa.Column("waivers", sa.Text(), nullable=False, server_default="[]"))
    signed = sa.Column("attestation", sa.Text(), nullable=False, server_default="")
    op.add_column("gate_result", signed)
    op.drop_index("ix_release_rejected", "release")
    op.create_index("ix_release_line", "release", ["model", "environment", "opened_at"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(worker_decides_nothing("OR NEW.waivers <> '[]'"))
        op.execute(worker_keeps_the_subject(AFTER))
        op.execute(FROZEN)
        for table in MEASURED:
            op.execute(frozen(table))
        return
    for table in MEASURED:
        for deed in DEEDS:
            op.execute(frozen_on_sqlite(table, deed))


def _words(words: tuple[str, ...]) -> str:
    return ", ".join(repr(word) for word in words)


def downgrade() -> None:
    """Go back."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(worker_decides_nothing(""))
        op.execute(worker_keeps_the_subject(BEFORE))
        for table in MEASURED:
            op.execute(f"DROP TRIGGER measured_is_frozen ON {table}")
        op.execute("DROP FUNCTION measured_is_frozen")
    else:
        for table in MEASURED:
            for deed in DEEDS:
                op.execute(f"DROP TRIGGER {table}_frozen_{deed.lower()}")
    op.drop_index("ix_release_line", "release")
    rejected = sa.text("state IN ('REJECTED')")
    op.create_index(
        "ix_release_rejected",
        "release",
        ["model", "environment"],
        postgresql_where=rejected,
        sqlite_where=rejected,
    )
    op.drop_column("gate_result", "attestation")
    op.drop_column("release", "waivers")
