"""A real guarded MLflow server for the attacks, and everybody who stands before it.

with guarded(folder) as site:
    version = site.candidate("fraud")          # logged, registered, frozen
    site.client("ana").set_registered_model_alias("fraud", "champion", version)   # refused
    site.release("fraud", version)             # governed: grant handed in, plain client call
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from mlflow import MlflowClient

from airlock.adapters.keys import ed25519
from airlock.adapters.mlflow import CandidateRecord, MlflowRegistry
from airlock.domain.digest import folder_manifest, manifest_digest
from airlock.domain.people import access_token
from airlock.domain.promotion.grant import LONGEST, Grant, seal
from tests.attack.guard_server import (
    SECRET,
    WORKER,
    empty_database,
    environment,
    free_port,
    migrate,
    serving,
)
from tests.support import EVERYWHERE

ANY = "sha256:" + "0" * 64
_PAIRS = ["sqlite-files", "postgres-s3", "sqlite-s3", "postgres-files"]


def _on(*pairs: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "site", _PAIRS if EVERYWHERE else pairs, indirect=True, scope="session"
    )


#: For what depends on where rows are kept.
ON_ALL_PAIRS = _on("postgres-s3")
#: For what depends on where files are kept.
ON_ALL_STORES = _on("postgres-s3", "sqlite-files")


@dataclass
class Answer:
    """What a server said to one request."""

    status: int
    text: str


@dataclass
class Site:
    """A running guarded server. `place` is where its files lie, for who has the disk or bucket."""

    url: str
    folder: Path
    environment: Mapping[str, str]
    place: str
    database: str
    signer: ed25519.FileSigner
    log: Path
    permits: Callable[[Grant], None] | None = None
    sequences: dict[tuple[str, str], int] = field(default_factory=dict)
    serving: dict[tuple[str, str], str | None] = field(default_factory=dict)

    # -- people ------------------------------------------------------------------------------

    def token(self, person: str, *permissions: str, now: datetime | None = None) -> str:
        at = now or datetime.now(UTC)
        signer = self.signer
        return access_token.issue(person, frozenset(permissions), at, signer.key_id, signer.sign)

    @contextlib.contextmanager
    def as_(self, person: str) -> Iterator[MlflowClient]:
        """MLflow's own client, logged in as *person* (or the worker's account)."""
        secret = SECRET if person == WORKER else self.token(person)
        names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_URI")
        kept = {name: os.environ.get(name) for name in names}
        os.environ |= dict(zip(names, (person, secret, self.url), strict=True))
        os.environ |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
        try:
            yield MlflowClient(tracking_uri=self.url, registry_uri=self.url)
        finally:
            for name, value in kept.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        person: str = "ana",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request; bytes go as they are, everything else as JSON."""
        sent = dict(headers or {})
        if person:
            secret = SECRET if person == WORKER else self.token(person)
            login = b64encode(f"{person}:{secret}".encode()).decode()
            sent["Authorization"] = f"Basic {login}"
        if body is not None and not isinstance(body, bytes):
            body, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        answer = requests.request(
            method, f"{self.url}{path}", data=body, headers=sent, timeout=60, allow_redirects=False
        )
        return Answer(answer.status_code, answer.text)

    # -- candidates and releases -------------------------------------------------------------

    def candidate(self, model: str, content: bytes = b"good") -> str:
        """Log, register and freeze a version as the worker does; return its number."""
        saved = Path(tempfile.mkdtemp(dir=self.folder))
        (saved / "model.skops").write_bytes(content)
        (saved / "MLmodel").write_text("flavors: {}")
        record = CandidateRecord(
            model=model,
            origin=f"{model}/{uuid.uuid4().hex}",
            requester="ana",
            folder=saved,
            artifact_digest=manifest_digest(folder_manifest(saved)),
            source="x",
            data_digest=ANY,
            code_commit="c",
            lock_digest=ANY,
            pipeline_digest=ANY,
        )
        with self.as_(WORKER):
            return MlflowRegistry(self.url).record_candidate(record).version

    def grant(self, model: str, version: str, alias: str = "champion", **changes: Any) -> Grant:
        """The grant the decider would give now."""
        with self.as_(WORKER):
            registry = MlflowRegistry(self.url)
            digest = registry.artifact_digest(model, version)
            location = registry.location(model, version)
        now = datetime.now(UTC)
        made = Grant(
            id=f"grant-{uuid.uuid4().hex[:16]}",
            release=f"rel-{uuid.uuid4().hex[:8]}",
            model=model,
            version=version,
            alias=alias,
            environment="production",
            artifact_digest=digest,
            location=location,
            subject_digest=ANY,
            policy_digest=ANY,
            expected_current=self.serving.get((model, alias)),
            sequence=self.sequences.get((model, alias), 0) + 1,
            issued_at=now - timedelta(seconds=1),
            expires_at=now + LONGEST - timedelta(seconds=1),
        )
        return replace(made, **changes)

    def envelope(self, grant: Grant, signer: ed25519.FileSigner | None = None) -> str:
        by = signer or self.signer
        return seal(grant, by.key_id, by.sign)

    def hand_in(self, grant: Grant, person: str = WORKER) -> Answer:
        if self.permits:
            self.permits(grant)
        return self.ask("POST", "/airlock/grants", {"envelope": self.envelope(grant)}, person)

    def release(self, model: str, version: str, alias: str = "champion") -> Grant:
        """A governed release: the grant is handed in, the plain client call moves the alias."""
        grant = self.grant(model, version, alias)
        assert self.hand_in(grant).status == 201
        with self.as_(WORKER) as client:
            client.set_registered_model_alias(model, alias, version)
        self.moved(grant)
        return grant

    def moved(self, grant: Grant) -> None:
        self.sequences[grant.model, grant.alias] = grant.sequence
        self.serving[grant.model, grant.alias] = grant.version

    def alias(self, model: str, alias: str = "champion") -> str | None:
        with self.as_("reader") as client:
            found = client.get_registered_model(model).aliases.get(alias)
            return None if found is None else str(found)


