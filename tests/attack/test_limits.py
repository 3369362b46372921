"""What the guard reads of a request, and what it repeats of it: little, and nothing."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from airlock.adapters.keys import ed25519
from airlock_mlflow.limits import FILE, MESSAGE, OWN, most_of
from tests.attack.guard_kit import ON_ALL_PAIRS, Site
from tests.attack.guard_server import WORKER, command, environment, free_port
from tests.attack.test_alias_attacks import API
from tests.attack.test_door import ON_SQLITE, basic
from tests.support import sample

MARK = "do-not-repeat-me"


def begun(site: Site, path: str, *headers: str, body: bytes = b"", login: bool = True) -> int:
    """Send the beginning of a request and never its end; return the status that comes anyway."""
    parts = urlsplit(site.url)
    head = [f"POST {path} HTTP/1.1", f"Host: {parts.netloc}", "Content-Type: application/json"]
    head += [f"Authorization: {basic('ana', site.token('ana'))}"] if login else []
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30) as link:
        link.sendall("\r\n".join([*head, *headers, "", ""]).encode() + body)
        return int(link.makefile("rb").readline().split()[1])


@ON_ALL_PAIRS
def test_a_grant_needs_a_login_and_any_account_will_do(site: Site) -> None:
    model = f"login-{free_port()}"
    version = site.candidate(model)
    grant = site.grant(model, version)
    assert site.hand_in(grant, "").status == 401
    assert site.hand_in(grant, "vera").status == 201
    assert site.hand_in(grant, WORKER).status == 201


@pytest.mark.parametrize("path", ["/airlock/grants", "/airlock/freeze"])
def test_a_body_too_large_is_refused_before_it_is_read(site: Site, path: str) -> None:
    assert begun(site, path, f"Content-Length: {OWN + 1}") == 413
    assert begun(site, path, "Content-Length: 1" + "0" * 30) in (400, 413)
    chunk = b"10001\r\n" + b"x" * 0x10001 + b"\r\n"  # its end never comes
    assert begun(site, path, "Transfer-Encoding: chunked", body=chunk) == 413
    assert begun(site, path, f"Content-Length: {OWN + 1}", login=False) == 401


@ON_SQLITE
def test_other_bodies_have_limits_too(site: Site) -> None:
    for path in (f"{API}/runs/log-batch", "/graphql", "/v1/traces", "/get-artifact", "/"):
        assert begun(site, path, f"Content-Length: {MESSAGE + 1}") == 413, path
    files = "/api/2.0/mlflow-artifacts/artifacts/x"
    assert begun(site, files, f"Content-Length: {FILE + 1}") == 413
    assert (most_of(files), most_of("/airlock"), most_of("/airlockx")) == (FILE, OWN, MESSAGE)


@pytest.mark.parametrize(
    "body",
    [
        {"envelope": MARK},
        {"envelope": json.dumps({"payload": MARK})},
        {"envelope": json.dumps({"payload": "e30=", "signatures": [{"keyid": MARK, "sig": ""}]})},
        {MARK: 1},
        {"envelope": [MARK]},
        [MARK],
        MARK,
        {"envelope": {MARK: MARK}},
    ],
)
def test_nothing_that_was_sent_is_repeated(site: Site, body: object) -> None:
    for path in ("/airlock/grants", "/airlock/freeze"):
        answer = site.ask("POST", path, body)
        assert answer.status in (403, 422)
        assert MARK not in answer.text
    raw = site.ask("POST", "/airlock/grants", MARK.encode(), headers={"Content-Type": "text/json"})
    assert raw.status == 422
    assert MARK not in raw.text


@pytest.mark.parametrize("workers", sample(["1", "2"], 2))
def test_a_server_that_refuses_to_start_ends_and_not_with_zero(
    tmp_path: Path, workers: str
) -> None:
    """The guard's tables are missing."""
    told = environment(tmp_path, f"sqlite:///{tmp_path}/x.db", f"airlock+file://{tmp_path}/a")
    ed25519.create(tmp_path / "signing.pem", tmp_path / "keys")
    argv = command(free_port())
    argv[argv.index("--workers") + 1] = workers
    done = subprocess.run(argv, env=told, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode != 0
    assert "python -m airlock_mlflow.schema" in done.stderr
