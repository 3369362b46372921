"""texts beside the log, and the rejection a release follows

What people write is kept apart from the log, which holds commitments to it. A text is written
once and erased at most once, never changed: for everybody, owner included. PostgreSQL: decider and
worker write texts with their events, the decider alone erases. The worker cannot change afterwards
which rejection a release has named.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
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
)
AFTER = (*BEFORE, "attempt_of")
REJECTED = sa.text("state IN ('REJECTED')")

POSTGRES = """
CREATE FUNCTION texts_are_only_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.text IS NULL AND NEW.salt IS NULL AND OLD.text IS NOT NULL
            AND (NEW.commitment, NEW.stream, NEW.person) = (OLD.commitment, OLD.stream, OLD.person)
        THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'airlock: a text is kept or erased, never changed: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER texts_are_only_erased BEFORE UPDATE OR DELETE ON audit_text
    FOR EACH ROW EXECUTE FUNCTION texts_are_only_erased();
CREATE TRIGGER texts_never_truncated BEFORE TRUNCATE ON audit_text
    FOR EACH STATEMENT EXECUTE FUNCTION texts_are_only_erased();
ALTER TABLE audit_text ENABLE ALWAYS TRIGGER texts_are_only_erased;
ALTER TABLE audit_text ENABLE ALWAYS TRIGGER texts_never_truncated;
GRANT SELECT, INSERT ON audit_text TO airlock_decider, airlock_worker;
GRANT UPDATE (salt, text, erased_at) ON audit_text TO airlock_decider;
GRANT DELETE ON answered TO airlock_decider;
"""
SQLITE = (
    "CREATE TRIGGER text_no_update BEFORE UPDATE ON audit_text "
    "WHEN NEW.text IS NOT NULL OR OLD.text IS NULL OR NEW.commitment <> OLD.commitment "
    "BEGIN SELECT RAISE(ABORT, 'airlock: a text is kept or erased, never changed'); END",
    "CREATE TRIGGER text_no_delete BEFORE DELETE ON audit_text "
    "BEGIN SELECT RAISE(ABORT, 'airlock: a text is kept or erased, never deleted'); END",
)


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
    op.create_table(
        "audit_text",
        sa.Column("commitment", sa.String(length=90), nullable=False),
        sa.Column("stream", sa.String(length=60), nullable=False),
        sa.Column("person", sa.String(length=120), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=32)),
        sa.Column("text", sa.Text()),
        sa.Column("erased_at", sa.String(length=30)),
        sa.CheckConstraint("(text IS NULL) = (salt IS NULL)", name=op.f("ck_audit_text_whole")),
        sa.CheckConstraint(
            "(text IS NULL) = (erased_at IS NOT NULL)", name=op.f("ck_audit_text_erased")
        ),
        sa.PrimaryKeyConstraint("commitment", name=op.f("pk_audit_text")),
    )
    for column in ("stream", "person"):
        op.create_index(op.f(f"ix_audit_text_{column}"), "audit_text", [column])
    reference = sa.Column("attempt_of", sa.String(length=40), nullable=False, server_default="")
    op.add_column("release", reference)
    op.create_index(
        "ix_release_rejected",
        "release",
        ["model", "environment"],
        postgresql_where=REJECTED,
        sqlite_where=REJECTED,
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(POSTGRES)
        op.execute(worker_keeps_the_subject(AFTER))
        return
    for statement in SQLITE:
        op.execute(statement)


def downgrade() -> None:
    """Go back."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(worker_keeps_the_subject(BEFORE))
        op.execute("REVOKE DELETE ON answered FROM airlock_decider")
    op.drop_index("ix_release_rejected", "release")
    op.drop_column("release", "attempt_of")
    op.drop_table("audit_text")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION texts_are_only_erased")
