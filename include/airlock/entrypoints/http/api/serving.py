"""What serving processes ask: which release of a model serves in an environment.

The answer is a signed text, so neither the way it came nor a cache on it has to be trusted.
FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path

from airlock.domain.people.actors import Actor
from airlock.entrypoints.http.dependencies import API, Airlock, Signing, allowed
from airlock.entrypoints.http.problems import declared
from airlock.services.promotion import serving_statement

routes = APIRouter(
    prefix=f"{API}/v1/released", tags=["releases"], responses=declared(401, 403, 404, 409, 422, 503)
)

Reader = Annotated[Actor, Depends(allowed("release:read"))]
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


@routes.get("/{model}/{environment}")
def current(
    airlock: Airlock, signer: Signing, actor: Reader, model: Name, environment: Name
) -> dict[str, Any]:
    """Return the signed statement of what serves: its grant, its subject, its sequence number."""
    statement = serving_statement.current(
        airlock.store, signer, airlock.keyring, model, environment
    )
    return {"model": model, "environment": environment, "statement": statement}
