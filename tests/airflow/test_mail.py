"""The second channel: what waits in the outbox is sent by Airflow's own SMTP connection, once."""

from __future__ import annotations

import email
import json
import socketserver
import threading
from collections.abc import Iterator
from email import policy
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.services import chat_alarm
from airlock_airflow import SendMailOperator, edge


class Post(socketserver.StreamRequestHandler):
    """Takes a letter as a mail server does; the server keeps it."""

    def handle(self) -> None:
        self.say(b"220 hello")
        to: list[str] = []
        for line in self.rfile:
            word, _, rest = line.strip().partition(b" ")
            if word.upper() == b"RCPT":
                to.append(rest.decode().partition("<")[2].rstrip(">"))
            if word.upper() == b"DATA":
                self.say(b"354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.letters.append((to, b"".join(lines)))  # type: ignore[attr-defined]
            self.say(b"221 bye" if word.upper() == b"QUIT" else b"250 ok")

    def say(self, line: bytes) -> None:
        self.wfile.write(line + b"\r\n")


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[list[str], bytes]]]:
    """Return what a mail server on this machine has taken."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Post) as server:
        server.daemon_threads = True
        server.letters = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        extra = {"from_email": "airlock@example.org", "disable_ssl": True, "disable_tls": True}
        host, port = server.server_address
        connection = {"conn_type": "smtp", "host": host, "port": port, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
        yield server.letters  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqlStore]:
    url = f"sqlite:///{tmp_path}/airlock.db"
    upgrade(url)
    monkeypatch.setenv("AIRLOCK_DATABASE_URL", url)
    for known in (edge.settings, edge.airlock):
        known.cache_clear()
    yield SqlStore(url, pooled=False)
    for known in (edge.settings, edge.airlock):
        known.cache_clear()


def test_what_waits_is_sent_to_whom_it_is_for(store: SqlStore, letters: list[Any]) -> None:
    with store.begin() as unit:
        said = "Slack refuses <everything>.\nMend it."
        chat_alarm.send(unit, "a/b", "ops@example.org, b@example.org", "No Slack ü", said)
        unit.commit()
    SendMailOperator(task_id="send", message="mail/a/b").execute({})
    ((to, raw),) = letters
    assert to == ["ops@example.org", "b@example.org"]
    letter = email.message_from_bytes(raw, policy=policy.default)
    assert letter["subject"] == "No Slack ü"
    assert letter["from"] == "airlock@example.org"
    body = letter.get_body(("html",))
    assert body is not None
    assert "&lt;everything&gt;.<br>" in body.get_content()


def test_nothing_else_can_be_sent(store: SqlStore, letters: list[Any]) -> None:
    with store.begin() as unit:
        unit.post("note", "mail/not", {"to": "x@example.org", "subject": "s", "text": "t"})
        unit.commit()
    for message in ("mail/unknown", "mail/not"):
        with pytest.raises(AirflowFailException, match="no e-mail waits"):
            SendMailOperator(task_id="send", message=message).execute({})
    assert letters == []
