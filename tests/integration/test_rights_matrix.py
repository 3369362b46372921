"""Every person against every operation on every surface: who may is who can, nobody else.

The people stand for the roles (`door_kit.FOLKS`): one has each, and Airlock gives rights to roles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute

from tests.integration.door_kit import FOLKS, Doors, running, with_real_keys
from tests.integration.duty_kit import WRITES, Write
from tests.support import sample

API = "/api/v1"
EVERYBODY = frozenset(FOLKS)
AUDITORS = frozenset({"sam"})

#: What can be read -> who may.
READS = {
    "/me": EVERYBODY,
    "/releases": EVERYBODY,
    "/releases/{release_id}": EVERYBODY,
    "/releases/{release_id}/events": EVERYBODY,
    "/releases/{release_id}/recomputation": EVERYBODY,
    "/policy": EVERYBODY,
    "/released/{model}/{environment}": EVERYBODY,
    "/delegations": EVERYBODY,
    "/findings": EVERYBODY,
    "/me/slack": EVERYBODY,
    "/audit/events": AUDITORS,
    "/audit/verification": AUDITORS,
    "/audit/proof": AUDITORS,
    "/people": frozenset({"admin"}),
    "/people/look-alikes": frozenset({"admin"}),
    "/enrolments": frozenset({"admin"}),
    "/accounts": frozenset(),  # Airlock's own account alone: see test_accounts_route.py
    "/people/{person_id}/rights": frozenset({"admin", "lena"}),  # one's own need no permission
}
#: What a command of the command line reads.
COMMANDS = {
    "/me": ("whoami",),
    "/releases": ("release", "list"),
    "/releases/{release_id}": ("release", "show", "{release_id}"),
    "/releases/{release_id}/recomputation": ("gate", "recompute", "{release_id}"),
    "/delegations": ("delegate", "list"),
    "/findings": ("finding", "list"),
    "/people": ("person", "list"),
    "/audit/events": ("audit", "list"),
    "/audit/verification": ("audit", "verify"),
    "/people/{person_id}/rights": ("user", "roles", "lena"),
}
#: What the page shows.
PAGES = (
    *("/releases", "/releases/{release_id}", "/releases/{release_id}/evidence"),
    *("/delegations", "/findings", "/approvers", "/slack", "/zone", "/releases/{release_id}/code"),
    "/log",
)
#: What concerns the account in Slack: see test_slack_link.py.
SLACK = {
    ("POST", "/me/slack/code"),
    ("DELETE", "/me/slack"),
    ("DELETE", "/people/{person_id}/slack"),
}
SLACK_PAGES = {
    ("POST", "/slack/code"),
    ("POST", "/slack/end"),
    ("GET", "/releases/{release_id}/review"),
}
#: Plots and model cards, by digest: see test_release_evidence.py; the reader's zone.
OTHER_PAGES = {("GET", "/releases/{release_id}/files/{digest}"), ("POST", "/zone")}


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with running(tmp_path_factory.mktemp("doors")) as found:
        with_real_keys(found)
        yield found


@pytest.fixture(scope="module")
def release_id(doors: Doors) -> str:
    return doors.open("read")


def filled(path: str, release_id: str) -> str:
    names = {
        "release_id": release_id,
        "person_id": "lena",
        "model": "m",
        "environment": "production",
    }
    return re.sub(r"{(\w+)}", lambda found: names[found[1]], path)


def test_the_tables_name_every_operation(doors: Doors) -> None:
    routes = [route for route in doors.app.routes if isinstance(route, APIRoute)]
    api = {(m, r.path) for r in routes for m in r.methods if r.path.startswith(API)}
    named = {("GET", f"{API}{path}") for path in READS}
    named.add(("POST", f"{API}/mlflow-token"))  # changes nothing: see test_mlflow_token.py
    named |= {(method, f"{API}{path}") for method, path in SLACK}
    for write in WRITES.values():
        shapes = (
            "release_id",
            "delegation_id",
            "finding_id",
            "person_id",
            "enrolment_id",
            "digest",
        )
        wanted = {f"{API}{write.path.replace('{id}', f'{{{name}}}')}" for name in shapes}
        named |= {("POST", path) for _, path in api if path in wanted}
    assert named == api - {("GET", f"{API}/health")}
    pages = {(m, r.path) for r in routes for m in r.methods if not r.path.startswith("/api")}
    shown = {("GET", path) for path in PAGES}
    forms = {path.removeprefix(API) for method, path in named if method == "POST"}
    forms -= {"/audit/export", "/releases/{release_id}/rollback"}
    forms -= {"/releases/{release_id}/evidence", "/people/{person_id}/erasure", "/mlflow-token"}
    forms.remove("/me/slack/code")
    others = {(m, p) for m, p in pages if p == "/" or p.startswith("/static/")}
    others.add(("POST", "/slack/interactions"))  # signed by Slack: see test_slack_abuse.py
    assert pages - others == shown | {("POST", path) for path in forms} | SLACK_PAGES | OTHER_PAGES


@pytest.mark.parametrize("path", READS)
def test_who_may_read(doors: Doors, release_id: str, path: str) -> None:
    query = {"stream": release_id, "seq": 1} if path == "/audit/proof" else None
    for user in FOLKS:
        answer = doors.rest(user).get(filled(path, release_id), params=query)
        able = user in READS[path]
        assert (answer.status_code != 403) == able, f"{user}: {answer.status_code} {answer.text}"
        assert answer.status_code < 500
        if path in COMMANDS:
            said = doors.cli(user, *(filled(word, release_id) for word in COMMANDS[path]))
            assert (said.code == 0) == able, f"{user}: {said.err}"
    nobody = doors.rest().get(filled(path, release_id), params=query)
    assert nobody.status_code == 401


@pytest.mark.parametrize("path", PAGES)
def test_who_may_look_at_a_page(doors: Doors, release_id: str, path: str) -> None:
    for user in FOLKS:
        able = path != "/log" or user in AUDITORS
        assert doors.page(user).get(filled(path, release_id)).status_code == (200 if able else 403)
        log = 'href="/airlock/log"' in doors.page(user).get("/releases").text
        assert log == (user in AUDITORS), "nobody is led to a page that is refused"
    assert doors.page().get(filled(path, release_id)).status_code == 401


def _may(doors: Doors, write: Write, user: str, surface: str) -> bool:
    """Try a change on something made for it, and say whether it was done."""
    one = write.prepare(doors)
    path = write.path.replace("{id}", one)
    if surface == "rest":
        answer = doors.rest(user).post(path, json=write.body(doors, one))
        assert answer.status_code in (write.status, 403), f"{user}: {answer.text}"
        return answer.status_code == write.status
    if surface == "page":
        assert write.form is not None
        form = {**write.form(doors, one), "key": f"{user}-{one or path}"}
        answer = doors.page(user).post(path, data=form)
        assert answer.status_code in (303, 403), f"{user}: {answer.status_code} {answer.text}"
        return answer.status_code == 303
    said = doors.cli(user, *write.command(doors, one))
    if write.path.endswith("/rollback") and "Going back to version" in said.out:
        return True  # what follows is Airflow's part
    assert said.code in (0, 1), f"{user}: {said.err}"
    return said.code == 0


#: In `make test` each change by REST, and one in four of those by command and by form.
SURFACES = [
    pytest.param(name, surface, id=f"{name} by {surface}")
    for surface, every in (("rest", 1), ("cli", 4), ("page", 4))
    for name, write in sample(WRITES.items(), every)
    if surface != "page" or write.form is not None
]


@pytest.mark.parametrize(("name", "surface"), SURFACES)
def test_who_may_change(doors: Doors, name: str, surface: str) -> None:
    write = WRITES[name]
    able = {user for user in FOLKS if _may(doors, write, user, surface)}
    assert able == write.able


@pytest.mark.parametrize("name", WRITES)
def test_nobody_changes_anything_without_a_login(doors: Doors, name: str) -> None:
    write = WRITES[name]
    one = write.prepare(doors)
    path = write.path.replace("{id}", one)
    assert doors.rest().post(path, json=write.body(doors, one)).status_code == 401
    if write.form is not None:
        form = {**write.form(doors, one), "key": "k"}
        assert doors.page().post(path, data=form).status_code == 401
