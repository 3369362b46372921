"""A whole second platform for tests, driven as users drive it: through Airflow's REST API."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.config.load import load_pipelines, load_rulebook, protected_aliases
from airlock.domain.approval.policy import Rulebook
from airlock.domain.people.actors import Channel
from airlock.entrypoints.demo import people as demo_people
from airlock.entrypoints.presentation.progress import Steps
from airlock.services.people import enrolment
from airlock_platform.components import Component, airlock_environment
from airlock_platform.databases.postgres import free_port
from airlock_platform.lifecycle import Launch, down
from airlock_platform.paths import HEALTH_PORT_OFFSET
from airlock_platform.people import PEOPLE
from airlock_platform.platform import Health, Options, Platform
from airlock_platform.processes import process_group
from airlock_platform.processes.supervisor import base_environment
from tests.slack.kit import Workspace, workspace

FINAL = ("success", "failed")


class AirflowAPI:
    """A small client of Airflow's REST API, as one logged-in user."""

    def __init__(self, url: str, users: dict[str, str]) -> None:
        self.url = url
        self.users = users
        self._clients: dict[str, httpx.Client] = {}

    def login(self, user: str) -> str:
        """Return a token for *user*."""
        answer = httpx.post(
            f"{self.url}/auth/token",
            json={"username": user, "password": self.users[user]},
            timeout=30,
        )
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def as_user(self, user: str = "admin") -> httpx.Client:
        """Return an HTTP client logged in as *user*; statuses are not checked."""
        if user not in self._clients:
            headers = {"Authorization": f"Bearer {self.login(user)}"}
            self._clients[user] = httpx.Client(base_url=self.url, headers=headers, timeout=60)
        return self._clients[user]

    def get(self, path: str, *, user: str = "admin", **parameters: Any) -> Any:
        """GET a path below /api/v2 and return its JSON."""
        answer = self.as_user(user).get(f"/api/v2/{path}", params=parameters)
        answer.raise_for_status()
        return answer.json()

    def patch(self, path: str, body: dict[str, Any], *, user: str = "admin") -> httpx.Response:
        """PATCH a path below /api/v2; the caller looks at the status."""
        return self.as_user(user).patch(f"/api/v2/{path}", json=body)

    def trigger(self, dag: str, conf: dict[str, Any] | None = None, *, user: str = "admin") -> str:
        """Start a run of *dag* and return its id."""
        client = self.as_user(user)
        client.patch(f"/api/v2/dags/{dag}", json={"is_paused": False})
        body = {"logical_date": None, "conf": conf or {}}
        answer = client.post(f"/api/v2/dags/{dag}/dagRuns", json=body)
        answer.raise_for_status()
        return str(answer.json()["dag_run_id"])

    def run_state(self, dag: str, run: str) -> str:
        """Return the state of a run."""
        return str(self.get(f"dags/{dag}/dagRuns/{run}")["state"])

    def task_instances(self, dag: str, run: str) -> dict[str, dict[str, Any]]:
        """Return the task instances of a run; mapped ones under `task[index]`."""
        rows = self.get(f"dags/{dag}/dagRuns/{run}/taskInstances", limit=100)["task_instances"]
        return {
            row["task_id"] if row["map_index"] < 0 else f"{row['task_id']}[{row['map_index']}]": row
            for row in rows
        }

    def xcom(self, dag: str, run: str, task: str, key: str = "return_value") -> Any:
        """Return what a task left for others."""
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/{key}"
        return self.get(path, deserialize=True)["value"]

    def log(self, dag: str, run: str, task: str, attempt: int = 1) -> str:
        """Return a task's log as text."""
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/logs/{attempt}"
        lines = self.get(path, full_content=True)["content"]
        return "\n".join(str(line.get("event", line)) for line in lines)

    def await_run(self, dag: str, run: str, seconds: float = 180) -> str:
        """Wait for a run to end and return its state."""
        return self.wait(
            lambda: state if (state := self.run_state(dag, run)) in FINAL else "",
            f"the end of {dag} {run}",
            seconds,
        )

    def await_task(self, dag: str, run: str, task: str, state: str, seconds: float = 180) -> None:
        """Wait until a task is in *state*."""

        def there() -> bool:
            found = self.task_instances(dag, run).get(task, {}).get("state")
            return bool(found == state)

        self.wait(there, f"{task} of {dag} {run} to be {state}", seconds)

    @staticmethod
    def wait(question: Any, what: str, seconds: float) -> Any:
        """Ask until the answer is true, or fail saying what was waited for.

        The pauses grow: each question costs the platform that is waited for.
        """
        deadline = time.monotonic() + seconds
        pause = 0.2
        while not (answer := question()):
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
            time.sleep(pause)
            pause = min(pause * 1.3, 1.5)
        return answer


