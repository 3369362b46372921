"""`mlflow server --app-name airlock`: the boot check, the door, and less surface.

It is not the gate: that is the store. It refuses to start half-guarded, asks everybody who they
are, and switches off what a model registry does not need and what runs code on the server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airlock.domain.errors import Invalid
from airlock_mlflow import boot, runs, surface
from airlock_mlflow.door import Application, Door
from airlock_mlflow.guard import Guard, guard

#: Kinds of locations the server still opens: its own, and those that lead to its own.
_OPENED = ("airlock+file", "airlock+s3", "mlflow-artifacts", "runs", "models")
_OFF = "this part of MLflow is switched off on a server that guards releases"


def create_app() -> Application:
    """Return the guarded server. MLflow calls this in each of its worker processes.

    Raises:
        Invalid: naming what would be unguarded.
    """
    server_guard = guard()
    try:
        boot.check(server_guard)
    except Invalid:
        boot.end_server()
        raise
    from mlflow.server.fastapi_app import app
    from starlette.routing import Mount

    from airlock_mlflow.routes import application

    _close_other_stores()
    runs.protect(server_guard)
    _switch_off(app, server_guard)
    app.router.routes.insert(0, Mount("/airlock", application()))
    return Door(app, server_guard)


def _close_other_stores() -> None:
    from mlflow.store.artifact.artifact_repository_registry import _artifact_repository_registry

    from airlock_mlflow.artifacts import refused_repository

    for scheme in _artifact_repository_registry._registry:
        if scheme not in _OPENED:
            _artifact_repository_registry.register(scheme, refused_repository)


def _switch_off(app: Any, server_guard: Guard) -> None:
    from mlflow.server import app as flask_app

    off = 0
    for route in app.router.routes:
        if surface.is_off(route):
            route.app = _refusing(server_guard)
            off += 1
    for name, view in list(flask_app.view_functions.items()):
        if surface.OFF_HANDLERS.search(surface.view_name(view)):
            flask_app.view_functions[name] = _refusing_view(server_guard)
            off += 1
    boot.check_switched_off(off)


def _denied(server_guard: Guard) -> Any:
    from airlock_mlflow.caller import caller
    from airlock_mlflow.denial import Denied

    denied = Denied("use", caller().request, _OFF, "Use another server for that")
    if not caller().request.startswith("GET "):  # MLflow's own page asks for such things
        server_guard.record(denied)
    return denied


def _refusing(server_guard: Guard) -> Callable[..., Awaitable[None]]:
    from anyio import to_thread

    async def refuse(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        from starlette.responses import Response

        denied = await to_thread.run_sync(_denied, server_guard)
        answer = Response(denied.serialize_as_json(), 403, media_type="application/json")
        await answer(scope, receive, send)

    return refuse


def _refusing_view(server_guard: Guard) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        from flask import Response

        denied = _denied(server_guard)
        return Response(denied.serialize_as_json(), 403, mimetype="application/json")

    return refuse
