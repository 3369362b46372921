"""The second channel: what waits in the outbox is sent by Airflow's own SMTP connection, once."""

from __future__ import annotations

import email
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email import policy
from pathlib import Path
from smtplib import SMTPException
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.services.notifications import delivery_failure_alert
from airlock_airflow import SendMailOperator, edge
from airlock_platform.databases.postgres import free_port
from tests.support import ROOT


class Silent(socketserver.BaseRequestHandler):
    """A mail server that takes the connection and says nothing, until who called hangs up."""

    def handle(self) -> None:
        self.request.recv(1)


class Rubbish(socketserver.BaseRequestHandler):
    """A mail server that is none."""

    def handle(self) -> None:
        self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n<html>" + bytes(range(256)))


class Refusing(socketserver.StreamRequestHandler):
    """A mail server that takes no mail, as one whose disk is full."""

    def handle(self) -> None:
        self.wfile.write(b"220 hello\r\n")
        for line in self.rfile:
            self.wfile.write(b"250 ok\r\n" if line[:4].upper() == b"EHLO" else b"452 full\r\n")


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


@contextmanager
def serving(
    handler: type[socketserver.BaseRequestHandler], monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[tuple[list[str], bytes]]]:
    """Let Airflow's connection lead to such a mail server; give what it has taken."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.letters = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        host, port = server.server_address
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", connection(host, port))
        yield server.letters  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


def connection(host: str, port: int) -> str:
    """Return a connection that gives a mail server one second for each answer."""
    extra = {"from_email": "airlock@example.org", "disable_ssl": True, "disable_tls": True}
    extra |= {"timeout": 1, "retry_limit": 1}
    return json.dumps({"conn_type": "smtp", "host": host, "port": port, "extra": extra})


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[list[str], bytes]]]:
    """Return what a mail server on this machine has taken."""
    with serving(Post, monkeypatch) as taken:
        yield taken


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
        delivery_failure_alert.send(
            unit, "a/b", "ops@example.org, b@example.org", "No Slack ü", said
        )
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


@pytest.mark.chaos
@pytest.mark.parametrize("fault", [Silent, Rubbish, Refusing, None], ids=lambda fault: str(fault))
def test_a_mail_server_that_is_ill_fails_the_task_and_the_letter_waits(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, fault: type | None
) -> None:
    with store.begin() as unit:
        delivery_failure_alert.send(unit, "a/b", "ops@example.org", "No Slack", "Slack is away.")
        unit.commit()
    send = SendMailOperator(task_id="send", message="mail/a/b")
    if fault is None:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", connection("127.0.0.1", free_port()))
        with pytest.raises((OSError, SMTPException, AirflowException)):
            send.execute({})
    else:
        with (
            serving(fault, monkeypatch) as taken,
            pytest.raises((OSError, SMTPException, AirflowException)) as failed,
        ):
            send.execute({})
        assert not isinstance(failed.value, AirflowFailException)  # it is tried again
        assert taken == []
    with serving(Post, monkeypatch) as taken:
        send.execute({})
    assert len(taken) == 1


def test_a_mail_server_that_never_ends_costs_a_task_minutes_and_no_more() -> None:
    """What is said byte by byte passes every time limit of a single answer."""
    for task in DagBag(str(ROOT / "dags")).dags["airlock_mail"].tasks:
        assert task.execution_timeout == timedelta(minutes=3)
        assert task.retries == 5
