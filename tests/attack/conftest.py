"""One guarded server for each pair of database and store, for all attacks together."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from airlock.adapters.embedded.server import Server
from tests.attack.guard_kit import Site, guarded, permit_writer
from tests.support import short_folder


@pytest.fixture(scope="session", params=["sqlite-files", "postgres-s3"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """Return each guarded server in turn."""
    folder = short_folder("guard")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        options: dict[str, Any] = {}
        if "postgres" in request.param:
            options |= request.getfixturevalue("guarded_postgres")
        if "s3" in request.param:
            more = request.getfixturevalue("bucket")
            options |= more | {"extra": options.get("extra", {}) | more["extra"]}
        yield stack.enter_context(guarded(Path(folder), **options))


@pytest.fixture(scope="session")
def guarded_postgres(postgres: Server) -> dict[str, Any]:
    """Return a real PostgreSQL with the roles of the platform, and how to write a permit there."""
    return {
        "database": postgres.url("mlflow_app"),
        "owner": postgres.url("mlflow_owner"),
        "roles": ("--app-role", "mlflow_app", "--guard-role", "airlock_guard"),
        "permits": permit_writer(postgres.dsn("airlock_guard")),
        "extra": {
            "ADMIN_DSN": postgres.dsn("postgres", "mlflow"),
            "HOME_DSN": postgres.dsn("postgres"),
        },
    }


@pytest.fixture(scope="session")
def bucket() -> Iterator[dict[str, Any]]:
    """Run a server that speaks S3 and return a store in a bucket of it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    told = {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "MLFLOW_S3_ENDPOINT_URL": f"http://{host}:{port}",
    }
    client = boto3.client(
        "s3",
        endpoint_url=told["MLFLOW_S3_ENDPOINT_URL"],
        aws_access_key_id="x",
        aws_secret_access_key="x",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="models")
    yield {"destination": "airlock+s3://models/art", "place": "s3://models/art", "extra": told}
    server.stop()
