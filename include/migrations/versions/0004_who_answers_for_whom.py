"""who answers for whom

Delegations, findings of conditional approvals, broken glasses; in which capacity a vote was cast;
who last changed a policy; one grant per round, and grants that roll back.
PostgreSQL: the decider alone writes all of it. The worker reads it, spends grants and says that it
rolled back.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATES_BEFORE = (
    "REQUESTED",
    "BLOCKED",
    "AWAITING_APPROVAL",
    "APPROVED",
    "PROMOTED",
    "REJECTED",
    "WITHDRAWN",
    "SUPERSEDED",
)
STATES = (*STATES_BEFORE, "VOIDED", "ROLLED_BACK")
EVENT_TYPES_BEFORE = (
    "ReleaseRequested",
    "GatesJudged",
    "ReleaseBlocked",
    "LevelOpened",
    "ReleaseSuperseded",
    "PromotionStarted",
    "PromotionRefused",
    "ReleasePromoted",
)
EVENT_TYPES = (*EVENT_TYPES_BEFORE, "RollbackStarted", "RollbackRefused", "ReleaseRolledBack")
PROMOTION = sa.text("purpose = 'promotion'")
UNREVIEWED = sa.text("reviewed_at IS NULL")
SPENT = "(spent_by IS NULL) = (spent_at IS NULL)"

RIGHTS = """
GRANT SELECT ON delegation, finding, break_glass TO airlock_decider, airlock_worker;
GRANT INSERT ON delegation, finding, break_glass TO airlock_decider;
GRANT UPDATE (revoked_at) ON delegation TO airlock_decider;
GRANT UPDATE (closed_at, closed_by) ON finding TO airlock_decider;
GRANT UPDATE (reviewed_at, reviewed_by) ON break_glass TO airlock_decider;
"""


def worker_decides_nothing(event_types: tuple[str, ...], moves: tuple[str, ...]) -> str:
    """Return the function that says what the worker may write, with these words."""
    return f"""
