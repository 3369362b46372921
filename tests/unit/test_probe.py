"""What a container's health check asks where nothing answers HTTP."""

from __future__ import annotations

import socket

import pytest

from airlock_platform.processes import health_checks

pytestmark = pytest.mark.unit


def test_an_open_connection_is_seen_and_a_closed_one_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert (
            health_checks.ask("connected", str(port))
            == f"there is no open connection to port {port}"
        )
        with socket.create_connection(("127.0.0.1", port)):
            assert health_checks.ask("connected", str(port)) == ""
