"""`airlock slack check` against a small server that answers as Slack does, headers included."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airlock.adapters.slack.api_probe import SCOPES
from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.config.load import load_rulebook
from airlock.domain.approval.policy import Rulebook
from airlock.domain.people.actors import Person
from airlock.ports import Link
from airlock.services.approvals import policy_registry
from airlock.testing.approvers import enrol
from tests.command import Said, run_cli
from tests.support import ROOT

pytestmark = pytest.mark.slack

TOKEN, APP_TOKEN, SECRET = "xoxb-1-abc", "xapp-1-abc", "s3cr3t" * 4


class Slack:
    """What the server says, by method; a test changes it."""

    def __init__(self) -> None:
        self.scopes: str | None = ",".join(SCOPES)
        self.clock_off = 0.0
        self.status = 200
        self.asked: list[str] = []
        self.answers: dict[str, dict[str, Any]] = {
            "auth.test": {
                **{"ok": True, "team": "Acme", "team_id": "T0001", "user": "airlock"},
                **{"user_id": "U0BOT", "bot_id": "B0001"},
            },
            "bots.info": {"ok": True, "bot": {"id": "B0001", "app_id": "A0001"}},
            "conversations.info": {
                "ok": True,
                "channel": {"id": "C0001", "name": "releases", "is_member": True},
            },
            "apps.connections.open": {"ok": True, "url": "wss://127.0.0.1/never-used"},
        }

    def say(self, method: str, token: str) -> dict[str, Any]:
        self.asked.append(method)
        wanted = APP_TOKEN if method == "apps.connections.open" else TOKEN
        if token != f"Bearer {wanted}":
            return {"ok": False, "error": "invalid_auth"}
        return self.answers[method]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a database every test gets a copy of."""
    folder = tmp_path_factory.mktemp("known")
    fill(f"sqlite:///{folder}/airlock.db")
    return folder


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, known: Path) -> Iterator[Slack]:
    """A server, and an environment in which everything is right."""
    said = Slack()
    for file in known.glob("airlock.db*"):  # with its write-ahead log
        shutil.copy(file, tmp_path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            method = self.path.removeprefix("/api/").partition("?")[0]
            answer = said.say(method, self.headers.get("Authorization", ""))
            body = json.dumps(answer).encode()
            self.send_response_only(said.status)
            self.send_header("Date", formatdate(time.time() - said.clock_off, usegmt=True))
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            if said.scopes is not None:
                self.send_header("x-oauth-scopes", said.scopes)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    given = {
        "AIRLOCK_ROOT": str(ROOT),
        "AIRLOCK_HOME": str(tmp_path),
        "AIRLOCK_DATABASE_URL": f"sqlite:///{tmp_path}/airlock.db",
        "AIRLOCK_PUBLIC_URL": "https://airflow.example.org",
        "AIRLOCK_ALERT_MAIL": "ops@example.org",
        "AIRLOCK_SLACK_API_URL": f"http://127.0.0.1:{server.server_port}/api/",
        "AIRLOCK_SLACK_BOT_TOKEN": TOKEN,
        "AIRLOCK_SLACK_SIGNING_SECRET": SECRET,
        "AIRLOCK_SLACK_TEAM_ID": "T0001",
        "AIRLOCK_SLACK_APP_ID": "A0001",
        "AIRLOCK_SLACK_CHANNEL": "C0001",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    yield said
    server.shutdown()
    server.server_close()


def fill(url: str) -> None:
    """Let both approvers have linked an account, and somebody who left not."""
    upgrade(url)
    store = SqlStore(url, pooled=False)
    for name, role, active in (
        ("lena", "algorithm_lead", True),
        ("carla", "compliance_officer", True),
        ("mara", "risk_committee", False),
        ("vera", "viewer", True),
    ):
        rulebook = Rulebook.from_document(load_rulebook(ROOT / "include").document)
        enrol(store, rulebook, [Person(name, name.title(), frozenset({role}), active)])
    with store.begin() as unit:
        for number, name in enumerate(("lena", "carla")):
            unit.put_link(Link("T0001", f"U000{number}", name, "2026-11-01T00:00:00.000000Z"))
        unit.commit()


def check(*arguments: str) -> tuple[Said, dict[str, dict[str, str]]]:
    """Run it, both ways; return what it says, and its lines by name."""
    program, people = run_cli("slack", "check", "--json", *arguments), run_cli("slack", "check")
    document = json.loads(program.out)
    if not arguments:
        assert people.code == program.code
    assert document["ok"] is (program.code == 0)
    lines = {line["name"]: line for line in document["checks"]}
    assert len(lines) == len(document["checks"]), "each thing once"
    for line in lines.values():
        assert (line["state"] in ("wrong",)) <= bool(line["nextStep"]), line
    for secret in (TOKEN, APP_TOKEN, SECRET):
        assert secret not in program.out + program.err + people.out + people.err
    return program, lines


def test_everything_right_is_ok_and_ends_with_0(slack: Slack) -> None:
    said, lines = check()
    assert said.code == 0, said.out
    assert {line["state"] for line in lines.values()} == {"ok"}
    assert list(lines) == [
        *("receiving", "token", "team", "scopes", "clock", "app", "channel"),
        *("address", "policy", "links", "mail"),
    ]
    assert lines["links"]["found"] == "2 of 2 approvers have linked an account"
    assert lines["policy"]["found"].startswith("answers count at low, medium; high")
    assert "apps.connections.open" not in slack.asked


def test_what_is_wrong_is_said_to_people_with_what_to_do(slack: Slack) -> None:
    slack.answers["conversations.info"]["channel"]["is_member"] = False
    said = run_cli("slack", "check")
    assert said.code == 1
    assert "WRONG   channel    the bot is not in #releases (C0001)" in said.out
    assert "/invite @Airlock" in said.out


@pytest.mark.parametrize(
    ("code", "step"),
    [
        ("invalid_auth", "Bot User OAuth Token"),
        ("token_revoked", "Install the app to the workspace again"),
        ("account_inactive", "removed from the workspace"),
        ("some_new_word", "Look the word up"),
    ],
)
def test_a_token_slack_refuses_is_named(slack: Slack, code: str, step: str) -> None:
    slack.answers["auth.test"] = {"ok": False, "error": code}
    said, lines = check()
    assert said.code == 1
    assert lines["token"]["found"] == f"Slack refuses auth.test: {code}"
    assert step in lines["token"]["nextStep"]
    assert not {"team", "scopes", "channel"} & lines.keys()


def test_another_team_or_app_is_wrong(slack: Slack) -> None:
    slack.answers["auth.test"]["team_id"] = "T0002"
    slack.answers["bots.info"]["bot"]["app_id"] = "A0002"
    said, lines = check()
    assert said.code == 1
    assert "AIRLOCK_SLACK_TEAM_ID=T0002" in lines["team"]["nextStep"]
    assert "AIRLOCK_SLACK_APP_ID=A0002" in lines["app"]["nextStep"]


def test_in_an_organisation_its_id_counts(slack: Slack) -> None:
    slack.answers["auth.test"]["enterprise_id"] = "E0001"
    assert check()[1]["team"]["found"] == "expected T0001; the token belongs to E0001"


def test_missing_scopes_are_named_with_what_they_are_for(slack: Slack) -> None:
    slack.scopes = ",".join(one for one in SCOPES if not one.endswith(":history"))
    said, lines = check()
    assert said.code == 1
    assert "channels:history (finding a message again" in lines["scopes"]["found"]
    assert "groups:history" in lines["scopes"]["found"]
    assert "chat:write" not in lines["scopes"]["found"]


def test_more_scopes_than_needed_are_a_note(slack: Slack) -> None:
    slack.scopes = ",".join([*SCOPES, "users:read.email"])
    said, lines = check()
    assert (said.code, lines["scopes"]["state"]) == (0, "note")
    assert "users:read.email" in lines["scopes"]["found"]


@pytest.mark.parametrize(
    ("off", "state", "words"),
    [
        (30, "ok", "within 60 s"),
        (-100, "wrong", "behind"),
        (400, "wrong", "every click is refused"),
    ],
)
def test_the_clock_is_compared_with_slacks(
    slack: Slack, off: float, state: str, words: str
) -> None:
    slack.clock_off = off
    clock = check()[1]["clock"]
    assert (clock["state"], words in clock["found"]) == (state, True), clock


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        ({"ok": False, "error": "channel_not_found"}, "wrong", "channel_not_found"),
        ({"ok": False, "error": "missing_scope", "needed": "groups:read"}, "wrong", "missing"),
        ({"channel": {"name": "old", "is_archived": True}}, "wrong", "is archived"),
        ({"channel": {"name": "x", "is_member": True, "is_ext_shared": True}}, "note", "shared"),
    ],
)
def test_a_channel_it_cannot_speak_in_is_wrong(
    slack: Slack, answer: dict[str, Any], state: str, words: str
) -> None:
    slack.answers["conversations.info"] = {"ok": True, **answer}
    said, lines = check()
    assert (said.code, lines["channel"]["state"]) == (int(state == "wrong"), state)
    assert words in lines["channel"]["found"]


