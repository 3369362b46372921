"""the worker proposes, the decider writes

The rights of both roles are an allow-list, granted anew: the worker reads what tasks read and may
call two functions, one that hands in a proposal and one that asks for its answer. The triggers
that told what the worker may write have nothing left to say. docs/reference/database-rights.csv
is the table of all rights; a test holds it against a database.

Runs of before get a row from what their tasks wrote then, marked as of before.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from airlock.adapters.sql_store.xid8 import TRANSACTION

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

WAITING = sa.text("answered_at IS NULL")
MOST_BYTES = 2 * 1024 * 1024
MOST_PENDING = 500

READ_BY_WORKER = (
    "release",
    "vote",
    "candidate",
    "evidence",
    "run_evidence",
    "gate_result",
    "person",
    "role_grant",
    "configuration",
    "release_grant",
    "line",
    "outbox",
    "timer",
    "delegation",
    "finding",
    "break_glass",
    "audit_text",
    "run",
)
DECIDER = (
    "SELECT ON ALL TABLES IN SCHEMA public",
    "INSERT ON release, vote, candidate, evidence, run_evidence, gate_result, person, role_grant, "
    "configuration, release_grant, line, parked, outbox, timer, answered, run, delegation, "
    "finding, break_glass, audit_stream, audit_text, audit_tree, audit_leaf, audit_node, "
    "audit_checkpoint, audit_copy, chat_message, chat_link, chat_code, chat_try",
    "INSERT (stream, seq, what, body, prev, hash) ON audit_event",
    "UPDATE (origin, state, requester, level, level_opened_at, round, subject, location, why, "
    "emergency, attempt_of, waivers, seq, head) ON release",
    "UPDATE (digest) ON run_evidence",
    "UPDATE (document, attestation) ON gate_result",
    "UPDATE (name, active) ON person",
    "UPDATE (revoked_at) ON role_grant",
    "UPDATE (spent_by, spent_at) ON release_grant",
    "UPDATE (epoch, version, release) ON line",
    "UPDATE (release, level, parked_at) ON parked",
    "UPDATE (due_at, attempts, settled_at, error) ON outbox",
    "UPDATE (due_at, ended_at, fired) ON timer",
    "UPDATE (dag, started_at, requester, pipeline, policy, source) ON run",
    "UPDATE (attempts, claimed_until, body, answered_at, answer) ON proposal",
    "UPDATE (revoked_at) ON delegation",
    "UPDATE (closed_at, closed_by) ON finding",
    "UPDATE (reviewed_at, reviewed_by) ON break_glass",
    "UPDATE (seq, head) ON audit_stream",
    "UPDATE (origin, size, last_xid, last_event) ON audit_tree",
    "UPDATE (salt, text, erased_at) ON audit_text",
    "UPDATE (channel, ts, shown) ON chat_message",
    "UPDATE (ended_at) ON chat_link",
    "UPDATE (hash, expires_at) ON chat_code",
    "DELETE ON parked, answered, chat_code, proposal",
)

FUNCTIONS = f"""
CREATE FUNCTION propose(kind text, origin text, body text, OUT id bigint, OUT token text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    waiting integer;
BEGIN
    IF kind IS NULL OR origin IS NULL OR body IS NULL
        OR length(kind) > 40 OR length(origin) > 600 OR octet_length(body) > {MOST_BYTES} THEN
        RAISE EXCEPTION 'airlock: a proposal has a kind of 40 characters, an origin of 600 and '
            'a body of {MOST_BYTES} bytes at most' USING ERRCODE = 'program_limit_exceeded';
    END IF;
    SELECT count(*) INTO waiting FROM (
        SELECT 1 FROM public.proposal p WHERE p.answered_at IS NULL LIMIT {MOST_PENDING}
    ) AS unanswered;
    IF waiting >= {MOST_PENDING} THEN
        RAISE EXCEPTION 'airlock: {MOST_PENDING} proposals wait for their answer already'
            USING ERRCODE = 'configuration_limit_exceeded';
    END IF;
    token := gen_random_uuid()::text;
    INSERT INTO public.proposal
        (kind, origin, body, token, handed_in_by, handed_in_at, xid, attempts)
    VALUES (
        propose.kind, propose.origin, propose.body, token, session_user,
        to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"000Z"'),
        pg_current_xact_id(), 0
    ) RETURNING proposal.id INTO id;
    PERFORM pg_notify('airlock_proposal', '');
END $$;

CREATE FUNCTION proposal_answer(wanted bigint, secret text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.answer FROM public.proposal p WHERE p.id = wanted AND p.token = secret;
$$;
"""  # noqa: S608 - our own numbers

RIGHTS = """
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON SEQUENCES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, airlock_worker, airlock_decider;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC, airlock_worker, airlock_decider;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC, airlock_worker, airlock_decider;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO airlock_worker, airlock_decider;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO airlock_decider;
GRANT EXECUTE ON FUNCTION propose(text, text, text) TO airlock_worker, airlock_decider;
GRANT EXECUTE ON FUNCTION proposal_answer(bigint, text) TO airlock_worker, airlock_decider;
"""

GONE = """
DROP TRIGGER worker_decides_nothing ON audit_event;
DROP TRIGGER worker_decides_nothing ON release;
DROP TRIGGER worker_keeps_the_subject ON release;
DROP FUNCTION worker_decides_nothing, worker_keeps_the_subject;
"""

#: What they said as of 0009, for a way back.
BACK = """
CREATE FUNCTION worker_decides_nothing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user = 'airlock_worker' THEN
        RAISE EXCEPTION 'airlock: the worker writes nothing' USING ERRCODE =
            'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION worker_keeps_the_subject() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER worker_decides_nothing BEFORE INSERT ON audit_event
    FOR EACH ROW EXECUTE FUNCTION worker_decides_nothing();
CREATE TRIGGER worker_decides_nothing BEFORE INSERT OR UPDATE ON release
    FOR EACH ROW EXECUTE FUNCTION worker_decides_nothing();
CREATE TRIGGER worker_keeps_the_subject BEFORE UPDATE ON release
    FOR EACH ROW EXECUTE FUNCTION worker_keeps_the_subject();
"""


def upgrade() -> None:
    """Go forward."""
    _create_tables()
    _runs_of_before()
    if op.get_bind().dialect.name != "postgresql":
        return
    for statements in (GONE, FUNCTIONS, RIGHTS):
        op.execute(statements)
    op.execute(f"GRANT SELECT ON {', '.join(READ_BY_WORKER)} TO airlock_worker")
    for right in DECIDER:
        op.execute(f"GRANT {right} TO airlock_decider")


def _create_tables() -> None:
    def text(name: str, length: int) -> sa.Column[str]:
        return sa.Column(name, sa.String(length=length), nullable=False)

    op.create_table(
        "run",
        text("origin", 600),
        text("dag", 250),
        text("started_at", 30),
        text("requester", 120),
        text("pipeline", 80),
        text("policy", 80),
        text("source", 10),
        sa.PrimaryKeyConstraint("origin", name=op.f("pk_run")),
    )
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "proposal",
        sa.Column("id", number, sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        text("token", 36),
        sa.Column("handed_in_by", sa.Text(), nullable=False),
        text("handed_in_at", 30),
        sa.Column("xid", TRANSACTION),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_until", sa.String(length=30)),
        sa.Column("answered_at", sa.String(length=30)),
        sa.Column("answer", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposal")),
    )
    op.create_index(
        "ix_proposal_waiting",
        "proposal",
        ["id"],
        postgresql_where=WAITING,
        sqlite_where=WAITING,
    )


def _runs_of_before() -> None:
    """Make the rows of runs that have a candidate, from what their tasks wrote."""
    bind = op.get_bind()
    query = "SELECT c.origin, c.document, r.subject FROM candidate c LEFT JOIN release r"
    insert = sa.text(
        "INSERT INTO run (origin, dag, started_at, requester, pipeline, policy, source) "
        "VALUES (:origin, :dag, :started_at, :requester, :pipeline, :policy, 'before')"
    )
    for origin, document, subject in bind.execute(sa.text(f"{query} ON r.origin = c.origin")).all():
        candidate = json.loads(document)
        row = {
            "origin": origin,
            "dag": origin.partition("/")[0],
            "started_at": candidate["started_at"],
            "requester": candidate["requester"],
            "pipeline": candidate["pipeline_digest"],
            "policy": json.loads(subject)["policy_digest"] if subject else "",
        }
        bind.execute(insert, row)


def downgrade() -> None:
    """Go back: the worker keeps no right but to read, for 0009 had more than it should."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION propose(text, text, text)")
        op.execute("DROP FUNCTION proposal_answer(bigint, text)")
        op.execute(BACK)
    op.drop_table("proposal")
    op.drop_table("run")
