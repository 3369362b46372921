"""Where a guarded server keeps its rows and its files: two databases, two stores, four pairs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import boto3
import psycopg
from moto.server import ThreadedMotoServer

from airlock_platform.databases.server import Server
from tests.attack.guard_kit import permit_writer


def on_postgres(server: Server, database: str = "mlflow", template: str = "") -> dict[str, Any]:
    """Return how a guarded server uses a real PostgreSQL with the roles of the platform.

    Another database than the platform's own is created, empty or as a copy.
    """
    if database != "mlflow":
        _create(server, database, template or "template1")
    return {
        "database": server.url("mlflow_app", database),
        "owner": server.url("mlflow_owner", database),
        "roles": ("--app-role", "mlflow_app", "--guard-role", "airlock_guard"),
        "permits": permit_writer(server.dsn("airlock_guard", database)),
        "extra": {
            "ADMIN_DSN": server.dsn("postgres", database),
            "HOME_DSN": server.dsn("postgres"),
            "GUARD_URL": server.url("airlock_guard", database),
            "OWNER_URL": server.url("mlflow_owner", database),
        },
    }


def _create(server: Server, database: str, template: str) -> None:
    """Create another database with the rights of the platform's own."""
    create = f"CREATE DATABASE {database} TEMPLATE {template} OWNER mlflow_owner"
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(create)  # type: ignore[arg-type]
        for statement in (
            f"REVOKE ALL ON DATABASE {database} FROM PUBLIC",
            f"GRANT CONNECT ON DATABASE {database} TO mlflow_app, airlock_guard",
        ):
            connection.execute(statement)  # type: ignore[arg-type]


@contextlib.contextmanager
def cut_off(dsn: str, database: str = "mlflow") -> Iterator[None]:
    """Let nobody reach a database until the block ends."""
    close = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")  # type: ignore[arg-type]
        try:
            admin.execute(close, [database])
            yield
        finally:
            admin.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")  # type: ignore[arg-type]


@contextlib.contextmanager
def s3() -> Iterator[str]:
    """Run a server that speaks S3; return its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def in_bucket(address: str, bucket: str) -> dict[str, Any]:
    """Create a bucket and return how a guarded server keeps its files there."""
    told = {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "MLFLOW_S3_ENDPOINT_URL": address,
    }
    client = boto3.client(
        "s3",
        endpoint_url=address,
        aws_access_key_id="x",
        aws_secret_access_key="x",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket=bucket)
    return {
        "destination": f"airlock+s3://{bucket}/art",
        "place": f"s3://{bucket}/art",
        "extra": told,
    }
