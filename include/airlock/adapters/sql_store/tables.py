"""The tables of Airlock's own database.

Rules:
* The database holds what code could forget: one vote per person and round, one open release per
  line, one living grant per release, one entry per place in a stream.
* Times are UTC text with nine fractional digits; they sort as they read, on both databases.
* Bytes that were hashed are stored as bytes, never as JSON, which would rewrite them.

Who may write which table is in the migrations, because PostgreSQL's roles enforce it.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    FetchedValue,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from airlock.adapters.sql_store.xid8 import TRANSACTION
from airlock.domain.approval.policy import Tier
from airlock.domain.approval.release import Decision, State
from airlock.domain.approval.timers import Kind

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, words: list[str]) -> str:
    return f"{column} IN ({', '.join(repr(word) for word in words)})"


_OPEN = text(_one_of("state", [state.value for state in State if state.is_open]))
_LEASED = text("lease IS NOT NULL")

release = Table(
    "release",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("origin", String(600), nullable=False, unique=True),
    Column("model", String(100), nullable=False),
    Column("environment", String(60), nullable=False),
    Column("state", String(20), nullable=False),
    Column("tier", String(10), nullable=False),
    Column("requester", String(120), nullable=False),
    Column("level", Integer, nullable=False),
    Column("level_opened_at", String(30)),
    Column("round", Integer, nullable=False),
    Column("opened_at", String(30), nullable=False, index=True),
    Column("subject", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("emergency", Text),
    Column("attempt_of", String(40), nullable=False, server_default=""),
    Column("waivers", Text, nullable=False, server_default="[]"),
    # The attempt that has it to itself, and where going back is allowed to, as JSON.
    Column("lease", Text),
    Column("rollback", Text),
    Column("seq", Integer, nullable=False),
    Column("head", LargeBinary(32), nullable=False),
    CheckConstraint(_one_of("state", [state.value for state in State]), name="state"),
    CheckConstraint(_one_of("tier", [tier.value for tier in Tier]), name="tier"),
    CheckConstraint("(state = 'AWAITING_APPROVAL') = (level > 0)", name="level"),
    CheckConstraint("state <> 'PROMOTING' OR lease IS NOT NULL", name="lease"),
    Index(
        "uq_release_open_line",
        "model",
        "environment",
        unique=True,
        postgresql_where=_OPEN,
        sqlite_where=_OPEN,
    ),
    Index("ix_release_line", "model", "environment", "opened_at"),
    Index("ix_release_lease", "id", postgresql_where=_LEASED, sqlite_where=_LEASED),
)

vote = Table(
    "vote",
    metadata,
    Column("release", ForeignKey("release.id"), nullable=False),
    Column("round", Integer, nullable=False),
    Column("person", String(120), nullable=False),
    Column("level", Integer, nullable=False),
    Column("decision", String(10), nullable=False),
    Column("reason", Text, nullable=False),
    Column("channel", String(10), nullable=False),
    Column("at", String(30), nullable=False),
    Column("capacity", String(10), nullable=False, server_default="own"),
    Column("behind", String(120), nullable=False, server_default=""),
    Column("conditions", Text, nullable=False, server_default="{}"),
    PrimaryKeyConstraint("release", "round", "person"),
    CheckConstraint(_one_of("decision", [d.value for d in Decision]), name="decision"),
)

candidate = Table(
    "candidate",
    metadata,
    Column("origin", String(600), primary_key=True),
    Column("document", Text, nullable=False),
)

evidence = Table(
    "evidence",
    metadata,
    Column("digest", String(80), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

run_evidence = Table(
    "run_evidence",
    metadata,
    Column("origin", String(600), nullable=False),
    Column("kind", String(60), nullable=False),
    Column("digest", ForeignKey("evidence.digest"), nullable=False),
    PrimaryKeyConstraint("origin", "kind"),
)

gate_result = Table(
    "gate_result",
    metadata,
    Column("origin", String(600), nullable=False),
    Column("key", String(200), nullable=False),
    Column("document", Text, nullable=False),
    Column("attestation", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("origin", "key"),
)

person = Table(
    "person",
    metadata,
    Column("id", String(120), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("active", Integer, nullable=False),
)

role_grant = Table(
    "role_grant",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("person", ForeignKey("person.id"), nullable=False, index=True),
    Column("role", String(60), nullable=False),
    Column("granted_at", String(30), nullable=False),
    Column("revoked_at", String(30)),
)

configuration = Table(
    "configuration",
    metadata,
    Column("kind", String(20), nullable=False),
    Column("digest", String(80), nullable=False),
    Column("document", Text, nullable=False),
    Column("registered_at", String(30), nullable=False),
    Column("changed_by", String(320), nullable=False, server_default="unknown"),
    PrimaryKeyConstraint("kind", "digest"),
)

_LIVING = text("purpose = 'promotion' AND revoked_at IS NULL")

release_grant = Table(
    "release_grant",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("release", ForeignKey("release.id"), nullable=False, index=True),
    Column("round", Integer, nullable=False, server_default="1"),
    Column("purpose", String(10), nullable=False, server_default="promotion"),
    Column("issued_at", String(30), nullable=False, server_default=""),
    Column("envelope", Text, nullable=False),
    Column("spent_by", String(600)),
    Column("spent_at", String(30)),
    Column("revoked_at", String(30)),
    CheckConstraint("(spent_by IS NULL) = (spent_at IS NULL)", name="spent"),
    CheckConstraint("spent_at IS NULL OR revoked_at IS NULL", name="ended"),
    Index(
        "uq_release_grant_round",
        "release",
        "round",
        unique=True,
        postgresql_where=_LIVING,
        sqlite_where=_LIVING,
    ),
)

line = Table(
    "line",
    metadata,
    Column("model", String(100), nullable=False),
    Column("environment", String(60), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("version", String(40)),
    Column("release", String(40)),
    PrimaryKeyConstraint("model", "environment"),
)

parked = Table(
    "parked",
    metadata,
    Column("dag_id", String(250), nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("task_id", String(250), nullable=False),
    Column("release", ForeignKey("release.id"), nullable=False, index=True),
    Column("level", Integer, nullable=False),
    Column("parked_at", String(30), nullable=False),
    PrimaryKeyConstraint("dag_id", "run_id", "task_id"),
)

_IN_LANE = text("lane <> '' AND settled_at IS NULL")

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("key", String(200), nullable=False, unique=True),
    Column("payload", Text, nullable=False),
    Column("posted_at", String(30), nullable=False),
    Column("due_at", String(30)),
    Column("attempts", Integer, nullable=False),
    Column("settled_at", String(30)),
    Column("error", Text, nullable=False),
    # What shares a lane goes out in order, one after the other; without one, in any order.
    Column("lane", String(60), nullable=False, server_default=""),
    Index("ix_outbox_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    Index("ix_outbox_lane", "lane", "id", postgresql_where=_IN_LANE, sqlite_where=_IN_LANE),
)

_WAITING = text("ended_at IS NULL")

timer = Table(
    "timer",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(120), nullable=False, unique=True),
    Column("release", ForeignKey("release.id"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("round", Integer, nullable=False),
    Column("level", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("due_at", String(30), nullable=False),
    Column("ended_at", String(30)),
    Column("fired", Integer),
    CheckConstraint(_one_of("kind", [kind.value for kind in Kind]), name="kind"),
    CheckConstraint("(ended_at IS NULL) = (fired IS NULL)", name="ended"),
    Index("ix_timer_due", "due_at", "id", postgresql_where=_WAITING, sqlite_where=_WAITING),
    Index("ix_timer_release", "release", postgresql_where=_WAITING, sqlite_where=_WAITING),
)

answered = Table(
    "answered",
    metadata,
    Column("key", String(300), primary_key=True),
    Column("request", String(80), nullable=False),
    Column("answer", Text, nullable=False),
    Column("at", String(30), nullable=False),
)

audit_stream = Table(
    "audit_stream",
    metadata,
    Column("stream", String(60), primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("head", LargeBinary(32), nullable=False),
)

audit_event = Table(
    "audit_event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("stream", String(60), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("what", String(40), nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("prev", LargeBinary(32), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    # The transaction that wrote it, by PostgreSQL itself; the tree grows in this order.
    Column("xid", TRANSACTION, server_default=FetchedValue()),
    UniqueConstraint("stream", "seq"),
    Index("ix_audit_event_xid", "xid", "id"),
)
