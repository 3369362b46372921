"""the register of approvers

Who may act as what, proposed by one and confirmed by another; the account each person has, as it
was seen last; and user names that were refused because they look like somebody else's.
Nobody is enrolled by this migration: whoever held a voting role before is to be confirmed.
PostgreSQL: the decider writes it, but only the owner enrols without a second person. The worker
sees whether somebody is enrolled, and nothing of accounts.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

STANDING = sa.text("state <> 'ended'")
STATES = "state IN ('proposed', 'active', 'suspended', 'ended')"
TWO_PEOPLE = (
    "confirmed_by IS NULL OR confirmed_by <> proposed_by "
    "OR (confirmed_by = 'system:owner' AND proposed_by = 'system:owner')"
)
OTHERS = "proposed_by <> person AND (confirmed_by IS NULL OR confirmed_by <> person)"
CONFIRMED = "state NOT IN ('active', 'suspended') OR confirmed_by IS NOT NULL"
CHANGING = (
    "state, confirmed_by, confirmed_at, confirmed_why, suspended_at, suspended_why, "
    "ended_at, ended_by, ended_why"
)
RIGHTS = f"""
GRANT SELECT, INSERT ON enrolment, account, look_alike TO airlock_decider;
GRANT UPDATE ({CHANGING}) ON enrolment TO airlock_decider;
GRANT UPDATE (issuer, subject, marks, seen_at) ON account TO airlock_decider;
GRANT SELECT (id, person, role, state) ON enrolment TO airlock_worker;
"""
OWNER_ALONE = """
CREATE FUNCTION owner_alone_enrols_alone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'airlock_decider' THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' AND (NEW.state <> 'proposed' OR NEW.confirmed_by IS NOT NULL
            OR NEW.proposed_by LIKE 'system:%') THEN
        RAISE EXCEPTION 'airlock: the decider proposes people, nothing else'
            USING ERRCODE = 'insufficient_privilege';
    ELSIF TG_OP = 'UPDATE' AND NEW.confirmed_by IS DISTINCT FROM OLD.confirmed_by
            AND (OLD.state <> 'proposed' OR NEW.confirmed_by LIKE 'system:%') THEN
        RAISE EXCEPTION 'airlock: a proposal is confirmed once, by a person'
            USING ERRCODE = 'insufficient_privilege';
    ELSIF TG_OP = 'UPDATE' AND NEW.state <> OLD.state AND NEW.state <> 'ended'
            AND (OLD.state, NEW.state) NOT IN (('proposed', 'active'), ('active', 'suspended')) THEN
        RAISE EXCEPTION 'airlock: an enrolment does not go from % to %', OLD.state, NEW.state
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER owner_alone_enrols_alone BEFORE INSERT OR UPDATE ON enrolment
    FOR EACH ROW EXECUTE FUNCTION owner_alone_enrols_alone();
"""


def upgrade() -> None:
    """Go forward."""
    _enrolments()
    op.create_table(
        "account",
        sa.Column("person", sa.String(length=120), nullable=False),
        sa.Column("issuer", sa.String(length=200), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("marks", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.String(length=30), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_account_person")),
        sa.PrimaryKeyConstraint("person", name=op.f("pk_account")),
    )
    op.create_table(
        "look_alike",
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("refused_at", sa.String(length=30), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_look_alike")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(OWNER_ALONE)
        op.execute(RIGHTS)


def _enrolments() -> None:
    op.create_table(
        "enrolment",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("person", sa.String(length=120), nullable=False),
        sa.Column("role", sa.String(length=60), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("issuer", sa.String(length=200), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("marks", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.String(length=120), nullable=False),
        sa.Column("proposed_at", sa.String(length=30), nullable=False),
        sa.Column("proposed_why", sa.Text(), nullable=False),
        sa.Column("batch", sa.String(length=80), nullable=False, server_default=""),
        sa.Column("confirmed_by", sa.String(length=120)),
        sa.Column("confirmed_at", sa.String(length=30)),
        sa.Column("confirmed_why", sa.Text()),
        sa.Column("suspended_at", sa.String(length=30)),
        sa.Column("suspended_why", sa.Text()),
        sa.Column("ended_at", sa.String(length=30)),
        sa.Column("ended_by", sa.String(length=120)),
        sa.Column("ended_why", sa.Text()),
        sa.CheckConstraint(STATES, name=op.f("ck_enrolment_state")),
        sa.CheckConstraint(TWO_PEOPLE, name=op.f("ck_enrolment_two_people")),
        sa.CheckConstraint(OTHERS, name=op.f("ck_enrolment_others")),
        sa.CheckConstraint(CONFIRMED, name=op.f("ck_enrolment_confirmed")),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_enrolment_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolment")),
    )
    op.create_index(op.f("ix_enrolment_person"), "enrolment", ["person"])
    op.create_index("ix_enrolment_batch", "enrolment", ["batch"])
    op.create_index(
        "uq_enrolment_standing",
        "enrolment",
        ["person", "role"],
        unique=True,
        postgresql_where=STANDING,
        sqlite_where=STANDING,
    )


def downgrade() -> None:
    """Go back."""
    for name in ("look_alike", "account", "enrolment"):
        op.drop_table(name)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION owner_alone_enrols_alone()")
