"""Airlock's app behind a real HTTP server, and the three doors into it: REST, page and CLI.

Airflow's login is played by `/auth/token` and a token that is the user's name. Everything else
is real: the app, the services, SQLite, sockets, cookies, the command line.
"""

from __future__ import annotations

import atexit
import contextlib
import copy
import html
import json
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse

from airlock.adapters.evidence.folder import EvidenceFolder
from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.config.settings import SlackSettings
from airlock.domain.approval.policy import Rulebook
from airlock.domain.errors import Unauthenticated
from airlock.entrypoints.client import Session, save_session
from airlock.entrypoints.http.app import create_app
from airlock.entrypoints.http.authentication import UNKNOWN_LOGINS, Identity, Logins
from airlock.ports import Store
from airlock.testing import PEOPLE, RULEBOOK, FakeKeys, World
from airlock.testing.fakes import FakeCode
from tests.command import Said, run_cli
from tests.contract.tree_kit import keys

PASSWORD = "open sesame"
#: The test people, and somebody who may promote and roll back.
FOLKS = {**PEOPLE, "otto": "operator"}


def rulebook() -> dict[str, Any]:
    """Return the test rule book: the policy readable by everybody, emergencies, an operator,
    a gate that can be waived."""
    document = copy.deepcopy(dict(RULEBOOK))
    access, approval = document["access"]["spec"], document["approval"]["spec"]
    roles = access["roles"]
    roles["viewer"]["permissions"] = ["release:read", "policy:read"]
    roles["operator"] = {"inherits": ["viewer"], "permissions": ["release:promote"]}
    access["airflowRoles"]["operator"] = "operator"
    access["superiors"] = {"algorithm_lead": "mina"}
    approval["fallbackRole"] = "risk_committee"
    glass = {"roles": ["algorithm_lead", "compliance_officer"], "people": 2, "hours": 4}
    approval["breakGlass"] = {**glass, "reviewers": ["security_auditor"]}
    roles["compliance_officer"]["permissions"] = ["release:vote", "gate:waive"]
    weights = dict.fromkeys(("high", "medium", "low"), "soft")
    approval["enforcement"] = {"metrics-threshold": weights}
    return document


@dataclass
class FakePlatform:
    """What `create_app` needs, over a test world."""

    store: Store
    keyring: FakeKeys
    signer: FakeKeys | None
    rulebook: Rulebook
    places: tuple[Any, ...] = ()
    witnesses: dict[str, Any] = field(default_factory=dict)
    slack: SlackSettings | None = None
    files: Any = None
    code: Any = field(default_factory=FakeCode)
    mlflow_url: str = "https://mlflow.example.org"


@dataclass
class Doors:
    """The running app and its people. `folks` may change: roles are read at every request."""

    world: World
    app: FastAPI
    folder: Path
    url: str = ""
    folks: dict[str, str] = field(default_factory=lambda: dict(FOLKS))

    def rest(self, user: str = "") -> httpx.Client:
        """Return a program with a bearer token; nobody's if *user* is empty."""
        headers = {"Authorization": f"Bearer {user}"} if user else {}
        base = f"{self.url}/airlock/api/v1"
        return httpx.Client(base_url=base, headers=headers, timeout=30, verify=False)

    def page(self, user: str = "") -> httpx.Client:
        """Return a browser: a cookie, and the headers browsers send with forms."""
        return httpx.Client(
            base_url=f"{self.url}/airlock",
            cookies={"_token": user} if user else {},
            headers={"Sec-Fetch-Site": "same-origin"},
            timeout=30,
            verify=False,  # loading certificates for plain HTTP takes longer than most tests
        )

    def cli(self, user: str, *arguments: str, options: tuple[str, ...] = ("--session",)) -> Said:
        """Run the real command as *user*."""
        kept = self.folder / f"{user}.json"
        save_session(Session(self.url, user, user), kept)
        extra = (*options, str(kept)) if options else ()
        return run_cli(*arguments, *extra)

    def identify(self, request: Request) -> Identity:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        user = token or request.cookies.get("_token", "")
        if user not in self.folks:
            raise Unauthenticated("nobody is logged in", next_step="Log in to Airflow.")
        return Identity(user, user.title(), frozenset({self.folks[user]}))

    def open(self, run: str) -> str:
        """Open a release even where another is open, and return its id."""
        opened = self.world.request(self.world.measure(run), "supersede").release
        assert opened is not None
        return opened.id

    def body(self, release_id: str, **changes: Any) -> dict[str, Any]:
        """Return a REST approval of what is open now."""
        view = self.rest("vera").get(f"/releases/{release_id}").json()
        seen = {
            "decision": "approve",
            "reason": "looked at the numbers",
            "level": view["level"],
            "round": view["round"],
            "subjectDigest": view["subject"]["digest"],
        }
        return {**seen, **changes}


def text_of(page: str) -> str:
    """Return the words of an HTML page."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


@cache
def _begun(rules: str) -> Path:
    """Migrate a database and enrol people under these rules once; copies are much faster."""
    folder = Path(tempfile.mkdtemp(prefix="airlock-doors-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    url = f"sqlite:///{folder / 'airlock.db'}"
    upgrade(url)
    with contextlib.closing(SqlStore(url)) as store:
        World(store, rulebook=json.loads(rules), folks=FOLKS)
    return folder / "airlock.db"


@contextlib.contextmanager
def running(
    folder: Path,
    keys: Any = None,
    rules: dict[str, Any] | None = None,
    slack: SlackSettings | None = None,
    logins: Logins = UNKNOWN_LOGINS,
) -> Iterator[Doors]:
    """Run the app on a free port over a new SQLite database; *keys* sign and verify."""
    rules = rules or rulebook()
    shutil.copyfile(_begun(json.dumps(rules)), folder / "airlock.db")
    store = SqlStore(f"sqlite:///{folder / 'airlock.db'}")
    world = World(store, keys, rulebook=rules, folks=FOLKS)
    world.keys = keys or world.keys
    doors = Doors(world, FastAPI(), folder)
    platform = FakePlatform(world.store, world.keys, world.keys, world.rulebook)
    platform.slack, platform.files = slack, EvidenceFolder(folder / "evidence")
    doors.app = create_app(platform, doors.identify, logins=logins)
    server = uvicorn.Server(uvicorn.Config(_airflow(doors), port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    doors.url = f"http://127.0.0.1:{port}"
    try:
        yield doors
    finally:
        server.should_exit = True
        thread.join()


def _airflow(doors: Doors) -> FastAPI:
    app = FastAPI()

    @app.post("/auth/token")
    def token(login: dict[str, str]) -> JSONResponse:
        if login["username"] in doors.folks and login["password"] == PASSWORD:
            return JSONResponse({"access_token": login["username"]}, 201)
        return JSONResponse({"detail": "Invalid credentials"}, 401)

    app.mount("/airlock", doors.app)
    return app


def with_real_keys(doors: Doors) -> None:
    """Let the doors sign with real keys, and everybody read evidence.

    The fake keys sign nothing a stranger could check, and evidence is such a thing.
    """
    signer, keyring = keys(doors.folder)
    world = doors.world
    world.signer, world.keys = signer, keyring  # type: ignore[assignment]
    rules = copy.deepcopy(dict(world.rulebook.document))
    rules["access"]["spec"]["roles"]["viewer"]["permissions"].append("evidence:read")
    book = Rulebook.from_document(rules)
    platform = FakePlatform(world.store, keyring, signer, book)  # type: ignore[arg-type]
    platform.files = EvidenceFolder(doors.folder / "evidence")
    doors.app.state.airlock = platform
