"""make test-compose: start docker-compose.yml for real, release one model, look for secrets.

    python -m tests.compose [--keep]

Says what it does and how long that took; ends with 1 and a sentence for what does not hold. With
--keep the containers stay. Nothing of this machine is changed but podman's images and packages.
"""

from __future__ import annotations

import secrets as random
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from airlock.domain.errors import Unreachable
from airlock.entrypoints.client import AIRLOCK, Client, log_in
from tests.compose import machine, search, train_tries
from tests.compose.platform import AIRFLOW_PORT, RUNNING, Containers

AIRFLOW = f"http://127.0.0.1:{AIRFLOW_PORT}"
PIPELINE = "doctor-visits"
PEOPLE = {"ana": "developer", "lena": "algorithm_lead", "sam": "security_auditor"}
#: The tasks that run the model team's own code. The image of this test has a gate that needs it.
TEAM_CODE = {"validate_data", "train", "run_team_code"}
_PATIENCE = 1800.0


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is done and how long it took."""
    print(f"  {what} ...", flush=True)
    begun = time.monotonic()
    yield
    print(f"  {what}: {time.monotonic() - begun:.0f} s", flush=True)


def expect(holds: bool, what: str) -> None:
    """End with a sentence unless something holds."""
    if not holds:
        raise SystemExit(f"test-compose: {what}")
    print(f"    ok: {what}", flush=True)


def wait(question: Callable[[], Any], what: str) -> Any:
    """Ask until the answer is true."""
    deadline = time.monotonic() + _PATIENCE
    while not (answer := _asked(question)):
        expect_quiet(time.monotonic() < deadline, f"waited {_PATIENCE:.0f} s for {what}")
        time.sleep(2)
    return answer


def _asked(question: Callable[[], Any]) -> Any:
    """Ask once; a server on a busy machine may not answer in time, and is asked again."""
    try:
        return question()
    except Unreachable:
        return None


class Walk:
    """One release from trigger to promoted, by people who log in as people do."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self._admin = self._login("admin", (containers.secrets / "admin_password").read_text())
        self._people = {name: self._account(name, role) for name, role in PEOPLE.items()}
        self._enrol("lena", "algorithm_lead")

    def _login(self, user: str, password: str) -> Client:
        return Client(log_in(AIRFLOW, user, password))

    def _enrol(self, name: str, role: str) -> None:
        """Have an approver enrolled by two, whom the owner's credential has enrolled first."""
        for able, whose in (("admin", "admin"), ("sam", "security_auditor")):
            enrol = ("airlock", "person", "enrol", able, "--role", whose)
            self._containers.once("operator", *enrol, "--reason", "the first people", "--first")
        wanted = {"person": name, "role": role, "reason": "leads the team"}
        made = self._admin.post(f"{AIRLOCK}/enrolments", wanted, key=uuid.uuid4().hex)
        path = f"{AIRLOCK}/enrolments/{made['id']}/confirmation"
        self._people["sam"].post(path, {"reason": "I know her"}, key=uuid.uuid4().hex)

    def _account(self, name: str, role: str) -> Client:
        password = random.token_urlsafe(18)
        body = {
            "username": name, "first_name": name.title(), "last_name": "Tester",
            "email": f"{name}@example.org", "roles": [{"name": role}], "password": password,
        }  # fmt: skip
        self._admin.post("/auth/fab/v1/users", body)
        return self._login(name, password)

    def train(self) -> str:
        """Start a run and return it when its release waits for people."""
        known = wait(lambda: self._dag(), f"the DAG {PIPELINE} to be read")
        expect(not known["has_import_errors"], "the DAG is read without errors")
        body = {"logical_date": None, "conf": {}}
        run = self._people["ana"].post(f"/api/v2/dags/{PIPELINE}/dagRuns", body)["dag_run_id"]
        wait(lambda: self._waits(run), "the approval of level 1")
        return str(run)

    def _dag(self) -> Any:
        found = self._admin.get("/api/v2/dags")["dags"]
        return next((one for one in found if one["dag_id"] == PIPELINE), None)

    def _tasks(self, run: str) -> dict[str, dict[str, Any]]:
        path = f"/api/v2/dags/{PIPELINE}/dagRuns/{run}/taskInstances?limit=100"
        return {one["task_id"]: one for one in self._admin.get(path)["task_instances"]}

    def _waits(self, run: str) -> bool:
        tasks = self._tasks(run)
        failed = [
            name for name, one in tasks.items() if one["state"] in ("failed", "upstream_failed")
        ]
        if failed:
            self._show(run, [name for name in failed if tasks[name]["state"] == "failed"])
        expect_quiet(not failed, f"no task failed, but {failed} did")
        return bool(tasks["approval.level_1"]["state"] == "awaiting_input")

    def _show(self, run: str, failed: list[str]) -> None:
        for name in failed:
            path = f"/api/v2/dags/{PIPELINE}/dagRuns/{run}/taskInstances/{name}/logs/1"
            for line in self._admin.get(f"{path}?full_content=true")["content"][-25:]:
                print(f"      {name}: {line.get('event', line)}"[:400], flush=True)

    def queues(self, run: str) -> dict[str, str]:
        """Return which queue each task that ran was on."""
        return {
            name: one["queue"]
            for name, one in self._tasks(run).items()
            if one["state"] in ("success", "awaiting_input")
        }

    def approve(self, run: str) -> str:
        """Approve the run's release and return its id when the run is over."""
        view = self._release(run)
        body = {
            "decision": "approve", "reason": "measured and read", "level": view["level"],
            "round": view["round"], "subjectDigest": view["subject"]["digest"],
        }  # fmt: skip
        path = f"{AIRLOCK}/releases/{view['id']}"
        self._people["lena"].post(f"{path}/votes", body, key=uuid.uuid4().hex)
        wait(lambda: self._state(run) in ("success", "failed"), "the run to end")
        return str(self._admin.get(path)["state"])

    def _release(self, run: str) -> dict[str, Any]:
        found = self._people["lena"].get(f"{AIRLOCK}/releases")
        rows = found["releases"] if isinstance(found, dict) else found
        one = next(
            row for row in rows if str(row.get("origin", "")).endswith(run) or len(rows) == 1
        )
        view: dict[str, Any] = self._people["lena"].get(f"{AIRLOCK}/releases/{one['id']}")
        return view

    def _state(self, run: str) -> str:
        return str(self._admin.get(f"/api/v2/dags/{PIPELINE}/dagRuns/{run}")["state"])


