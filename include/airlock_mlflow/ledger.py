"""Reading and adding rows of the guard's tables, inside somebody's transaction."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from airlock.domain.promotion.grant import Grant, Standing
from airlock_mlflow.tables import FROZEN, GRANTS, RELEASES, REVOKED

#: A connection, or one of MLflow's sessions: both execute statements.
Work = Any
_PERMITS = sa.table("airlock_permits", sa.column("grant_id"), sa.column("revoked_at"))
_PROTECTED = sa.table("airlock_protected", sa.column("alias"))
_VERSIONS = sa.table(
    "model_versions",
    *(sa.column(name) for name in ("workspace", "name", "version", "source", "storage_location")),
)
#: Made once, because asked at every read of a protected alias.
_NEWEST = (
    sa.select(RELEASES, GRANTS.c.envelope)
    .join(GRANTS, GRANTS.c.id == RELEASES.c.grant_id, isouter=True)
    .where(RELEASES.c.model == sa.bindparam("model"), RELEASES.c.alias == sa.bindparam("alias"))
    .where(RELEASES.c.grant_id != sa.bindparam("without"))
    .order_by(RELEASES.c.sequence.desc())
    .limit(1)
)
_BACKING = _NEWEST.add_columns(
    sa.func.coalesce(sa.func.nullif(_VERSIONS.c.storage_location, ""), _VERSIONS.c.source).label(
        "location"
    )
).join(
    _VERSIONS,
    sa.and_(
        _VERSIONS.c.workspace == sa.bindparam("workspace"),
        _VERSIONS.c.name == RELEASES.c.model,
        _VERSIONS.c.version == sa.bindparam("version"),
    ),
    isouter=True,
)


def deliver(work: Work, grant: Grant, envelope: str, sender: str, at_ms: int) -> None:
    """Keep a grant whose signature is good; delivering it again changes nothing."""
    if work.execute(sa.select(GRANTS.c.id).where(GRANTS.c.id == grant.id)).first():
        return
    row = {
        "id": grant.id,
        "model": grant.model,
        "alias": grant.alias,
        "version": int(grant.version),
        "sequence": grant.sequence,
        "envelope": envelope,
        "delivered_ms": at_ms,
        "delivered_by": sender[:256],
    }
    work.execute(GRANTS.insert().values(**row))


def unspent(work: Work, model: str, alias: str, version: int) -> str | None:
    """Return the envelope of the newest grant for this move that nobody has spent or revoked."""
    query = (
        sa.select(GRANTS.c.envelope)
        .where(GRANTS.c.model == model, GRANTS.c.alias == alias, GRANTS.c.version == version)
        .where(GRANTS.c.id.not_in(sa.select(RELEASES.c.grant_id)))
        .where(GRANTS.c.id.not_in(sa.select(REVOKED.c.grant_id)))
        .order_by(GRANTS.c.sequence.desc(), GRANTS.c.delivered_ms.desc())
    )
    envelope: str | None = work.execute(query.limit(1)).scalar()
    return envelope


def revoked_for(work: Work, model: str, alias: str, version: int) -> str | None:
    """Return the newest grant for this move that was revoked, or None."""
    query = (
        sa.select(GRANTS.c.id)
        .where(GRANTS.c.model == model, GRANTS.c.alias == alias, GRANTS.c.version == version)
        .where(GRANTS.c.id.in_(sa.select(REVOKED.c.grant_id)))
        .order_by(GRANTS.c.sequence.desc(), GRANTS.c.delivered_ms.desc())
    )
    grant_id: str | None = work.execute(query.limit(1)).scalar()
    return grant_id


def standing(work: Work, grant_id: str) -> Standing:
    """Return whether a grant was spent or revoked."""
    if release_of(work, grant_id) is not None:
        return Standing.SPENT
    return Standing.REVOKED if is_revoked(work, grant_id) else Standing.UNSPENT


def is_revoked(work: Work, grant_id: str) -> bool:
    """Say whether a grant was revoked; committed or not, as this transaction sees it."""
    query = sa.select(REVOKED.c.grant_id).where(REVOKED.c.grant_id == grant_id)
    return work.execute(query).first() is not None


def revoke(work: Work, grant_id: str, sender: str, at_ms: int) -> None:
    """Revoke a grant. Raises IntegrityError if it was revoked before."""
    row = {"grant_id": grant_id, "revoked_ms": at_ms, "revoked_by": sender[:256]}
    work.execute(REVOKED.insert().values(**row))


def release_of(work: Work, grant_id: str) -> Any:
    """Return the release a grant was spent for, or None."""
    return work.execute(sa.select(RELEASES).where(RELEASES.c.grant_id == grant_id)).first()


def newest(work: Work, model: str, alias: str, without: str = "") -> Any:
    """Return the newest release of a model's alias with its envelope, or None."""
    parameters = {"model": model, "alias": alias, "without": without}
    return work.execute(_NEWEST, parameters).first()


def backing(work: Work, workspace: str, model: str, alias: str, version: int) -> Any:
    """Return the newest release as `newest`, and where a version's files lie: one question."""
    parameters = {"model": model, "alias": alias, "without": ""}
    return work.execute(_BACKING, parameters | {"workspace": workspace, "version": version}).first()


def spent(work: Work) -> list[Any]:
    """Return every release, in the order of their lines."""
    query = sa.select(RELEASES).order_by(RELEASES.c.model, RELEASES.c.alias, RELEASES.c.sequence)
    return list(work.execute(query))


def spend(work: Work, grant: Grant, sender: str, at_ms: int) -> None:
    """Spend a grant. Raises IntegrityError if it, or its number, was spent before."""
    row = {
        "model": grant.model,
        "alias": grant.alias,
        "sequence": grant.sequence,
        "grant_id": grant.id,
        "version": int(grant.version),
        "spent_ms": at_ms,
        "spent_by": sender[:256],
    }
    work.execute(RELEASES.insert().values(**row))


def permitted(work: Work, grant: Grant) -> bool:
    """Say whether the decider has written its permit for a grant into this database."""
    query = sa.select(_PERMITS.c.grant_id).where(
        _PERMITS.c.grant_id == grant.id, _PERMITS.c.revoked_at.is_(None)
    )
    return work.execute(query).first() is not None


def permit_revoked(work: Work, grant: Grant) -> bool:
    """Say whether the decider has revoked its permit for a grant in this database."""
    query = sa.select(_PERMITS.c.grant_id).where(
        _PERMITS.c.grant_id == grant.id, _PERMITS.c.revoked_at.is_not(None)
    )
    return work.execute(query).first() is not None


def protected(work: Work) -> frozenset[str]:
    """Return the aliases the database itself protects."""
    return frozenset(work.execute(sa.select(_PROTECTED.c.alias)).scalars())


def frozen(work: Work, model: str, version: int) -> Any:
    """Return the row of a frozen version, or None."""
    query = sa.select(FROZEN).where(FROZEN.c.model == model, FROZEN.c.version == version)
    return work.execute(query).first()


def freeze(work: Work, row: dict[str, Any]) -> None:
    """Freeze a version; freezing it again changes nothing."""
    if frozen(work, row["model"], row["version"]) is None:
        work.execute(FROZEN.insert().values(**row))


def has_history(work: Work, model: str) -> bool:
    """Say whether anything of a model was ever frozen or released."""
    return any(
        work.execute(sa.select(table.c.model).where(table.c.model == model).limit(1)).first()
        for table in (FROZEN, RELEASES)
    )
