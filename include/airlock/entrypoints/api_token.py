"""The way into MLflow: a token that says who somebody is.

FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from airlock.domain.people import Actor
from airlock.entrypoints.callers import API, Airlock, Signing, allowed
from airlock.entrypoints.problems import declared
from airlock.services.people import mlflow_token as mlflow_tokens

routes = APIRouter(
    prefix=f"{API}/v1", tags=["platform"], responses=declared(401, 403, 404, 413, 422, 503)
)

Reader = Annotated[Actor, Depends(allowed("release:read"))]


@routes.post("/mlflow-token", status_code=201)
def mlflow_token(
    airlock: Airlock, signer: Signing, actor: Reader, response: Response
) -> dict[str, Any]:
    """Return a token for MLflow: the password beside the caller's name, for a working day."""
    response.headers["Cache-Control"] = "no-store"
    return mlflow_tokens.mlflow_token(airlock.store, signer, airlock.rulebook, actor)
