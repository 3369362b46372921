"""The REST API over real HTTP and a real SQLite store."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi.routing import APIRoute
from hypothesis import given, settings
from hypothesis import strategies as st

from airlock.domain.errors import Unreachable
from airlock.entrypoints.http import slack_endpoint
from airlock.entrypoints.http.app import HEALTH
from airlock.services.queries import releases
from tests.integration.door_kit import Doors, running
from tests.support import rounds


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    with running(tmp_path) as found:
        yield found


def test_no_route_answers_anonymously_but_health(doors: Doors) -> None:
    routes = [route for route in doors.app.routes if isinstance(route, APIRoute)]
    assert len(routes) == len(doors.app.routes), "a route of another kind needs its own test"
    http = doors.rest()
    for route in routes:
        path = route.path.replace("{release_id}", "rel-1")
        for method in route.methods:
            answer = http.request(method, f"{doors.url}/airlock{path}")
            expected = {HEALTH: 200, slack_endpoint.PATH: 503}.get(path, 401)  # no Slack here
            assert answer.status_code == expected, f"{method} {path}"


def test_no_route_can_block_the_event_loop(doors: Doors) -> None:
    for route in doors.app.routes:
        assert isinstance(route, APIRoute)
        if route.path != slack_endpoint.PATH:  # it reads raw bytes, and has a thread do the rest
            assert not inspect.iscoroutinefunction(route.endpoint), route.path


@pytest.mark.parametrize("path", ["/nothing", "/api/v1/nothing", "/docs", "/openapi.json", "/"])
def test_even_an_unknown_address_asks_for_a_login(doors: Doors, path: str) -> None:
    assert doors.rest().get(f"{doors.url}/airlock{path}").status_code == 401


def test_a_bad_body_does_not_come_before_the_login(doors: Doors) -> None:
    answer = doors.rest().post("/releases/rel-1/votes", content=b"{not json")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_health_needs_no_login_and_says_when_the_store_is_away(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doors.rest().get("/health").json()["status"] == "healthy"

    def away() -> None:
        raise Unreachable("Airlock's database does not answer")

    monkeypatch.setattr(doors.world.store, "begin", away)
    answer = doors.rest().get("/health")
    assert (answer.status_code, answer.json()["title"]) == (503, "Could not tell")


def test_me_says_roles_and_permissions_held_now(doors: Doors) -> None:
    assert doors.rest("lena").get("/me").json()["roles"] == ["algorithm_lead"]
    doors.folks["lena"] = "viewer"
    assert doors.rest("lena").get("/me").json() == {
        "id": "lena",
        "name": "Lena",
        "roles": ["viewer"],
        "unconfirmed": [],
        "permissions": ["policy:read", "release:read"],
    }


def test_a_release_goes_from_first_vote_to_approved(doors: Doors) -> None:
    release_id = doors.world.open()
    for name in ("lena", "carla", "mara", "milo"):
        waiting = doors.rest(name).get("/releases", params={"waiting": "me"}).json()
        assert [row["id"] for row in waiting] == [release_id]
        answer = doors.rest(name).post(f"/releases/{release_id}/votes", json=doors.body(release_id))
        assert answer.status_code == 201, answer.text
    assert answer.json()["state"] == "APPROVED"
    assert answer.json()["grant"] is None, "an approval is a state: who promotes gets the grant"
    doors.world.promote(release_id, "run-1")
    view = doors.rest("vera").get(f"/releases/{release_id}").json()
    assert (view["state"], view["grant"]["spentAt"] is not None) == ("PROMOTED", True)


def test_the_same_idempotency_key_votes_once_and_answers_the_same(doors: Doors) -> None:
    release_id = doors.world.open()
    body, headers = doors.body(release_id), {"Idempotency-Key": "once"}
    url = f"/releases/{release_id}/votes"
    first = doors.rest("lena").post(url, json=body, headers=headers)
    again = doors.rest("lena").post(url, json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["levels"] == again.json()["levels"]
    other = doors.rest("lena").post(url, json={**body, "decision": "reject"}, headers=headers)
    assert other.status_code == 409
    assert "idempotency key" in other.json()["detail"]


def test_if_match_refuses_an_answer_to_what_has_changed(doors: Doors) -> None:
    release_id = doors.world.open()
    url = f"/releases/{release_id}"
    seen = doors.rest("lena").get(url).headers["etag"]
    doors.world.approve(release_id, "luis")
    body, headers = doors.body(release_id), {"If-Match": seen}
    answer = doors.rest("carla").post(f"{url}/votes", json=body, headers=headers)
    assert (answer.status_code, answer.json()["title"]) == (412, "Changed since you looked")
    headers["If-Match"] = doors.rest("carla").get(url).headers["etag"]
    assert doors.rest("carla").post(f"{url}/votes", json=body, headers=headers).status_code == 201


def test_only_the_requester_withdraws(doors: Doors) -> None:
    release_id = doors.world.open()
    url = f"/releases/{release_id}/withdrawal"
    refused = doors.rest("lena").post(url, json={"reason": "not mine"})
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:airlock:problem:forbidden")
    done = doors.rest("ana").post(url, json={"reason": "wrong data"})
    assert done.json()["state"] == "WITHDRAWN"


BAD_BODIES = {
    "nothing": b"",
    "no object": b"[]",
    "not json": b"{",
    "no utf-8": b'{"reason": "\xff"}',
    "deep": b"[" * 5000,
}

#: A field, and JSON text it must not hold.
BAD_FIELDS = {
    "NUL": ("reason", r'"a\u0000b"'),
    "half a surrogate": ("reason", r'"abc \ud800"'),
    "an escape sequence": ("reason", r'"abc \u001b[2J"'),
    "a number for text": ("reason", "5"),
    "text for a number": ("level", '"1"'),
    "a huge number": ("level", "99999999999999999999999"),
    "infinity": ("level", "Infinity"),
    "a boolean for a number": ("round", "true"),
    "a digest of another kind": ("subjectDigest", '"md5:00"'),
    "a decision that is none": ("decision", '"maybe"'),
    "a field that is none": ("admin", "true"),
}


def _refused_as_bad_input(doors: Doors, release_id: str, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    url = f"/releases/{release_id}/votes"
    answer = doors.rest("lena").post(url, content=content, headers=headers)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert releases.outcome(doors.world.store, release_id).votes == ()


@pytest.mark.parametrize("content", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_body_that_is_none_is_422(doors: Doors, content: bytes) -> None:
    _refused_as_bad_input(doors, doors.world.open(), content)


def test_a_bad_field_is_422_and_never_an_accident(doors: Doors) -> None:
    release_id = doors.world.open()
    for name, raw in BAD_FIELDS.values():
        body = doors.body(release_id)
        body.pop(name, None)
        text = f'{json.dumps(body)[:-1]}, "{name}": {raw}}}'
        _refused_as_bad_input(doors, release_id, text.encode())


@pytest.mark.parametrize(
    "path",
    [
        "/releases/%00",
        "/releases/a%09b",
        "/releases/%ff%fe",
        "/releases/" + "x" * 300,
        "/releases?state=NONE",
        "/releases?model=%00",
        "/releases?limit=0",
        "/releases?limit=many",
        "/audit/events?stream=%00",
        "/audit/events?limit=1001",
    ],
)
def test_bad_addresses_are_422(doors: Doors, path: str) -> None:
    answer = doors.rest("sam").get(path)
    assert (answer.status_code, answer.json()["status"]) == (422, 422), answer.text


def test_a_bad_key_is_422(doors: Doors) -> None:
    release_id = doors.world.open()
    answer = doors.rest("lena").post(
        f"/releases/{release_id}/votes",
        json=doors.body(release_id),
        headers={"Idempotency-Key": "x" * 201},
    )
    assert answer.status_code == 422


def test_a_body_over_64_kb_is_413_whether_its_length_is_stated_or_not(doors: Doors) -> None:
    http, url = doors.rest("lena"), "/releases/rel-1/votes"
    stated = http.post(url, content=b"x" * 70_000)
    streamed = http.post(url, content=(b"x" * 10_000 for _ in range(7)))
    assert (stated.status_code, streamed.status_code) == (413, 413)


def test_an_unknown_release_is_404(doors: Doors) -> None:
    for path in ("/releases/rel-0", "/releases/rel-0/events"):
        answer = doors.rest("vera").get(path)
        assert (answer.status_code, answer.json()["title"]) == (404, "Not found")


def test_the_log_is_read_by_who_may_and_a_refusal_is_in_it(doors: Doors) -> None:
    release_id = doors.world.open()
    refused = doors.rest("vera").get("/audit/events")
    assert (refused.status_code, "audit:read" in refused.json()["detail"]) == (403, True)
    events = doors.rest("sam").get("/audit/events", params={"stream": "access"}).json()
    refusals = [event["who"]["id"] for event in events if event["what"] == "AccessRefused"]
    assert refusals == ["vera"]
    told = doors.rest("vera").get(f"/releases/{release_id}/events").json()
    assert [event["what"] for event in told][:2] == ["ReleaseRequested", "GatesJudged"]
    report = doors.rest("sam").get("/audit/verification").json()
    assert (report["ok"], report["releases"]) == (True, 1)


def test_the_policy_in_force_is_shown_with_its_digest(doors: Doors) -> None:
    found = doors.rest("vera").get("/policy").json()
    assert found["digest"] == doors.world.rulebook.digest
    assert found["document"]["approval"]["spec"]["grantHours"] == 336


def test_somebody_without_a_role_is_refused_and_logged(doors: Doors) -> None:
    doors.folks["eve"] = "nobody"
    assert doors.rest("eve").get("/releases").status_code == 403
    assert doors.rest("eve").get("/me").json()["roles"] == []


def test_openapi_declares_security_and_refusals_on_every_route(doors: Doors) -> None:
    document = doors.rest("vera").get(f"{doors.url}/airlock/api/openapi.json").json()
    assert document["servers"] == [{"url": "/airlock"}]
    assert set(document["components"]["securitySchemes"]) == {"HTTPBearer", "APIKeyCookie"}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path == HEALTH:
                continue
            assert operation["security"] == [{"HTTPBearer": []}, {"APIKeyCookie": []}], path
            wanted = {"401"} if path.endswith("openapi.json") else {"401", "403", "404", "422"}
            assert wanted <= set(operation["responses"]), path


def test_an_accident_tells_nothing_about_the_inside(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret path /etc/airlock")

    monkeypatch.setattr(releases, "listing", broken)
    for client, path in ((doors.rest("vera"), "/releases"), (doors.page("vera"), "/releases")):
        answer = client.get(path)
        assert answer.status_code == 500
        assert "incident" in answer.text
        assert "secret" not in answer.text


def test_without_a_signing_key_nothing_is_decided(doors: Doors) -> None:
    release_id = doors.world.open()
    doors.app.state.airlock.signer = None
    answer = doors.rest("lena").post(f"/releases/{release_id}/votes", json=doors.body(release_id))
    assert (answer.status_code, "signing key" in answer.json()["detail"]) == (503, True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def test_no_input_is_an_accident(doors: Doors) -> None:
    release_id = doors.world.open()
    body, http = doors.body(release_id), doors.rest("vera")

    @settings(max_examples=rounds(40, 150), deadline=None)
    @given(st.sampled_from(sorted(body)), JSON, st.text(max_size=40))
    def hold(name: str, value: object, address: str) -> None:
        content = json.dumps({**body, name: value}).encode()
        answer = http.post(
            f"/releases/{release_id}/votes",
            content=content,
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code in (403, 409, 422), answer.text
        found = http.get(f"/releases/{quote(address, safe='')}")
        assert found.status_code < 500, found.text

    hold()
    assert releases.outcome(doors.world.store, release_id).votes == ()