CREATE OR REPLACE FUNCTION worker_decides_nothing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'airlock_worker' THEN
        RETURN NEW;
    END IF;
    IF TG_TABLE_NAME = 'audit_event' THEN
        IF NEW.what NOT IN ({_words(event_types)}) THEN
            RAISE EXCEPTION 'airlock: the worker cannot write a % event', NEW.what
                USING ERRCODE = 'insufficient_privilege';
        END IF;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.state NOT IN ('REQUESTED', 'BLOCKED', 'AWAITING_APPROVAL') OR NEW.level > 1 THEN
            RAISE EXCEPTION 'airlock: the worker cannot open a release as %', NEW.state
                USING ERRCODE = 'insufficient_privilege';
        END IF;
    ELSIF (NEW.state, NEW.level, NEW.round) IS DISTINCT FROM (OLD.state, OLD.level, OLD.round)
        AND NEW.state NOT IN ({_words(moves)}) THEN
        RAISE EXCEPTION 'airlock: the worker cannot move a release to %', NEW.state
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
"""


def upgrade() -> None:
    """Go forward."""
    _tables()
    _columns()
    _states(STATES)
    with op.batch_alter_table("release_grant", table_args=_spent()) as table:
        table.drop_constraint(op.f("uq_release_grant_release"), type_="unique")
    op.create_index(op.f("ix_release_grant_release"), "release_grant", ["release"])
    op.create_index(
        "uq_release_grant_round",
        "release_grant",
        ["release", "round"],
        unique=True,
        postgresql_where=PROMOTION,
        sqlite_where=PROMOTION,
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(worker_decides_nothing(EVENT_TYPES, ("PROMOTED", "SUPERSEDED", "ROLLED_BACK")))
        op.execute(RIGHTS)


def _tables() -> None:
    op.create_table(
        "delegation",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("giver", sa.String(length=120), nullable=False),
        sa.Column("taker", sa.String(length=120), nullable=False),
        sa.Column("start", sa.String(length=30), nullable=False),
        sa.Column("end", sa.String(length=30), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_at", sa.String(length=30), nullable=False),
        sa.Column("revoked_at", sa.String(length=30)),
        sa.ForeignKeyConstraint(["giver"], ["person.id"], name=op.f("fk_delegation_giver")),
        sa.ForeignKeyConstraint(["taker"], ["person.id"], name=op.f("fk_delegation_taker")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delegation")),
    )
    for column in ("giver", "taker"):
        op.create_index(op.f(f"ix_delegation_{column}"), "delegation", [column])
    op.create_table(
        "finding",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("release", sa.String(length=40), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("owner", sa.String(length=120), nullable=False),
        sa.Column("due", sa.String(length=30), nullable=False),
        sa.Column("raised_by", sa.String(length=120), nullable=False),
        sa.Column("closed_at", sa.String(length=30)),
        sa.Column("closed_by", sa.String(length=120)),
        sa.ForeignKeyConstraint(["release"], ["release.id"], name=op.f("fk_finding_release")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding")),
    )
    op.create_index(op.f("ix_finding_model"), "finding", ["model"])
    op.create_table(
        "break_glass",
        sa.Column("release", sa.String(length=40), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("incident", sa.String(length=100), nullable=False),
        sa.Column("people", sa.Text(), nullable=False),
        sa.Column("broken_at", sa.String(length=30), nullable=False),
        sa.Column("review_due", sa.String(length=30), nullable=False),
        sa.Column("reviewed_by", sa.String(length=120)),
        sa.Column("reviewed_at", sa.String(length=30)),
        sa.ForeignKeyConstraint(["release"], ["release.id"], name=op.f("fk_break_glass_release")),
        sa.PrimaryKeyConstraint("release", "round", name=op.f("pk_break_glass")),
    )
    op.create_index(
        "uq_break_glass_unreviewed",
        "break_glass",
        ["model"],
        unique=True,
        postgresql_where=UNREVIEWED,
        sqlite_where=UNREVIEWED,
    )


#: table -> column, type, default
ADDED = {
    "vote": (
        ("capacity", sa.String(length=10), "own"),
        ("behind", sa.String(length=120), ""),
        ("conditions", sa.Text(), "{}"),
    ),
    "configuration": (("changed_by", sa.String(length=320), "unknown"),),
    "release_grant": (
        ("round", sa.Integer(), "1"),
        ("purpose", sa.String(length=10), "promotion"),
        ("issued_at", sa.String(length=30), ""),
    ),
}


def _columns() -> None:
    op.add_column("release", sa.Column("emergency", sa.Text()))
    for table, columns in ADDED.items():
        for name, kind, default in columns:
            column = sa.Column(name, kind, nullable=False, server_default=default)
            op.add_column(table, column)


def _states(names: tuple[str, ...]) -> None:
    with op.batch_alter_table("release") as table:
        table.drop_constraint(op.f("ck_release_state"), type_="check")
        table.create_check_constraint(op.f("ck_release_state"), f"state IN ({_words(names)})")


def _spent() -> tuple[sa.CheckConstraint, ...]:
    return (sa.CheckConstraint(SPENT, name=op.f("ck_release_grant_spent")),)


def _words(words: tuple[str, ...]) -> str:
    return ", ".join(repr(word) for word in words)


def downgrade() -> None:
    """Go back."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(worker_decides_nothing(EVENT_TYPES_BEFORE, ("PROMOTED", "SUPERSEDED")))
    op.drop_index("uq_release_grant_round", "release_grant")
    op.drop_index("ix_release_grant_release", "release_grant")
    with op.batch_alter_table("release_grant", table_args=_spent()) as table:
        table.create_unique_constraint(op.f("uq_release_grant_release"), ["release"])
    _states(STATES_BEFORE)
    for table_name, columns in ADDED.items():
        for name, _, _ in columns:
            op.drop_column(table_name, name)
    op.drop_column("release", "emergency")
    for name in ("break_glass", "finding", "delegation"):
        op.drop_table(name)
