"""The tables of the register of approvers, of the accounts it was made for, and of look-alikes."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, String, Table, Text, text

from airlock.adapters.sql_store.tables import metadata

_STANDING = text("state <> 'ended'")
#: Set up by the owner's credential, proposal and confirmation are one.
TWO_PEOPLE = (
    "confirmed_by IS NULL OR confirmed_by <> proposed_by "
    "OR (confirmed_by = 'system:owner' AND proposed_by = 'system:owner')"
)
OTHERS = "proposed_by <> person AND (confirmed_by IS NULL OR confirmed_by <> person)"
CONFIRMED = "state NOT IN ('active', 'suspended') OR confirmed_by IS NOT NULL"
STATES = "state IN ('proposed', 'active', 'suspended', 'ended')"

enrolment = Table(
    "enrolment",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("person", ForeignKey("person.id"), nullable=False, index=True),
    Column("role", String(60), nullable=False),
    Column("state", String(10), nullable=False),
    Column("issuer", String(200), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("marks", Text, nullable=False),
    Column("proposed_by", String(120), nullable=False),
    Column("proposed_at", String(30), nullable=False),
    Column("proposed_why", Text, nullable=False),
    Column("batch", String(80), nullable=False, server_default=""),
    Column("confirmed_by", String(120)),
    Column("confirmed_at", String(30)),
    Column("confirmed_why", Text),
    Column("suspended_at", String(30)),
    Column("suspended_why", Text),
    Column("ended_at", String(30)),
    Column("ended_by", String(120)),
    Column("ended_why", Text),
    CheckConstraint(STATES, name="state"),
    CheckConstraint(TWO_PEOPLE, name="two_people"),
    CheckConstraint(OTHERS, name="others"),
    CheckConstraint(CONFIRMED, name="confirmed"),
    Index(
        "uq_enrolment_standing",
        "person",
        "role",
        unique=True,
        postgresql_where=_STANDING,
        sqlite_where=_STANDING,
    ),
    Index("ix_enrolment_batch", "batch"),
)

account = Table(
    "account",
    metadata,
    Column("person", ForeignKey("person.id"), primary_key=True),
    Column("issuer", String(200), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("marks", Text, nullable=False),
    Column("seen_at", String(30), nullable=False),
)

look_alike = Table(
    "look_alike",
    metadata,
    Column("name", String(300), primary_key=True),
    Column("why", Text, nullable=False),
    Column("refused_at", String(30), nullable=False),
)
