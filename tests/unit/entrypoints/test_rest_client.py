from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from airlock.domain import errors
from airlock.entrypoints import client as module
from airlock.entrypoints.client import (
    Client,
    Session,
    demo_password,
    load_session,
    log_in,
    save_session,
    session_file,
)

SESSION = Session("http://here", "lena", "token")


def answering(status: int, body: object = None) -> Client:
    def handle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json=body)

    return Client(SESSION, httpx.MockTransport(handle))


KINDS = {
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    412: errors.Conflict,
    413: errors.Invalid,
    418: errors.Refused,
    422: errors.Invalid,
    500: errors.Unreachable,
    503: errors.Unreachable,
    302: errors.Refused,
}


@pytest.mark.parametrize(("status", "kind"), KINDS.items())
def test_a_status_becomes_the_error_it_stands_for(
    status: int, kind: type[errors.AirlockError]
) -> None:
    with pytest.raises(kind) as refused:
        answering(status, {"detail": "because", "nextStep": "Do that."}).get("/x")
    assert type(refused.value) is kind
    if status != 401:
        assert (str(refused.value), refused.value.next_step) == ("because", refused.value.next_step)


def test_an_answer_without_a_document_still_says_what_and_where() -> None:
    with pytest.raises(errors.Refused, match="/x answered 418"):
        answering(418, ["?"]).get("/x")


def test_airflows_list_of_problems_is_kept() -> None:
    with pytest.raises(errors.Invalid, match="since"):
        answering(422, {"detail": [{"loc": ["since"], "msg": "no date"}]}).get("/x")


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    return pauses


def failing(times: int, calls: list[httpx.Request]) -> Callable[[httpx.Request], httpx.Response]:
    def handle(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        if len(calls) <= times:
            raise httpx.ReadTimeout("slow", request=request)
        return httpx.Response(201, json={"ok": True})

    return handle


def test_an_unanswered_vote_is_sent_again_with_its_key(no_pause: list[float]) -> None:
    calls: list[httpx.Request] = []
    client = Client(SESSION, httpx.MockTransport(failing(2, calls)))
    assert client.post("/votes", {"a": 1}, key="k") == {"ok": True}
    assert [call.headers["Idempotency-Key"] for call in calls] == ["k"] * 3
    assert len(no_pause) == 2


def test_without_a_key_nothing_is_sent_twice(no_pause: list[float]) -> None:
    calls: list[httpx.Request] = []
    client = Client(SESSION, httpx.MockTransport(failing(2, calls)))
    with pytest.raises(errors.Unreachable, match="http://here does not answer"):
        client.post("/runs", {"a": 1})
    assert len(calls) == 1
    assert no_pause == []


def test_a_refusal_is_not_tried_again(no_pause: list[float]) -> None:
    with pytest.raises(errors.Forbidden):
        answering(403, {"detail": "no"}).post("/votes", {}, key="k")
    assert no_pause == []


def test_an_address_that_is_none_is_wrong_use() -> None:
    with pytest.raises(errors.AirlockError, match="nonsense"):
        log_in("nonsense://", "lena", "x")


def test_a_session_is_kept_private_even_over_an_open_file(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "session.json"
    file.parent.mkdir()
    file.write_text("old")
    file.chmod(0o644)
    save_session(SESSION, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_session(file) == SESSION
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"url": 1}', "\x00"])
def test_a_broken_session_is_no_login(tmp_path: Path, content: str) -> None:
    file = tmp_path / "session.json"
    file.write_text(content)
    with pytest.raises(errors.Unauthenticated, match="is not a session"):
        load_session(file)


def test_no_session_says_how_to_log_in(tmp_path: Path) -> None:
    with pytest.raises(errors.Unauthenticated) as refused:
        load_session(tmp_path / "none.json")
    assert "airlock login" in refused.value.next_step


def test_the_session_lives_where_configuration_lives() -> None:
    assert session_file({"XDG_CONFIG_HOME": "/x"}) == Path("/x/airlock/session.json")
    assert session_file({}).parts[-3:] == (".config", "airlock", "session.json")


def test_demo_passwords_are_read_from_the_private_file(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    with pytest.raises(errors.Invalid, match="cannot be read"):
        demo_password(tmp_path, "lena")
    (secrets / "users.json").write_text(json.dumps([{"user": "lena", "password": "p"}]))
    assert demo_password(tmp_path, "lena") == "p"
    with pytest.raises(errors.Invalid, match="no demo user 'eve'"):
        demo_password(tmp_path, "eve")
