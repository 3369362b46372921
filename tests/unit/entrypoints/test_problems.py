from __future__ import annotations

import json

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from airlock.domain import errors
from airlock.entrypoints.http.problems import Stale, problem_of

STATUSES = {
    errors.Refused: 409,
    errors.Conflict: 409,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Unauthenticated: 401,
    errors.Invalid: 422,
    errors.Unreachable: 503,
    Stale: 412,
}


@pytest.mark.parametrize("kind", STATUSES, ids=lambda kind: kind.__name__)
def test_an_error_keeps_its_words(kind: type[errors.AirlockError]) -> None:
    response = problem_of(kind("it said no", next_step="Do that.")).response()
    document = json.loads(bytes(response.body))
    assert response.status_code == STATUSES[kind]
    assert response.headers["content-type"] == "application/problem+json"
    assert (document["detail"], document["nextStep"]) == ("it said no", "Do that.")
    assert document["title"]


def test_the_type_names_the_kind_of_error() -> None:
    class GrantInvalid(errors.Refused):
        """One of the domain's own."""

    assert problem_of(GrantInvalid("no")).to_document()["type"] == (
        "urn:airlock:problem:grant-invalid"
    )


def test_an_accident_has_a_number_and_no_inside() -> None:
    first, second = problem_of(KeyError("password")), problem_of(KeyError("password"))
    assert first.status == 500
    assert "password" not in first.detail
    assert first.detail != second.detail


def test_bad_input_is_named_by_its_place_and_never_echoed() -> None:
    errors = [{"loc": ("body", "rea\nson"), "msg": "too long", "input": "<secret>"}] * 50
    problem = problem_of(RequestValidationError(errors))
    assert problem.status == 422
    assert "body.rea?son: too long" in problem.detail
    assert "secret" not in problem.detail
    assert len(problem.detail) < 1000


@pytest.mark.parametrize(("status", "expected"), [(400, 422), (404, 404), (405, 405)])
def test_the_frameworks_own_errors_are_problems_too(status: int, expected: int) -> None:
    assert problem_of(HTTPException(status)).status == expected
