"""Bad input to every change the doors take: 4xx with a reason, never 5xx, and nothing is changed.

The changes are those of `duty_kit.WRITES`, which `test_rights_matrix` holds to be all there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.integration.door_kit import Doors, running, text_of
from tests.integration.duty_kit import WRITES, fresh, newcomer
from tests.support import sample

#: What a refusal itself may write: who tried is in the log.
LOG = {"audit_event", "audit_stream", "audit_leaf", "audit_node", "audit_text", "alembic_version"}
HUGE = "x" * 10_000_000
DIGEST = f"sha256:{'0' * 64}"

#: JSON text that is none of what any field takes, where it stands for a field.
BAD_VALUES = {
    "an object": "{}",
    "a list": "[1]",
    "a boolean": "true",
    "null": "null",
    "infinity": "Infinity",
    "a huge number": "9" * 400,
    "NUL": r'"abc \u0000"',
    "half a surrogate": r'"abc \ud800"',
    "an escape sequence": r'"abc \u001b[2J"',
    "60,000 letters": json.dumps("x" * 60_000),
}
BAD_BODIES = {
    "nothing": b"",
    "a list": b"[]",
    "a text": b'"abc"',
    "null": b"null",
    "not JSON": b"{",
    "not UTF-8": b'{"reason": "\xff"}',
    "deep": b"[" * 5000,
    "deep in a field": b'{"reason": ' + b"[" * 5000,
    "another field": b'{"admin": true}',
}
#: What may be null, and fields for which one of the bad values is a good one.
GOOD = {("conditions", "an object")}
BAD_IDS = ("%00", "a%09b", "%ff%fe", "x" * 300, "..%2F..", "rel-0'--", "%F0%9F%92%A3")
UNKNOWN = {"releases": "rel-00000000", "delegations": "del-00000000", "findings": "fin-00000000"}
UNKNOWN |= {"people": "nobody", "enrolments": "enr-00000000"}
#: Changes that only the log keeps: asking again notes it again.
EXPORTS = {"take the log away", "take the evidence away"}

#: Where a bad value fits its field, and what it stands for is refused: what the reason names.
NAMED = {("import approvers", "60,000 letters"): "the first line"}

WITH_BODY = [name for name in WRITES if name != "end a delegation"]
#: A file has a reason in each line: see `test_a_line_of_a_file_that_is_none_is_refused`.
WITH_REASON = [name for name in WITH_BODY if name != "import approvers"]
WITH_ID = [name for name, write in WRITES.items() if "{id}" in write.path]
WITH_FORM = [name for name, write in WRITES.items() if write.form is not None]


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with running(tmp_path_factory.mktemp("doors")) as found:
        for user in found.folks:  # their rights are recorded with their first request
            found.rest(user).get("/me")
        yield found


def state(doors: Doors) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables but the log's, and the log's heads in them."""
    engine = create_engine(f"sqlite:///{doors.folder / 'airlock.db'}")
    with engine.connect() as connection:
        names = connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'"))
        found = {}
        for name in sorted(set(names) - LOG):
            rows = connection.execute(text(f'SELECT * FROM "{name}"')).mappings().all()
            found[name] = [
                tuple(value for key, value in row.items() if key not in ("seq", "head"))
                for row in rows
            ]
    engine.dispose()
    return found


def somebody(name: str) -> str:
    """Return who may make this change."""
    return min(WRITES[name].able)


def send(doors: Doors, name: str, one: str, content: Any, **headers: str) -> Any:
    path = WRITES[name].path.replace("{id}", one)
    kind = {"Content-Type": "application/json", **headers}
    return doors.rest(somebody(name)).post(path, content=content, headers=kind)


def refused(answer: Any, *statuses: int) -> None:
    assert answer.status_code in statuses, f"{answer.status_code} {answer.text[:300]}"
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    assert all(c.isprintable() for c in problem["detail"])


@pytest.mark.parametrize("name", WITH_BODY)
def test_a_body_that_is_none_is_refused(doors: Doors, name: str) -> None:
    one = WRITES[name].prepare(doors)
    before = state(doors)
    for content in BAD_BODIES.values():
        refused(send(doors, name, one, content), 422)
    refused(send(doors, name, one, b'{"reason": "abc"}', **{"Content-Type": "text/plain"}), 422)
    assert state(doors) == before


@pytest.mark.parametrize("name", WITH_BODY)
def test_a_field_of_another_type_is_refused(doors: Doors, name: str) -> None:
    write = WRITES[name]
    one = write.prepare(doors)
    good = dict(write.body(doors, one))
    before = state(doors)
    for field in [*good, *(["conditions", "behind"] if name == "answer" else [])]:
        for what, raw in sample(BAD_VALUES.items(), 3):
            if (field, what) in GOOD:
                continue
            rest = {key: value for key, value in good.items() if key != field}
            comma = ", " if rest else ""
            content = f'{json.dumps(rest)[:-1]}{comma}"{field}": {raw}}}'
            answer = send(doors, name, one, content.encode())
            refused(answer, 422)
            detail = answer.json()["detail"]
            assert NAMED.get((name, what), field) in detail, f"{field}, {what}: {answer.text}"
            assert len(detail) < 5_000, "what was sent is not sent back"
    assert state(doors) == before


