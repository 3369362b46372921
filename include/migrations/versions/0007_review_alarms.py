"""a timer for the review of a broken glass"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BEFORE = ("remind", "expire", "unused", "delivery")
AFTER = (*BEFORE, "review")


def upgrade() -> None:
    """Go forward."""
    _kinds(AFTER)


def downgrade() -> None:
    """Go back."""
    op.execute("DELETE FROM timer WHERE kind = 'review'")
    _kinds(BEFORE)


def _kinds(names: tuple[str, ...]) -> None:
    words = ", ".join(repr(name) for name in names)
    with op.batch_alter_table("timer") as table:
        table.drop_constraint(op.f("ck_timer_kind"), type_="check")
        table.create_check_constraint(op.f("ck_timer_kind"), f"kind IN ({words})")
