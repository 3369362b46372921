"""The tables of the log's tree: leaves, stored nodes, checkpoints and where copies of them are.

All but `audit_tree`, which is the sequencer's place and its lock, only ever grow.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

from airlock.adapters.sql_store.tables import metadata

audit_tree = Table(
    "audit_tree",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("origin", String(100), nullable=False),
    Column("size", Integer, nullable=False),
    Column("last_xid", BigInteger, nullable=False),
    Column("last_event", Integer, nullable=False),
    CheckConstraint("id = 1", name="one"),
)

audit_leaf = Table(
    "audit_leaf",
    metadata,
    Column("idx", Integer, primary_key=True, autoincrement=False),
    Column("event", Integer, nullable=False, unique=True),
    Column("hash", LargeBinary(32), nullable=False),
)

audit_node = Table(
    "audit_node",
    metadata,
    Column("level", Integer, nullable=False),
    Column("idx", Integer, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    PrimaryKeyConstraint("level", "idx"),
)

audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("size", Integer, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
    Column("at", String(30), nullable=False),
)

audit_copy = Table(
    "audit_copy",
    metadata,
    Column("place", String(200), nullable=False),
    Column("size", Integer, nullable=False),
    Column("receipt", Text, nullable=False),
    Column("at", String(30), nullable=False),
    PrimaryKeyConstraint("place", "size"),
)
