"""The table of what people wrote. The log holds commitments to it."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, LargeBinary, String, Table, Text

from airlock.adapters.sql_store.tables import metadata

audit_text = Table(
    "audit_text",
    metadata,
    Column("commitment", String(90), primary_key=True),
    Column("stream", String(60), nullable=False, index=True),
    Column("person", String(120), nullable=False, index=True),
    Column("salt", LargeBinary(32)),
    Column("text", Text),
    Column("erased_at", String(30)),
    CheckConstraint("(text IS NULL) = (salt IS NULL)", name="whole"),
    CheckConstraint("(text IS NULL) = (erased_at IS NOT NULL)", name="erased"),
)