def expect_quiet(holds: bool, what: str) -> None:
    """End with a sentence unless something holds; say nothing otherwise."""
    if not holds:
        raise SystemExit(f"test-compose: {what}")


def look(containers: Containers) -> None:
    """Hold what every container really has against the table."""
    expect(search.held(containers, "scheduler", "jwt_secret"), "the search finds what is there")
    wrong, pairs, places = search.leaks(containers)
    for line in wrong:
        print(f"    LEAK {line}", flush=True)
    expect(not wrong, f"no secret where it must not be ({pairs} pairs, {places} places looked at)")
    for service, one in search.limits(containers).items():
        expect_quiet(bool(one["read_only"]), f"{service} can write its image")
        print(f"    {service}: {one}", flush=True)


def walk(containers: Containers) -> None:
    """Release one model, and look while everything runs."""
    with step("people"):
        people = Walk(containers)
    with step("from trigger to awaiting approval"):
        run = people.train()
    queues = people.queues(run)
    print(f"    {queues}", flush=True)
    on_train = {name for name, queue in queues.items() if queue == "train"}
    expect(on_train == TEAM_CODE, "team code ran on the queue train, all else on airlock")
    expect("gates.reproducibility" in queues, "what was trained again there is judged on airlock")
    with step("from the vote to the end of the run"):
        state = people.approve(run)
    expect(state == "PROMOTED", f"the release is promoted (found {state})")


def main(arguments: list[str]) -> int:
    """Do it all."""
    machine.refuse_elsewhere()
    with step("podman"):
        machine.install()
    with step("base images"):
        machine.base_images()
    with step("image"):
        machine.image()
    containers = Containers(machine.FOLDER / "secrets")
    containers.down()
    try:
        machine.run("sh", "deploy/make-secrets.sh", str(containers.secrets))
        with step(f"{len(RUNNING)} containers made"):
            containers.create()
        with step("all of them healthy"):
            containers.start()
        walk(containers)
        with step("what the queue train tries"):
            for what, refused in train_tries.results(containers):
                expect(refused, what)
        with step("secrets"):
            look(containers)
    finally:
        if "--keep" not in arguments:
            containers.down()
    print("test-compose: all of it holds", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