@pytest.mark.parametrize("name", WITH_REASON)
def test_a_reason_that_is_missing_empty_or_too_long_is_refused(doors: Doors, name: str) -> None:
    write = WRITES[name]
    one = write.prepare(doors)
    good = dict(write.body(doors, one))
    before = state(doors)
    without = {key: value for key, value in good.items() if key != "reason"}
    refused(send(doors, name, one, json.dumps(without)), 422)
    for reason in ("", "ab", "    ", "\n\t\n", "x" * 2001, "x" * 10_001):
        refused(send(doors, name, one, json.dumps({**good, "reason": reason})), 422)
    assert state(doors) == before


BAD_REASONS = ("", "ab", "    ", "x" * 2001, "x" * 10_001)
#: Files that are none; {person} is somebody who could be enrolled.
BAD_FILES = {
    "empty": "",
    "without a line": "person,role,reason\n",
    "other columns": "person,role,why\n{person},algorithm_lead,looked at it\n",
    "a column too few": "person,role,reason\n{person},algorithm_lead\n",
    "a column too many": "person,role,reason\n{person},algorithm_lead,looked at it,x\n",
    "nobody": "person,role,reason\n,algorithm_lead,looked at it\n",
    "no role": "person,role,reason\n{person},,looked at it\n",
    "another role": "person,role,reason\n{person},emperor,looked at it\n",
    "twice": "person,role,reason\n" + "{person},algorithm_lead,looked at it\n" * 2,
    "an open quote": 'person,role,reason\n{person},algorithm_lead,"looked at it\n',
    "too many lines": "person,role,reason\n"
    + "".join(f"p{number},algorithm_lead,abc\n" for number in range(1500)),
    **{
        f"reason {number}": f"person,role,reason\n{{person}},algorithm_lead,{reason}\n"
        for number, reason in enumerate(BAD_REASONS)
    },
}


def test_a_line_of_a_file_that_is_none_is_refused(doors: Doors) -> None:
    person, other = newcomer(doors), newcomer(doors)
    before = state(doors)
    for what, file in BAD_FILES.items():
        content = json.dumps({"text": file.replace("{person}", person)})
        answer = send(doors, "import approvers", "", content)
        assert answer.status_code in (409, 422), f"{what}: {answer.status_code} {answer.text[:300]}"
        refused(answer, answer.status_code)
    unknown = f"person,role,reason\n{other},algorithm_lead,abc\n{'x' * 50_000},algorithm_lead,abc\n"
    answer = send(doors, "import approvers", "", json.dumps({"text": unknown}))
    refused(answer, 404, 422)
    assert len(answer.json()["detail"]) < 5_000, "what was sent is not sent back"
    assert state(doors) == before, "a file counts whole or not at all"


@pytest.mark.parametrize("name", WRITES)
def test_ten_megabytes_are_refused_without_being_read(doors: Doors, name: str) -> None:
    one = WRITES[name].prepare(doors)
    before = state(doors)
    content = json.dumps({"reason": HUGE})
    refused(send(doors, name, one, content), 413)
    refused(send(doors, name, one, (chunk for chunk in [b"x" * 100_000] * 100)), 413)
    if WRITES[name].form is not None:
        path = WRITES[name].path.replace("{id}", one)
        answer = doors.page(somebody(name)).post(path, data={"reason": HUGE, "key": "k"})
        assert answer.status_code == 413
        assert "larger than 64 KB" in text_of(answer.text)
    assert state(doors) == before


@pytest.mark.parametrize("name", WITH_ID)
def test_an_unknown_or_impossible_id_is_refused(doors: Doors, name: str) -> None:
    write = WRITES[name]
    one = write.prepare(doors)
    body = json.dumps(dict(write.body(doors, one)))
    unknown = DIGEST if "/import/" in write.path else UNKNOWN[write.path.split("/")[1]]
    before = state(doors)
    refused(send(doors, name, unknown, body), 404)
    for bad in BAD_IDS:
        refused(send(doors, name, bad, body), 404, 422)
    if write.form is not None:
        http, form = doors.page(somebody(name)), {**write.form(doors, one), "key": "k"}
        for bad in (unknown, *BAD_IDS):
            answer = http.post(write.path.replace("{id}", bad), data=form)
            assert answer.status_code in (404, 422), f"{bad}: {answer.status_code}"
            assert answer.headers["content-type"].startswith("text/html")
    assert state(doors) == before