@contextlib.contextmanager
def guarded(
    folder: Path,
    *,
    database: str = "",
    owner: str = "",
    destination: str = "",
    place: str = "",
    extra: Mapping[str, str] | None = None,
    roles: tuple[str, ...] = (),
    permits: Callable[[Grant], None] | None = None,
) -> Iterator[Site]:
    """Run a guarded server in *folder*; SQLite and local files unless told otherwise."""
    url = database or f"sqlite:///{folder}/mlflow.db"
    files = place or str(folder / "artifacts")
    told = environment(folder, url, destination or f"airlock+file://{files}") | dict(extra or {})
    ed25519.create(folder / "signing.pem", folder / "keys")
    if database:
        migrate(told | {"MLFLOW_BACKEND_STORE_URI": owner or url}, *roles)
    else:
        shutil.copy(empty_database(), folder / "mlflow.db")
    signer = ed25519.FileSigner(folder / "signing.pem")
    port = free_port()
    log = folder / "mlflow.log"
    with serving(told, port, log):
        yield Site(f"http://127.0.0.1:{port}", folder, told, files, url, signer, log, permits)


def permit_writer(dsn: str) -> Callable[[Grant], None]:
    """Return what the decider does on PostgreSQL: write the permit of a grant, in its own role."""
    import psycopg

    def write(grant: Grant) -> None:
        row = (grant.id, grant.model, grant.alias, int(grant.version))
        row += (grant.expected_current, grant.sequence, grant.expires_at)
        with psycopg.connect(dsn) as connection:
            connection.execute(
                "INSERT INTO airlock_permits (grant_id, model, alias, version, expected_current,"
                " sequence, expires_at) VALUES (%s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (grant_id) DO NOTHING",
                row,
            )

    return write


def raw_request(site: Site, method: str, path: str, body: bytes, person: str) -> int:
    """Send a request over a plain socket: no library cleans the path up. Return the status."""
    parts = urlsplit(site.url)
    head = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
    head += ["Content-Type: application/json", "Connection: close"]
    if person:
        login = b64encode(f"{person}:{site.token(person)}".encode()).decode()
        head.append(f"Authorization: Basic {login}")
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30) as link:
        link.sendall("\r\n".join([*head, "", ""]).encode() + body)
        return int(link.makefile("rb").readline().split()[1])
