"""The tables of runs and of what tasks propose."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, String, Table, Text, text

from airlock.adapters.sql_store.tables import metadata
from airlock.adapters.sql_store.xid8 import TRANSACTION

run = Table(
    "run",
    metadata,
    Column("origin", String(600), primary_key=True),
    Column("dag", String(250), nullable=False),
    Column("started_at", String(30), nullable=False),
    Column("requester", String(120), nullable=False),
    Column("pipeline", String(80), nullable=False),
    Column("policy", String(80), nullable=False),
    Column("source", String(10), nullable=False),
)

_WAITING = text("answered_at IS NULL")

# Its rows come from one function alone, which fills every column of who and when: nothing here is
# unique but what the database counts itself, so that no uncommitted row makes anybody wait.
proposal = Table(
    "proposal",
    metadata,
    Column(
        "id",
        BigInteger().with_variant(Integer, "sqlite"),
        Identity(always=True),
        primary_key=True,
    ),
    Column("kind", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("token", String(36), nullable=False),
    Column("handed_in_by", Text, nullable=False),
    Column("handed_in_at", String(30), nullable=False),
    Column("xid", TRANSACTION),
    Column("attempts", Integer, nullable=False),
    Column("claimed_until", String(30)),
    Column("answered_at", String(30)),
    Column("answer", Text),
    Index("ix_proposal_waiting", "id", postgresql_where=_WAITING, sqlite_where=_WAITING),
)