@dataclass
class RunningPlatform:
    """The second platform: its addresses, its people, and how to hurt it."""

    platform: Platform
    chat: Workspace | None = None
    airflow: AirflowAPI = field(init=False)
    #: What Airflow could not import, by file; known once the platform is up.
    import_errors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        users = {entry["user"]: entry["password"] for entry in self.platform.secrets.users()}
        users["airlock-service"] = self.platform.secrets.service_password()
        self.airflow = AirflowAPI(self.platform.site().airflow_url, users)

    @property
    def slack(self) -> Workspace:
        """The workspace in which this platform speaks."""
        assert self.chat is not None, "this platform was started without Slack"
        return self.chat

    @property
    def users(self) -> dict[str, str]:
        return self.airflow.users

    @property
    def home(self) -> Path:
        return self.platform.options.home

    def mlflow_client(self, user: str = "ana") -> Any:
        """Return MLflow's own client, logged in as *user* with a token from Airlock."""
        from mlflow import MlflowClient

        answer = self.airflow.as_user(user).post("/airlock/api/v1/mlflow-token", json={})
        answer.raise_for_status()
        os.environ["MLFLOW_TRACKING_USERNAME"] = user
        os.environ["MLFLOW_TRACKING_PASSWORD"] = answer.json()["token"]
        return MlflowClient(self.mlflow_uri)

    @property
    def mlflow_uri(self) -> str:
        return self.platform.site().mlflow_url

    @property
    def env(self) -> dict[str, str]:
        """Return the environment for running the `airlock` command against this platform."""
        options = self.platform.options
        ports = {
            "AIRLOCK_AIRFLOW_PORT": str(options.airflow_port),
            "AIRLOCK_MLFLOW_PORT": str(options.mlflow_port),
            "AIRLOCK_POSTGRES_PORT": str(options.postgres_port),
        }
        told = airlock_environment(self.platform.site())
        told.pop("AIRLOCK_SERVICE_USER_ID", None)
        chat = self.chat.environment() if self.chat else {}
        return base_environment(options.programs) | told | ports | chat

    def url(self, role: str, database: str = "") -> str:
        """Return the database URL of a role."""
        return self.platform.server().url(role, database)

    def part(self, name: str) -> Component:
        return next(part for part in self.platform.parts() if part.name == name)

    def health(self) -> dict[str, Health]:
        return {row.name: row for row in self.platform.health()}

    def problems(self) -> dict[str, str]:
        """Return what is not well, by process."""
        return lasting(
            lambda: {row.name: row.problem for row in self.platform.health() if row.problem}
        )

    def up(self) -> None:
        """Do what `airlock demo` does before its first release."""
        start(self.platform)
        self.enrol()

    def enrol(self) -> None:
        """Enrol the demo people, as the demo does it, and wait for the pipelines."""
        config = self.platform.site().config_dir
        rulebook = Rulebook.from_document(load_rulebook(Path(config)).document)
        roles = demo_people.roles_of(rulebook)
        store = SqlStore(self.url("airlock_owner"), pooled=False)
        demo_people.wait(
            lambda: demo_people.accounts_observed(store, roles), "the accounts to be seen"
        )
        registrars = {name: roles[name] for name in demo_people.REGISTRARS}
        for name in demo_people.missing(store, registrars):
            enrolment.first(store, rulebook, name, roles[name], "a test needs it")
        if waiting := demo_people.missing(store, roles):
            text = demo_people.file_of({name: roles[name] for name in waiting})
            with store.begin() as unit:
                people = {person.id: person.acting(Channel.API) for person in unit.people()}
            first, second = (people[name] for name in registrars)
            digest, _ = enrolment.import_file(store, rulebook, first, text)
            enrolment.confirm_file(store, rulebook, second, digest, "a test needs it")
        pipelines = load_pipelines(Path(config), self.platform.options.root).valid
        digests = [one.digest for one in pipelines if one.owner in roles]
        demo_people.wait(lambda: demo_people.registered(store, digests), "the pipelines")

    def run_at(self, crons: dict[str, str]) -> None:
        """Let pipelines run when *crons* say, and wait until Airflow and Airlock know it.

        One that is not there is a copy of doctor-visits.
        """
        folder = Path(self.platform.site().config_dir)
        for name, cron in crons.items():
            file = self.pipeline_file(name)
            source = file if file.exists() else self.pipeline_file("doctor-visits")
            text = source.read_text().replace(f"name: {source.stem}", f"name: {name}")
            file.write_text(re.sub(r'cron: "[^"]*"', f'cron: "{cron}"', text))

        def known() -> bool:
            rows = self.airflow.get("dags", limit=100)["dags"]
            told = {row["dag_id"]: row["timetable_summary"] for row in rows}
            return {name: told.get(name) for name in crons} == crons

        self.airflow.wait(known, f"the schedules {crons} to be Airflow's", 240)
        pipelines = load_pipelines(folder, self.platform.options.root).valid
        store = SqlStore(self.url("airlock_owner"), pooled=False)
        digests = [one.digest for one in pipelines if one.name in crons]
        demo_people.wait(lambda: demo_people.registered(store, digests), "the pipelines")

    def pipeline_file(self, name: str) -> Path:
        return Path(self.platform.site().config_dir) / "pipelines" / f"{name}.yaml"

    def down(self) -> None:
        with Steps() as steps:
            down(self.platform, steps)

    def kill(self, name: str) -> int:
        """Kill a process of the platform as `kill -9` does; return its id."""
        pid = self.platform.supervisor.processes(name)["child"]
        os.kill(pid, signal.SIGKILL)
        return pid

    def restart(self, name: str) -> None:
        """Stop a process in order, and start it again."""
        self.platform.supervisor.stop([name])
        self.up()

    def leftovers(self) -> list[int]:
        """Return the process ids still carrying this platform's mark."""
        return process_group.marked(str(self.home))

    def await_imports(self, seconds: float = 120) -> dict[str, str]:
        """Wait until every DAG file was read once; return the import errors by file.

        A file may hold no DAG at all, so an answer that stays the same for 20 s counts too.
        """
        wanted = sum(
            1 for folder in self._dag_folders() for _ in filter(_has_dag, folder.glob("*.py"))
        )
        seen: list[set[str]] = [set()]
        changed = [time.monotonic()]

        def parsed() -> bool:
            rows = self.airflow.get("dags", limit=1000)["dags"]
            files = {row["fileloc"] for row in rows} | set(self._read_import_errors())
            if files != seen[0]:
                seen[0], changed[0] = files, time.monotonic()
            return len(files) >= wanted or time.monotonic() - changed[0] > 20

        self.airflow.wait(parsed, "the DAG files to be read", seconds)
        self.import_errors = self._read_import_errors()
        return self.import_errors

    def _dag_folders(self) -> list[Path]:
        options = self.platform.options
        return [options.root / "dags", *(Path(folder) for folder in options.own_dags)]

    def _read_import_errors(self) -> dict[str, str]:
        rows = self.airflow.get("importErrors", limit=1000)["import_errors"]
        return {row["filename"]: row["stack_trace"] for row in rows}


