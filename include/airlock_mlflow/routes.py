"""The guard's own few addresses, below `/airlock` of the MLflow server.

FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from mlflow.exceptions import MlflowException
from mlflow.server import handlers
from pydantic import BaseModel, ConfigDict, Field

from airlock.domain.people.access_token import REVOKE
from airlock.domain.promotion.grant import Grant, GrantInvalid
from airlock_mlflow import backing, ledger, spending
from airlock_mlflow.artifacts import repository
from airlock_mlflow.caller import caller
from airlock_mlflow.denial import Closed, Denied
from airlock_mlflow.digesting import stored_digest
from airlock_mlflow.guard import Guard, guard, millis
from airlock_mlflow.store import GuardedStore

_NAME = Field(min_length=1, max_length=256)
_ID = Path(pattern=r"^[A-Za-z0-9-]{1,100}$")
_AUDIT = "audit:read"
_NO_GRANT = "this is no grant that is signed by a key this server trusts and that was in use then"
_NO_BODY = "airlock: these are not the fields, or not the values, that this address takes."


class _Sent(BaseModel):
    """A request body: unknown fields and other types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class GrantSent(_Sent):
    """A signed grant."""

    envelope: Annotated[str, Field(min_length=1, max_length=65_536)]


class VersionSent(_Sent):
    """A model version."""

    model: Annotated[str, _NAME]
    version: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]


routes = APIRouter()


@routes.get("/health")
def health() -> dict[str, str]:
    """Say whether the guard works: its tables and its keys. Raises Closed."""
    missing = guard().missing_tables()
    if missing:
        raise Closed(f"its tables {', '.join(missing)} are missing")
    guard().keyring()
    return {"status": "healthy", "guard": "closed to everything without a grant"}


@routes.post("/grants", status_code=201)
def grants(sent: Annotated[GrantSent, Body()]) -> dict[str, Any]:
    """Take a grant from whoever is logged in: only its signature counts.

    The answer repeats nothing of what was sent: until a trusted key has signed it, it may be
    anything.
    """
    grant = _opened("deliver a grant", sent.envelope)
    return _deliver(guard(), grant, sent.envelope)


@routes.get("/grants/{grant_id}")
def standing(grant_id: Annotated[str, _ID]) -> dict[str, str]:
    """Return whether a grant was spent or revoked; unspent if nobody has ever delivered it."""
    with guard().database() as work:
        state = ledger.standing(work, grant_id)
    return {"grant": grant_id, "standing": state.value}


@routes.post("/grants/{grant_id}/revoke", status_code=201)
def revoke(grant_id: Annotated[str, _ID], sent: Annotated[GrantSent, Body()]) -> dict[str, str]:
    """Let a grant never be spent, for the decider alone; say whether it was spent before."""
    _check("revoke a grant", grant_id, REVOKE, "The decider does it")
    grant = _opened("revoke a grant", sent.envelope)
    if grant.id != grant_id:
        denied = Denied("revoke a grant", grant_id, f"the envelope is that of {grant.id}")
        guard().record(denied)
        raise denied
    outcome = spending.revoke(_store(), guard(), grant, sent.envelope)
    return {"grant": grant_id, "standing": outcome.value}


@routes.post("/freeze", status_code=201)
def freeze(sent: Annotated[VersionSent, Body()]) -> dict[str, Any]:
    """Let the files of a version never change again."""
    return dict(_store().freeze(sent.model, sent.version))


@routes.get("/state")
def state() -> list[dict[str, Any]]:
    """Return every protected alias as it is in the database, and what backs it."""
    return _state(guard())


@routes.get("/ledger")
def ledger_of_all() -> dict[str, Any]:
    """Return the protected aliases, and every spent grant."""
    server_guard = guard()
    with server_guard.database() as work:
        rows = [dict(row._mapping) for row in ledger.spent(work)]
    columns = ("grant_id", "model", "alias", "version", "sequence", "spent_ms", "spent_by")
    spent = [{key: row[key] for key in columns} for row in rows]
    return {"protected": sorted(server_guard.aliases.protected), "spent": spent}


@routes.get("/digest")
def digest(model: str, version: Annotated[int, Query(ge=0, le=10**9)]) -> dict[str, Any]:
    """Hash the stored files of a frozen version now; null if there are none."""
    _check_auditor("hash files", f"{model}/{version}")
    server_guard = guard()
    with server_guard.database() as work:
        row = ledger.frozen(work, model, version)
    try:
        current = stored_digest(repository(server_guard), row.place) if row is not None else None
    except ValueError:
        current = None
    return {"model": model, "version": str(version), "digest": current}


@routes.get("/refusals")
def refusals(
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    model: str = "",
) -> list[dict[str, Any]]:
    """Return the refusals, to people who may read the log."""
    _check_auditor("read refusals", "refusals")
    return guard().refusals(after, limit, model)


def _check_auditor(action: str, target: str) -> None:
    _check(action, target, _AUDIT, "Ask an auditor")


def _check(action: str, target: str, permission: str, step: str) -> None:
    if permission not in caller().permissions:
        why = f"to {action} needs {permission}, which {caller().name} does not have"
        denied = Denied(action, target, why, step)
        guard().record(denied)
        raise denied


def _opened(action: str, envelope: str) -> Grant:
    try:
        return guard().open_grant(envelope)
    except GrantInvalid as error:
        denied = Denied(action, "grant", _NO_GRANT)
        guard().record(denied)
        raise denied from error


def application() -> FastAPI:
    """Return the guard's own addresses as an application."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_exception_handler(MlflowException, _respond)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.include_router(routes)
    return app


def _deliver(server_guard: Guard, grant: Grant, envelope: str) -> dict[str, Any]:
    with server_guard.database() as work:
        now = server_guard.now(work)
        server_guard.check_clock(grant, now)
        ledger.deliver(work, grant, envelope, caller().name, millis(now))
        release = ledger.release_of(work, grant.id)
        last = ledger.newest(work, grant.model, grant.alias)
    spent = release is not None
    serving = spent and last is not None and last.grant_id == grant.id
    return {"grant": grant.id, "spent": spent, "serving": serving}


def _state(server_guard: Guard) -> list[dict[str, Any]]:
    store, rows = _store(), []
    with store.ManagedSessionMaker() as session:
        for workspace, model, alias, version, location in store.protected_aliases(session):
            problem = backing.problem(
                server_guard, session.connection(), workspace, model, alias, version
            )
            last = ledger.newest(session, model, alias)
            rows.append(
                {
                    "model": model,
                    "alias": alias,
                    "version": str(version),
                    "location": location,
                    "problem": problem,
                    "released": str(last.version) if last else None,
                    "grant": last.grant_id if last else None,
                    "sequence": last.sequence if last else None,
                }
            )
    return rows


def _store() -> GuardedStore:
    store = handlers._get_model_registry_store()
    if not isinstance(store, GuardedStore):
        raise Closed("the registry of this server is not the guarded one")
    return store


async def _not_understood(_: Request, __: Exception) -> JSONResponse:
    """Answer without what was sent, which the framework would repeat."""
    return JSONResponse({"error_code": "INVALID_PARAMETER_VALUE", "message": _NO_BODY}, 422)


async def _respond(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, MlflowException):
        raise error
    return JSONResponse(json.loads(error.serialize_as_json()), error.get_http_status_code())
