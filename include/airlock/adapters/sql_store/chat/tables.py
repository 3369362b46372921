"""The tables of the chat: what stands where, and whose account is whose. The decider's alone."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text, text

from airlock.adapters.sql_store.tables import metadata

chat_message = Table(
    "chat_message",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("release", ForeignKey("release.id"), nullable=False, index=True),
    Column("begun_at", String(30), nullable=False),
    Column("channel", String(40), nullable=False, server_default=""),
    Column("ts", String(40), nullable=False, server_default=""),
    Column("shown", Text, nullable=False, server_default=""),
)

_STANDING = text("ended_at IS NULL")

chat_link = Table(
    "chat_link",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("team", String(40), nullable=False),
    Column("account", String(40), nullable=False),
    Column("person", ForeignKey("person.id"), nullable=False),
    Column("linked_at", String(30), nullable=False),
    Column("ended_at", String(30)),
    Index(
        "uq_chat_link_account",
        "team",
        "account",
        unique=True,
        postgresql_where=_STANDING,
        sqlite_where=_STANDING,
    ),
    Index(
        "uq_chat_link_person",
        "person",
        unique=True,
        postgresql_where=_STANDING,
        sqlite_where=_STANDING,
    ),
)

chat_code = Table(
    "chat_code",
    metadata,
    Column("person", ForeignKey("person.id"), primary_key=True),
    Column("hash", String(80), nullable=False, unique=True),
    Column("expires_at", String(30), nullable=False),
)

#: Codes that were wrong, so that nobody can try them all.
chat_try = Table(
    "chat_try",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("team", String(40), nullable=False),
    Column("account", String(40), nullable=False),
    Column("at", String(30), nullable=False),
    Index("ix_chat_try_account", "team", "account", "at"),
)
