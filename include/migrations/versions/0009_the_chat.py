"""the chat: messages in order, what stands where, and whose account is whose

What is said of a release in the chat goes out in order: a lane of the outbox. PostgreSQL: the
decider alone knows accounts, codes and messages; whoever could write a link could answer for
somebody else.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

IN_LANE = sa.text("lane <> '' AND settled_at IS NULL")
STANDING = sa.text("ended_at IS NULL")
RIGHTS = """
GRANT SELECT ON chat_message, chat_link, chat_code, chat_try TO airlock_decider;
GRANT INSERT ON chat_message, chat_link, chat_code, chat_try TO airlock_decider;
GRANT UPDATE (channel, ts, shown) ON chat_message TO airlock_decider;
GRANT UPDATE (ended_at) ON chat_link TO airlock_decider;
GRANT UPDATE (hash, expires_at) ON chat_code TO airlock_decider;
GRANT DELETE ON chat_code TO airlock_decider;
GRANT USAGE ON SEQUENCE chat_link_id_seq, chat_try_id_seq TO airlock_decider;
"""


def upgrade() -> None:
    """Go forward."""
    lane = sa.Column("lane", sa.String(length=60), nullable=False, server_default="")
    op.add_column("outbox", lane)
    op.create_index(
        "ix_outbox_lane",
        "outbox",
        ["lane", "id"],
        postgresql_where=IN_LANE,
        sqlite_where=IN_LANE,
    )
    _messages()
    _links()
    if op.get_bind().dialect.name == "postgresql":
        op.execute(RIGHTS)


def _messages() -> None:
    op.create_table(
        "chat_message",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("release", sa.String(length=40), nullable=False),
        sa.Column("begun_at", sa.String(length=30), nullable=False),
        sa.Column("channel", sa.String(length=40), nullable=False, server_default=""),
        sa.Column("ts", sa.String(length=40), nullable=False, server_default=""),
        sa.Column("shown", sa.Text(), nullable=False, server_default=""),
        sa.ForeignKeyConstraint(["release"], ["release.id"], name=op.f("fk_chat_message_release")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_chat_message")),
    )
    op.create_index(op.f("ix_chat_message_release"), "chat_message", ["release"])


def _links() -> None:
    op.create_table(
        "chat_link",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team", sa.String(length=40), nullable=False),
        sa.Column("account", sa.String(length=40), nullable=False),
        sa.Column("person", sa.String(length=120), nullable=False),
        sa.Column("linked_at", sa.String(length=30), nullable=False),
        sa.Column("ended_at", sa.String(length=30)),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_chat_link_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_link")),
    )
    for name, columns in (("account", ["team", "account"]), ("person", ["person"])):
        op.create_index(
            f"uq_chat_link_{name}",
            "chat_link",
            columns,
            unique=True,
            postgresql_where=STANDING,
            sqlite_where=STANDING,
        )
    op.create_table(
        "chat_code",
        sa.Column("person", sa.String(length=120), nullable=False),
        sa.Column("hash", sa.String(length=80), nullable=False),
        sa.Column("expires_at", sa.String(length=30), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_chat_code_person")),
        sa.PrimaryKeyConstraint("person", name=op.f("pk_chat_code")),
        sa.UniqueConstraint("hash", name=op.f("uq_chat_code_hash")),
    )
    op.create_table(
        "chat_try",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team", sa.String(length=40), nullable=False),
        sa.Column("account", sa.String(length=40), nullable=False),
        sa.Column("at", sa.String(length=30), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_try")),
    )
    op.create_index("ix_chat_try_account", "chat_try", ["team", "account", "at"])


def downgrade() -> None:
    """Go back."""
    for name in ("chat_try", "chat_code", "chat_link", "chat_message"):
        op.drop_table(name)
    op.drop_index("ix_outbox_lane", "outbox")
    op.drop_column("outbox", "lane")
