"""Connections that are kept: closed here before the server closes them."""

from __future__ import annotations

import inspect

import uvicorn

from airlock.adapters.http_budget import IDLE_S, BudgetClient


def test_an_idle_connection_is_given_up_before_the_server_closes_it() -> None:
    server_s = inspect.signature(uvicorn.Config).parameters["timeout_keep_alive"].default
    assert server_s / 2 > IDLE_S
    with BudgetClient() as client:
        assert client._transport._pool._keepalive_expiry == IDLE_S  # type: ignore[attr-defined]