def test_socket_mode_is_asked_for_only_on_demand(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check("--socket")[1]["socket"]["found"] == "there is no app token"
    monkeypatch.setenv("AIRLOCK_SLACK_APP_TOKEN", APP_TOKEN)
    said, lines = check("--socket")
    assert (said.code, lines["socket"]["state"]) == (0, "ok")
    slack.answers["apps.connections.open"] = {"ok": False, "error": "not_allowed_token_type"}
    said, lines = check("--socket")
    assert (said.code, "connections:write" in lines["socket"]["nextStep"]) == (1, True)


def test_nothing_to_tell_slack_by_is_wrong(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRLOCK_SLACK_SIGNING_SECRET")
    said, lines = check()
    assert (said.code, lines["receiving"]["state"]) == (1, "wrong")
    monkeypatch.setenv("AIRLOCK_SLACK_SIGNING_SECRET", f"{'new' * 8},{SECRET}")
    assert "two secrets count" in check()[1]["receiving"]["found"]


@pytest.mark.parametrize(
    ("url", "state"),
    [
        ("http://localhost:8080", "wrong"),
        ("https://127.0.0.1", "wrong"),
        ("http://airflow.example.org", "wrong"),
        ("https://airflow.example.org", "ok"),
    ],
)
def test_slack_has_to_reach_the_address_by_https(
    slack: Slack, monkeypatch: pytest.MonkeyPatch, url: str, state: str
) -> None:
    monkeypatch.setenv("AIRLOCK_PUBLIC_URL", url)
    assert check()[1]["address"]["state"] == state


def test_by_socket_mode_an_address_of_this_machine_is_a_note(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRLOCK_PUBLIC_URL", "http://localhost:8080")
    monkeypatch.delenv("AIRLOCK_SLACK_SIGNING_SECRET")
    monkeypatch.setenv("AIRLOCK_SLACK_APP_TOKEN", APP_TOKEN)
    said, lines = check()
    assert (said.code, lines["address"]["state"]) == (0, "note")


def test_approvers_without_a_link_are_named(slack: Slack, tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path}/airlock.db", pooled=False)
    with store.begin() as unit:
        unit.end_link("carla", "2026-11-02T00:00:00.000000Z")
        unit.commit()
    said, lines = check()
    assert (said.code, lines["links"]["state"]) == (0, "note")
    assert lines["links"]["found"].endswith("without: Carla")
    with store.begin() as unit:
        unit.end_link("lena", "2026-11-02T00:00:00.000000Z")
        unit.commit()
    assert "nobody can answer in Slack" in check()[1]["links"]["found"]


def test_links_of_another_workspace_do_not_count(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRLOCK_SLACK_TEAM_ID", "T0009")
    assert check()[1]["links"]["found"].startswith("0 of 2")


def test_the_policy_in_force_is_the_registered_one(slack: Slack, tmp_path: Path) -> None:
    from airlock.config.load import load_rulebook

    document = json.loads(json.dumps(load_rulebook(ROOT / "include").document))
    for tier in document["approval"]["spec"]["tiers"].values():
        tier["slackMayAnswer"] = False
    store = SqlStore(f"sqlite:///{tmp_path}/airlock.db", pooled=False)
    policy_registry.register(store, document, [], "ana")
    assert check()[1]["policy"]["state"] == "note"


def test_without_a_database_the_links_are_not_looked_at(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRLOCK_DATABASE_URL")
    said, lines = check()
    assert (said.code, lines["links"]["state"]) == (0, "note")


def test_slack_that_does_not_answer_ends_with_3(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    slack.status = 503
    said, lines = check()
    assert (said.code, lines["token"]["state"]) == (3, "unknown")
    monkeypatch.setenv("AIRLOCK_SLACK_API_URL", "http://127.0.0.1:9/api/")
    said, lines = check()
    assert (said.code, lines["token"]["state"]) == (3, "unknown")
    assert lines["policy"]["state"] == "ok"


def test_without_slack_it_says_where_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRLOCK_ROOT", str(ROOT))
    said = run_cli("slack", "check")
    assert (said.code, "docs/howto/slack.md" in said.err) == (1, True)


def test_a_connection_that_cannot_be_read_is_a_line_of_its_own(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRLOCK_SLACK_CONNECTION", "slack_airlock")
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        monkeypatch.delenv(name)
    said, lines = check()
    assert (said.code, lines["connection"]["state"]) == (1, "wrong")
    assert lines["token"]["state"] == "ok"
