"""The tables of delegations, findings and emergencies."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

from airlock.adapters.sql_store.tables import metadata

delegation = Table(
    "delegation",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("giver", ForeignKey("person.id"), nullable=False, index=True),
    Column("taker", ForeignKey("person.id"), nullable=False, index=True),
    Column("start", String(30), nullable=False),
    Column("end", String(30), nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_at", String(30), nullable=False),
    Column("revoked_at", String(30)),
)

finding = Table(
    "finding",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("release", ForeignKey("release.id"), nullable=False),
    Column("model", String(100), nullable=False, index=True),
    Column("text", Text, nullable=False),
    Column("owner", String(120), nullable=False),
    Column("due", String(30), nullable=False),
    Column("raised_by", String(120), nullable=False),
    Column("closed_at", String(30)),
    Column("closed_by", String(120)),
)

_UNREVIEWED = text("reviewed_at IS NULL")

break_glass = Table(
    "break_glass",
    metadata,
    Column("release", ForeignKey("release.id"), nullable=False),
    Column("round", Integer, nullable=False),
    Column("model", String(100), nullable=False),
    Column("incident", String(100), nullable=False),
    Column("people", Text, nullable=False),
    Column("broken_at", String(30), nullable=False),
    Column("review_due", String(30), nullable=False),
    Column("reviewed_by", String(120)),
    Column("reviewed_at", String(30)),
    PrimaryKeyConstraint("release", "round"),
    Index(
        "uq_break_glass_unreviewed",
        "model",
        unique=True,
        postgresql_where=_UNREVIEWED,
        sqlite_where=_UNREVIEWED,
    ),
)
