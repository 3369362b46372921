"""Moving a protected alias: one grant, spent in the transaction that moves it; and revoking one.

1. Find the grant for this move that nobody has spent; check its signature and its time.
2. Hash the stored files, outside any transaction. They are frozen, so they stay as they are.
3. In one transaction: write the release first (a grant, and a number of the line, appear there
   once, so of several at the same time one goes on), then look at everything again that the grant
   is bound to, then move the alias. Whatever differs takes all of it back.

Revoking is the same the other way round: write that it is revoked, take the lock every move of the
model takes, then look whether it was spent. Whichever of the two has the lock first is seen by the
other. A grant that lives longer than any is made for is spent by nobody: it was made before grants
were given at the moment of use.

An alias that was changed behind the guard may be set back by anybody to what its newest release
says, if that is signed and its files are those: this repeats a move, it makes none.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModel, SqlRegisteredModelAlias

from airlock.domain.digest import short
from airlock.domain.promotion.grant import LONGEST, Grant, GrantInvalid, Standing
from airlock_mlflow import backing, ledger
from airlock_mlflow.artifacts import repository
from airlock_mlflow.caller import caller
from airlock_mlflow.denial import Closed, Denied
from airlock_mlflow.digesting import stored_digest
from airlock_mlflow.guard import Guard, log, millis

_ACTION = "set alias"
_REVOKED = "grant {} was revoked: its release ended, or its promotion did without a move"
#: PostgreSQL's insufficient_privilege: what the database's own triggers answer.
_DATABASE_SAYS_NO = "42501"


def move(store: Any, guard: Guard, name: str, alias: str, version: int) -> None:
    """Point a protected alias at a version by spending the grant for it.

    Raises:
        Denied: naming what is missing or differs.
    """
    if _set_back(store, guard, name, alias, version):
        return
    grant = _unspent(store, guard, name, alias, version)
    _check_files(store, guard, grant)
    with store.ManagedSessionMaker(read_only=False) as session:
        now = guard.now(session.connection())
        try:
            ledger.spend(session, grant, caller().name, millis(now))
            session.flush()
        except sa.exc.IntegrityError as error:
            raise _no(grant, f"grant {grant.id} is spent already: a grant is spent once") from error
        _check_bound(store, session, guard, grant)
        _point(store, session, grant)


def revoke(store: Any, guard: Guard, grant: Grant, envelope: str) -> Standing:
    """Let a grant never be spent; return REVOKED, or SPENT if it was spent before."""
    with store.ManagedSessionMaker(read_only=False) as session:
        at = millis(guard.now(session.connection()))
        try:
            ledger.revoke(session, grant.id, caller().name, at)
            session.flush()
        except sa.exc.IntegrityError:
            session.rollback()
            return Standing.REVOKED
        _lock(store, session, grant.model)
        if ledger.standing(session, grant.id) is Standing.SPENT:
            session.rollback()
            return Standing.SPENT
        ledger.deliver(session, grant, envelope, caller().name, at)
    log.warning("%s revoked %s", caller().name, grant.id)
    return Standing.REVOKED


def _lock(store: Any, session: Any, model: str) -> None:
    """Let nobody else move an alias of a model or revoke a grant for it meanwhile."""
    store._get_query(session, SqlRegisteredModel).filter_by(name=model).with_for_update().first()


def _point(store: Any, session: Any, grant: Grant) -> None:
    key = {"workspace": store._get_active_workspace(), "name": grant.model, "alias": grant.alias}
    try:
        session.merge(SqlRegisteredModelAlias(**key, version=int(grant.version)))
        session.flush()
    except sa.exc.DBAPIError as error:
        if _state(error) != _DATABASE_SAYS_NO:
            raise
        raise _no(grant, str(error.orig).strip().splitlines()[0]) from error


def _set_back(store: Any, guard: Guard, name: str, alias: str, version: int) -> bool:
    """Set an alias back to what its newest release says; False if that is not what is asked."""
    with store.ManagedSessionMaker() as session:
        store._get_sql_model_version(session, name, version)
        last = ledger.newest(session, name, alias)  # first: who moves it now, moves both at once
        if last is None or last.version != version or _stands(store, session, name, alias, version):
            return False
        if ledger.unspent(session, name, alias, version):
            return False  # a newer grant for the same version: that one is spent
        workspace = store._get_active_workspace()
        problem = backing.problem(guard, session.connection(), workspace, name, alias, version)
    if problem:
        raise Denied(_ACTION, f"{name}@{alias}", problem)
    grant = guard.open_grant(last.envelope)
    _check_files(store, guard, grant)
    with store.ManagedSessionMaker(read_only=False) as session:
        _lock(store, session, name)
        if ledger.newest(session, name, alias).grant_id != grant.id:
            raise _no(grant, f"grant {grant.id} was overtaken while its files were read")
        if _stands(store, session, name, alias, version):
            return False  # somebody else was first: this asks for nothing any more
        _point(store, session, grant)
    log.warning("%s set %s of %s back to version %s", caller().name, alias, name, version)
    return True


def _stands(store: Any, session: Any, name: str, alias: str, version: int) -> bool:
    there = store._get_registered_model_alias(session, name, alias)
    return there is not None and int(there.version) == version


def _unspent(store: Any, guard: Guard, name: str, alias: str, version: int) -> Grant:
    with store.ManagedSessionMaker() as session:
        store._get_sql_model_version(session, name, version)
        envelope = ledger.unspent(session, name, alias, version)
        now = guard.now(session.connection())
        target = f"{name}@{alias}"
        if envelope is None:
            revoked = ledger.revoked_for(session, name, alias, version)
            why = f"the alias {alias} of {name} is protected, and there is no unspent grant for \
version {version}"
            raise Denied(_ACTION, target, _REVOKED.format(revoked) if revoked else why)
        try:
            grant = guard.open_grant(envelope)
        except GrantInvalid as error:
            raise Denied(_ACTION, target, error.message) from error
        guard.check_clock(grant, now)
        if now >= grant.expires_at:
            ended = grant.expires_at.isoformat()
            why = f"grant {grant.id} expired at {ended}, and here it is {now.isoformat()}"
            raise _no(grant, why)
        if grant.expires_at - grant.issued_at > LONGEST:
            raise _no(grant, f"grant {grant.id} was made to live for longer than {LONGEST}")
        if (grant.model, grant.alias, grant.version) != (name, alias, str(version)):
            raise _no(grant, f"grant {grant.id} is for something else")
        if guard.backstop and ledger.permit_revoked(session, grant):
            raise _no(grant, _REVOKED.format(grant.id))
        if guard.backstop and not ledger.permitted(session, grant):
            raise Closed(f"the decider's permit for {grant.id} has not arrived yet; try again")
    return grant


def _check_files(store: Any, guard: Guard, grant: Grant) -> None:
    with store.ManagedSessionMaker() as session:
        row = ledger.frozen(session, grant.model, int(grant.version))
    if row is None:
        raise _no(grant, f"version {grant.version} of {grant.model} was never frozen for a release")
    if row.location != grant.location:
        raise _no(grant, f"the grant is for files at {grant.location}, frozen is {row.location}")
    try:
        current = stored_digest(repository(guard), row.place)
    except ValueError as error:
        raise _no(grant, f"there are no plain files at {grant.location}: {error}") from error
    if current != grant.artifact_digest:
        raise _no(
            grant,
            f"the files of {grant.model} version {grant.version} are {short(current)} now, but "
            f"{short(grant.artifact_digest)} was approved: somebody changed them",
        )


def _check_bound(store: Any, session: Any, guard: Guard, grant: Grant) -> None:
    model, alias, number = grant.model, grant.alias, int(grant.version)
    _lock(store, session, model)
    if ledger.is_revoked(session, grant.id):
        raise _no(grant, _REVOKED.format(grant.id))
    row = store._get_sql_model_version(session, model, number)
    frozen = ledger.frozen(session, model, number)
    if (row.storage_location or row.source) != grant.location:
        raise _no(grant, f"version {number} of {model} lies somewhere else now")
    if frozen is None or row.creation_time != frozen.created_ms:
        raise _no(grant, f"version {number} of {model} is another one than was frozen")
    last = ledger.newest(session, model, alias, without=grant.id)
    if last is not None and grant.sequence <= last.sequence:
        raise _no(grant, f"grant {grant.id} is number {grant.sequence}, {last.sequence} came later")
    _check_current(store, session, grant, last)


def _check_current(store: Any, session: Any, grant: Grant, last: Any) -> None:
    """Compare with the newest release; before the first one, with what the alias happens to be."""
    if last is not None:
        allowed: set[str | None] = {str(last.version)}
    else:
        there = store._get_registered_model_alias(session, grant.model, grant.alias)
        allowed = {None, str(there.version)} if there is not None else {None}
    if grant.expected_current not in allowed:
        current = ", ".join(sorted(str(version or "nothing") for version in allowed))
        raise _no(
            grant,
            f"the grant was given while {grant.alias} of {grant.model} was "
            f"{grant.expected_current or 'nothing'}, and it is {current} now",
        )


def _no(grant: Grant, why: str) -> Denied:
    return Denied(_ACTION, f"{grant.model}@{grant.alias}", why)


def _state(error: sa.exc.DBAPIError) -> str:
    code = getattr(error.orig, "pgcode", None) or getattr(error.orig, "sqlstate", None)
    return str(code or "")
