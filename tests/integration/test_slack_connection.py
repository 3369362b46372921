"""Slack's secrets in a connection of Airflow, over a real metadata database Airflow itself made.

Airflow reads its settings once per process, so it is asked in children, as `airlock slack` does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airlock.adapters.airflow.connection import read
from airlock.domain.errors import Invalid, Unreachable
from tests.support import ROOT

pytestmark = pytest.mark.slack

TOKEN, APP_TOKEN, SECRET = "xoxb-1-abc", "xapp-1-abc", "s3cr3t" * 4
EXTRA = json.dumps({"signing_secret": SECRET, "app_token": APP_TOKEN})
GIVEN: dict[str, dict[str, Any]] = {
    "slack_airlock": {"conn_type": "slack", "password": TOKEN, "extra": EXTRA},
    "generic": {"conn_type": "generic", "password": TOKEN},
    "mail": {"conn_type": "smtp", "password": TOKEN},
    "bare": {"conn_type": "slack", "password": None, "extra": None},
}

#: Makes the database, puts the connections in, and asks for each as the API server does.
_MAKE_AND_ASK = """
import json, os
from airflow import settings
from airflow.models.connection import Connection
from airflow.utils import db
from airflow.utils.session import create_session
from airlock.domain.errors import AirlockError
from airlock_airflow.slack_connection import read, settings_of_the_app
settings.configure_orm()
db.initdb()
with create_session() as session:
    for name, given in json.loads(os.environ["GIVEN"]).items():
        session.add(Connection(conn_id=name, **given))
def ask(name):
    try:
        return read(name)
    except AirlockError as error:
        return [type(error).__name__, error.message, error.next_step]
def app(name):
    from airlock_airflow import edge
    edge.settings.cache_clear()
    os.environ["AIRLOCK_SLACK_CONNECTION"] = name
    slack = settings_of_the_app().slack
    return slack and [slack.bot_token, slack.signing_secret, slack.app_token, slack.channel]
names = [*json.loads(os.environ["GIVEN"]), "nothing", "from_environment"]
answer = {"read": {name: ask(name) for name in names}, "app": {name: app(name) for name in names}}
with open(os.environ["ANSWER"], "w") as stream:
    json.dump(answer, stream)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="module")
def environ(home: Path) -> dict[str, str]:
    """What Airflow is told; Airlock's database is told to this process too, and to no child."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__FERNET_KEY": "z5sTdc0cCnBX0zbdrQk0o4kmu1zbQeM0ycFW9W8pk2o=",
    }


@pytest.fixture(scope="module")
def answers(environ: dict[str, str], home: Path) -> dict[str, dict[str, Any]]:
    """What Airflow's own process finds, by connection."""
    done = subprocess.run(
        [sys.executable, "-c", _MAKE_AND_ASK],
        env=environ
        | {
            "PYTHONPATH": f"{ROOT}/include:{ROOT}/plugins",
            "GIVEN": json.dumps(GIVEN),
            "ANSWER": f"{home}/answer.json",
            "AIRLOCK_SLACK_CHANNEL": "C0001",
            "AIRFLOW_CONN_FROM_ENVIRONMENT": json.dumps(GIVEN["slack_airlock"]),
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for secret in (TOKEN, APP_TOKEN, SECRET):
        assert secret not in done.stdout + done.stderr
    found: dict[str, dict[str, Any]] = json.loads((home / "answer.json").read_text())
    return found


ALL = {"bot_token": TOKEN, "signing_secret": SECRET, "app_token": APP_TOKEN}


@pytest.mark.parametrize("name", ["slack_airlock", "from_environment"])
def test_the_api_server_finds_all_three(answers: dict[str, Any], name: str) -> None:
    assert answers["read"][name] == ALL
    assert answers["app"][name] == [TOKEN, [SECRET], APP_TOKEN, "C0001"]


@pytest.mark.parametrize(
    ("name", "words", "step"),
    [
        ("nothing", "Airflow has no connection 'nothing'", "airflow connections add nothing"),
        ("mail", "of the type 'smtp'; expected slack or generic", "Change its type"),
    ],
)
def test_a_connection_of_no_use_is_named(
    answers: dict[str, Any], name: str, words: str, step: str
) -> None:
    kind, message, advice = answers["read"][name]
    assert (kind, words in message, step in advice) == ("Invalid", True, True), message


@pytest.mark.parametrize("name", ["nothing", "mail", "bare", "generic"])
def test_without_a_usable_one_the_app_goes_on_without_slack(
    answers: dict[str, Any], name: str
) -> None:
    assert answers["app"][name] is None


def test_a_process_without_airflow_asks_a_child(
    answers: dict[str, Any], environ: dict[str, str], tmp_path: Path
) -> None:
    told = environ | {"AIRLOCK_DATABASE_URL": "sqlite:///not-for-the-child"}
    assert read("slack_airlock", ROOT, told) == ALL
    empty = environ | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/no/air.db"}
    with pytest.raises(Unreachable, match="database did not answer"):
        read("slack_airlock", ROOT, empty)


def test_a_child_that_cannot_answer_is_could_not_tell(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="could not be read") as gone:
        read("slack_airlock", tmp_path, {"AIRFLOW_HOME": str(tmp_path)})
    assert "airlock_airflow.slack_connection slack_airlock" in gone.value.next_step


def test_a_process_told_nothing_of_airflow_does_not_look() -> None:
    with pytest.raises(Invalid, match="none of Airflow's settings") as refused:
        read("slack_airlock", ROOT, {"PATH": "/bin"})
    assert "AIRLOCK_SLACK_BOT_TOKEN" in refused.value.next_step


@pytest.mark.parametrize("once", [True, False])
def test_the_process_waits_for_a_connection_that_is_not_right_yet(
    tmp_path: Path, once: bool
) -> None:
    told = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}/include",
        "AIRLOCK_ROOT": str(ROOT),
        "AIRLOCK_SIGNING_KEY": "not-needed-yet.pem",
        "AIRLOCK_SLACK_CONNECTION": "slack_airlock",
    }
    command = [sys.executable, "-m", "airlock.entrypoints.main", "slack", *(["--once"] * once)]
    with subprocess.Popen(command, env=told, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            assert b"none of Airflow's settings" in process.stderr.readline()
            assert (process.wait(20) if once else process.poll()) == (2 if once else None)
        finally:
            process.kill()
