"""a tree over the log

PostgreSQL numbers the transactions itself (`pg_current_xact_id()`), so the sequencer takes what is
committed in an order in which nothing can appear behind its back. Leaves, nodes, checkpoints and
copies only grow, as the log does. The decider alone writes them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

GROWING = ("audit_leaf", "audit_node", "audit_checkpoint", "audit_copy")
TABLES = ("audit_tree", *GROWING)

TRIGGERS = """
CREATE TRIGGER log_only_grows BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION log_only_grows();
CREATE TRIGGER log_never_truncated BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION log_only_grows();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER log_only_grows;
ALTER TABLE {table} ENABLE ALWAYS TRIGGER log_never_truncated;
"""
SQLITE_TRIGGER = (
    "CREATE TRIGGER {table}_no_{action} BEFORE {action} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'airlock: the audit log only grows: {action} refused'); END"
)


def upgrade() -> None:
    """Go forward."""
    _create_tables()
    if op.get_bind().dialect.name == "sqlite":
        op.execute("ALTER TABLE audit_event ADD COLUMN xid BIGINT")
        op.create_index("ix_audit_event_xid", "audit_event", ["xid", "id"])
        for table in GROWING:
            for action in ("UPDATE", "DELETE"):
                op.execute(SQLITE_TRIGGER.format(table=table, action=action))
        return
    op.execute("ALTER TABLE audit_event ADD COLUMN xid xid8 DEFAULT pg_current_xact_id()")
    op.create_index("ix_audit_event_xid", "audit_event", ["xid", "id"])
    for table in GROWING:
        op.execute(TRIGGERS.format(table=table))
    names = ", ".join(TABLES)
    op.execute(f"GRANT SELECT ON {names} TO airlock_decider, airlock_worker")
    op.execute(f"GRANT INSERT ON {names} TO airlock_decider")
    op.execute("GRANT UPDATE ON audit_tree TO airlock_decider")


def _create_tables() -> None:
    def hashes(name: str) -> sa.Column[bytes]:
        return sa.Column(name, sa.LargeBinary(length=32), nullable=False)

    def number(name: str) -> sa.Column[int]:
        return sa.Column(name, sa.Integer(), nullable=False)

    op.create_table(
        "audit_tree",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("origin", sa.String(length=100), nullable=False),
        number("size"),
        sa.Column("last_xid", sa.BigInteger(), nullable=False),
        number("last_event"),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_tree_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_tree")),
    )
    op.create_table(
        "audit_leaf",
        sa.Column("idx", sa.Integer(), autoincrement=False, nullable=False),
        number("event"),
        hashes("hash"),
        sa.PrimaryKeyConstraint("idx", name=op.f("pk_audit_leaf")),
        sa.UniqueConstraint("event", name=op.f("uq_audit_leaf_event")),
    )
    op.create_table(
        "audit_node",
        number("level"),
        number("idx"),
        hashes("hash"),
        sa.PrimaryKeyConstraint("level", "idx", name=op.f("pk_audit_node")),
    )
    op.create_table(
        "audit_checkpoint",
        sa.Column("size", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.String(length=30), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_audit_checkpoint")),
    )
    op.create_table(
        "audit_copy",
        sa.Column("place", sa.String(length=200), nullable=False),
        number("size"),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("at", sa.String(length=30), nullable=False),
        sa.PrimaryKeyConstraint("place", "size", name=op.f("pk_audit_copy")),
    )


def downgrade() -> None:
    """Go back."""
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_index("ix_audit_event_xid", "audit_event")
    op.execute("ALTER TABLE audit_event DROP COLUMN xid")
