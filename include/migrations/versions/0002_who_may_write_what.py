"""who may write what

PostgreSQL: the decider alone inserts votes, grants, people and policies; the worker opens
releases, submits evidence, spends a grant. The log can only grow, for everybody, owner included
(`ENABLE ALWAYS`, so that `session_replication_role` does not help either).
SQLite has no roles: there the triggers stop accidents, not attackers.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

GRANTS = {
    "airlock_decider": {
        "SELECT": ("ALL",),
        "INSERT": (
            "audit_event",
            "audit_stream",
            "vote",
            "release_grant",
            "person",
            "role_grant",
            "configuration",
            "outbox",
            "answered",
        ),
        "UPDATE": ("audit_stream", "release", "person", "role_grant", "outbox"),
    },
    "airlock_worker": {
        "SELECT": ("ALL",),
        "INSERT": (
            "audit_event",
            "audit_stream",
            "release",
            "candidate",
            "evidence",
            "run_evidence",
            "gate_result",
            "line",
            "parked",
            "outbox",
        ),
        "UPDATE": (
            "audit_stream",
            "release",
            "run_evidence",
            "gate_result",
            "line",
            "parked",
            "release_grant (spent_by, spent_at)",
        ),
        "DELETE": ("parked",),
    },
}

WORKER_MAY_TELL = (
    "ReleaseRequested",
    "GatesJudged",
    "ReleaseBlocked",
    "LevelOpened",
    "ReleaseSuperseded",
    "PromotionStarted",
    "PromotionRefused",
    "ReleasePromoted",
)

POSTGRES = f"""
CREATE FUNCTION log_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'airlock: the audit log only grows: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER log_only_grows BEFORE UPDATE OR DELETE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION log_only_grows();
CREATE TRIGGER log_never_truncated BEFORE TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION log_only_grows();
ALTER TABLE audit_event ENABLE ALWAYS TRIGGER log_only_grows;
ALTER TABLE audit_event ENABLE ALWAYS TRIGGER log_never_truncated;

CREATE FUNCTION worker_decides_nothing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'airlock_worker' THEN
        RETURN NEW;
    END IF;
    IF TG_TABLE_NAME = 'audit_event' THEN
        IF NEW.what NOT IN ({", ".join(repr(word) for word in WORKER_MAY_TELL)}) THEN
            RAISE EXCEPTION 'airlock: the worker cannot write a % event', NEW.what
                USING ERRCODE = 'insufficient_privilege';
        END IF;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.state NOT IN ('REQUESTED', 'BLOCKED', 'AWAITING_APPROVAL') OR NEW.level > 1 THEN
            RAISE EXCEPTION 'airlock: the worker cannot open a release as %', NEW.state
                USING ERRCODE = 'insufficient_privilege';
        END IF;
    ELSIF (NEW.state, NEW.level, NEW.round) IS DISTINCT FROM (OLD.state, OLD.level, OLD.round)
        AND NEW.state NOT IN ('PROMOTED', 'SUPERSEDED') THEN
        RAISE EXCEPTION 'airlock: the worker cannot move a release to %', NEW.state
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER worker_decides_nothing BEFORE INSERT ON audit_event
    FOR EACH ROW EXECUTE FUNCTION worker_decides_nothing();
CREATE TRIGGER worker_decides_nothing BEFORE INSERT OR UPDATE ON release
    FOR EACH ROW EXECUTE FUNCTION worker_decides_nothing();
ALTER TABLE audit_event ENABLE ALWAYS TRIGGER worker_decides_nothing;
ALTER TABLE release ENABLE ALWAYS TRIGGER worker_decides_nothing;
"""

SQLITE = (
    "CREATE TRIGGER log_no_update BEFORE UPDATE ON audit_event "
    "BEGIN SELECT RAISE(ABORT, 'airlock: the audit log only grows: UPDATE refused'); END",
    "CREATE TRIGGER log_no_delete BEFORE DELETE ON audit_event "
    "BEGIN SELECT RAISE(ABORT, 'airlock: the audit log only grows: DELETE refused'); END",
)


def upgrade() -> None:
    """Go forward."""
    if op.get_bind().dialect.name == "sqlite":
        for statement in SQLITE:
            op.execute(statement)
        return
    op.execute(POSTGRES)
    for role, rights in GRANTS.items():
        op.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
        op.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
        for right, tables in rights.items():
            for table in tables:
                op.execute(_grant(role, right, table))


def _grant(role: str, right: str, table: str) -> str:
    if table == "ALL":
        return f"GRANT {right} ON ALL TABLES IN SCHEMA public TO {role}"
    name, _, columns = table.partition(" ")
    return f"GRANT {right} {columns} ON {name} TO {role}"


def downgrade() -> None:
    """Go back."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER log_no_update")
        op.execute("DROP TRIGGER log_no_delete")
        return
    op.execute("DROP TRIGGER worker_decides_nothing ON release")
    op.execute("DROP TRIGGER worker_decides_nothing ON audit_event")
    op.execute("DROP TRIGGER log_never_truncated ON audit_event")
    op.execute("DROP TRIGGER log_only_grows ON audit_event")
    op.execute("DROP FUNCTION worker_decides_nothing, log_only_grows")
    for role in GRANTS:
        op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}")
        op.execute(f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {role}")
