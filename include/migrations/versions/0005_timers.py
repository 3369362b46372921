"""timers, and the state EXPIRED

PostgreSQL: the decider alone makes and ends timers. The worker may read them; so that it cannot
move a deadline either, what a deadline is computed from is fixed once a release is open.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
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
    "SUPERSEDED",
    "VOIDED",
    "ROLLED_BACK",
)
AFTER = (*BEFORE, "EXPIRED")
KINDS = ("remind", "expire", "unused", "delivery")
WAITING = sa.text("ended_at IS NULL")

POSTGRES = """
GRANT SELECT, INSERT, UPDATE ON timer TO airlock_decider;
GRANT USAGE ON SEQUENCE timer_id_seq TO airlock_decider;
GRANT SELECT ON timer TO airlock_worker;

CREATE FUNCTION worker_keeps_the_subject() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user = 'airlock_worker' AND (
        NEW.id, NEW.origin, NEW.model, NEW.environment, NEW.tier, NEW.requester, NEW.subject,
        NEW.location, NEW.opened_at, NEW.level_opened_at
    ) IS DISTINCT FROM (
        OLD.id, OLD.origin, OLD.model, OLD.environment, OLD.tier, OLD.requester, OLD.subject,
        OLD.location, OLD.opened_at, OLD.level_opened_at
    ) THEN
        RAISE EXCEPTION 'airlock: the worker cannot change what was asked for, or when'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER worker_keeps_the_subject BEFORE UPDATE ON release
    FOR EACH ROW EXECUTE FUNCTION worker_keeps_the_subject();
ALTER TABLE release ENABLE ALWAYS TRIGGER worker_keeps_the_subject;
"""


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "timer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("release", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.String(length=30), nullable=False),
        sa.Column("ended_at", sa.String(length=30)),
        sa.Column("fired", sa.Integer()),
        sa.CheckConstraint(_one_of("kind", KINDS), name=op.f("ck_timer_kind")),
        sa.CheckConstraint("(ended_at IS NULL) = (fired IS NULL)", name=op.f("ck_timer_ended")),
        sa.ForeignKeyConstraint(["release"], ["release.id"], name=op.f("fk_timer_release")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timer")),
        sa.UniqueConstraint("key", name=op.f("uq_timer_key")),
    )
    for name, columns in (("ix_timer_due", ["due_at", "id"]), ("ix_timer_release", ["release"])):
        op.create_index(name, "timer", columns, postgresql_where=WAITING, sqlite_where=WAITING)
    _states(AFTER)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(POSTGRES)


def downgrade() -> None:
    """Go back."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER worker_keeps_the_subject ON release")
        op.execute("DROP FUNCTION worker_keeps_the_subject")
    _states(BEFORE)
    op.drop_table("timer")


def _states(names: tuple[str, ...]) -> None:
    with op.batch_alter_table("release") as table:
        table.drop_constraint(op.f("ck_release_state"), type_="check")
        table.create_check_constraint(op.f("ck_release_state"), _one_of("state", names))


def _one_of(column: str, words: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(word) for word in words)})"