def lasting(ask: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Return the problems that stay: a process that is only late on a busy machine is asked again.

    *ask* returns process -> what is wrong with it.
    """
    for _ in range(30):
        problems = ask()
        if not problems:
            break
        time.sleep(2)
    return problems


def _has_dag(file: Path) -> bool:
    """Return what Airflow's own quick look decides: a file without both words is not read.

    One of ours is read and holds no DAG: it shows what is refused, and nothing of ours is.
    """
    text = file.read_text().lower()
    return "airflow" in text and "dag" in text and "there is no dag here" not in text


def own_config(home: Path, root: Path) -> Path:
    """Return a copy of the policies and pipelines, so that a test can change when one runs."""
    for part in ("policies", "pipelines"):
        shutil.copytree(root / "include" / part, home / "include" / part)
    return home / "include"


def options_for(home: Path, root: Path, *dags: Path) -> Options:
    """Return the options of a second platform on free ports."""
    return Options(
        root=root,
        home=home,
        programs=Path(sys.executable).parent,
        airflow_port=free_airflow_port(),
        mlflow_port=free_port(),
        postgres_port=free_port(),
        own_dags=tuple(str(folder) for folder in dags),
    )


def free_airflow_port() -> int:
    while True:
        port = free_port()
        with socket.socket() as probe, contextlib.suppress(OSError, OverflowError):
            probe.bind(("127.0.0.1", port + HEALTH_PORT_OFFSET))
            return port


def start(platform: Platform) -> None:
    """Start everything, with the demo's people; it is written down as `airlock up` does it."""
    with Steps() as steps:
        Launch(platform, steps, upgrade).up(PEOPLE)


@contextlib.contextmanager
def running(home: Path, root: Path, *dags: Path, slack: bool = False) -> Iterator[RunningPlatform]:
    """Run a platform for as long as the block lasts; nothing of it stays behind.

    *slack*: with a workspace that is told of releases, and sends what people click there.
    """
    options = options_for(home, root, *dags)
    with contextlib.ExitStack() as around:
        chat = around.enter_context(workspace(options.airflow_port)) if slack else None
        told = chat.environment() if chat else {}
        config = own_config(home, root)
        aliases = protected_aliases(config, "")
        platform = Platform(
            replace(options, slack=told, config_dir=config, protected_aliases=aliases)
        )
        try:
            start(platform)
            found = RunningPlatform(platform, chat)
            found.enrol()
            yield found
        finally:
            with Steps() as steps:
                down(platform, steps)
            shutil.rmtree(home, ignore_errors=True)