@pytest.mark.parametrize("name", [name for name in WRITES if name not in EXPORTS])
def test_a_key_or_tag_that_is_none_is_refused(doors: Doors, name: str) -> None:
    write = WRITES[name]
    one = write.prepare(doors)
    body = json.dumps(dict(write.body(doors, one)))
    before = state(doors)
    for key in ("x" * 201, "a b"):
        refused(send(doors, name, one, body, **{"Idempotency-Key": key}), 422)
    if write.path.startswith("/releases"):
        refused(send(doors, name, one, body, **{"If-Match": "x" * 201}), 422)
        refused(send(doors, name, one, body, **{"If-Match": f'"{"0" * 32}"'}), 412)
    assert state(doors) == before


@pytest.mark.parametrize("name", ["answer", "break the glass"])
def test_what_was_not_looked_at_is_refused(doors: Doors, name: str) -> None:
    write = WRITES[name]
    one = write.prepare(doors)
    good = dict(write.body(doors, one))
    wrong = [{"subjectDigest": DIGEST}]
    wrong += [{"round": 0}, {"round": 2}, {"level": 0}, {"level": 2}] if name == "answer" else []
    before = state(doors)
    for changes in wrong:
        refused(send(doors, name, one, json.dumps({**good, **changes})), 409)
    assert state(doors) == before


TIMES = ("2026", "2026-11-24", "2026-11-24T12:00:00", "1763985600", "0001-01-01T00:00:00+23:59")
TIMES += ("9999-12-31T23:59:59-23:59", "2026-02-30T00:00:00Z", "2026-11-24T25:00:00Z", "tomorrow")


@pytest.mark.parametrize("time", [*TIMES, 1763985600, 1.5])
def test_a_time_that_is_none_is_refused(doors: Doors, time: object) -> None:
    good = dict(WRITES["delegate"].body(doors, ""))
    one = fresh(doors)
    before = state(doors)
    for field in ("start", "end"):
        refused(send(doors, "delegate", "", json.dumps({**good, field: time})), 422)
    due = {"findings": [{"text": "abc", "owner": "ana", "due": time}]}
    for conditions in ({"expiresAt": time}, due):
        body = doors.body(one, conditions=conditions)
        refused(send(doors, "answer", one, json.dumps(body)), 422)
    if isinstance(time, str):
        answer = doors.rest("admin").get("/people/lena/rights", params={"at": time})
        refused(answer, 422)
    assert state(doors) == before


@pytest.mark.parametrize(
    "conditions",
    [
        {"maxTrafficShare": 0},
        {"maxTrafficShare": 1.01},
        {"maxTrafficShare": "0.5"},
        {"maxTrafficShare": True},
        {"segments": "staff"},
        {"segments": [""]},
        {"segments": ["x"] * 51},
        {"expiresAt": "2020-01-01T00:00:00Z"},
        {"findings": [{"text": "abc", "owner": "ana"}]},
        {"findings": [{"text": "abc", "owner": "nobody", "due": "2999-01-01T00:00:00Z"}]},
        {"findings": [{"text": "   ", "owner": "ana", "due": "2999-01-01T00:00:00Z"}]},
        {"findings": [{"text": "abc", "owner": "ana", "due": "2020-01-01T00:00:00Z"}]},
        {"more": 1},
    ],
)
def test_a_condition_that_means_nothing_is_refused(
    doors: Doors, conditions: dict[str, Any]
) -> None:
    one = fresh(doors)
    before = state(doors)
    refused(send(doors, "answer", one, json.dumps(doors.body(one, conditions=conditions))), 422)
    assert state(doors) == before


def test_a_rejection_carries_no_conditions(doors: Doors) -> None:
    one = fresh(doors)
    before = state(doors)
    body = doors.body(one, decision="reject", conditions={"maxTrafficShare": 0.5})
    answer = send(doors, "answer", one, json.dumps(body))
    refused(answer, 422)
    assert "carries no conditions" in answer.json()["detail"]
    assert state(doors) == before


@pytest.mark.parametrize("name", WITH_FORM)
def test_a_form_that_is_none_is_a_page_with_the_reason(doors: Doors, name: str) -> None:
    write = WRITES[name]
    one = write.prepare(doors)
    good = {**write.form(doors, one), "key": "bad-form"} if write.form else {}
    http, path = doors.page(somebody(name)), write.path.replace("{id}", one)
    before = state(doors)
    bad: list[dict[str, Any]] = [{**good, "more": "x"}, {**good, "key": ""}, {**good, "key": "ä"}]
    for field in set(good) - {"key"}:
        bad += [{**good, field: value} for value in ("", "x\x00y", "x" * 10_001, "\x1b[2J")]
    for form in bad:
        answer = http.post(path, data=form)
        assert answer.status_code == 422, f"{form}: {answer.status_code}"
        assert answer.headers["content-type"].startswith("text/html")
        assert "\x1b" not in answer.text
    raw = http.post(path, content=b"\xff\xfe%zz&&==", headers={"Content-Type": "text/plain"})
    assert raw.status_code == 422
    assert state(doors) == before
