"""Schemathesis over the whole REST API: what the OpenAPI document says is what happens.

Every operation, with data that fits its schema and data that does not, as somebody with every role
(on things that exist and on things that do not) and as nobody. The app runs in this process over
SQLite. Its engine is called directly: its pytest plugin does not know this pytest yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from starlette.requests import Request

from airlock.domain.errors import Unauthenticated
from airlock.domain.people.actors import Person
from airlock.entrypoints.http.app import create_app
from airlock.entrypoints.http.authentication import Identity
from airlock.testing.approvers import seen_account
from tests.integration.door_kit import FOLKS, Doors, FakePlatform, running
from tests.integration.duty_kit import delegation, enrolment_of, finding, fresh, imported
from tests.support import rounds

TOKEN = {"Authorization": "Bearer all"}
PHASES = ("examples", "coverage", "fuzzing", "stateful")
ROLES = frozenset(FOLKS.values())
DOCUMENT = "/api/openapi.json"  # what is read first; schemathesis leaves it out of what it tries
#: What is well formed may still be stale (412), or against a rule: an end before its start (422).
REFUSALS = ["2xx", "403", "404", "409", "412", "422"]
RULES = {"positive_data_acceptance": {"expected-statuses": REFUSALS}}


def anybody(request: Request) -> Identity:
    """Let in who has the token: somebody with every role there is."""
    if request.headers.get("authorization") != TOKEN["Authorization"]:
        raise Unauthenticated("nobody is logged in", next_step="Log in to Airflow.")
    return Identity("all", "Somebody", ROLES, seen_account("all"))


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with running(tmp_path_factory.mktemp("doors")) as found:
        yield found


@pytest.fixture(scope="module")
def app(doors: Doors) -> FastAPI:
    world = doors.world
    world.keep(Person("all", "Somebody", ROLES))
    return create_app(FakePlatform(world.store, world.keys, world.keys, world.rulebook), anybody)


@dataclass
class Run:
    """What schemathesis did, and what it found."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def operations(self) -> set[str]:
        return {label for label, _ in self.statuses}

    def take(self, event: Any) -> None:
        """Keep what an event of the engine says."""
        if isinstance(event, events.NonFatalError):
            self.problems.append(f"{event.label}: {event.value!r}")
        elif isinstance(event, events.FatalError):
            self.problems.append(repr(event.exception))
        elif isinstance(event, events.ScenarioFinished):
            self._scenario(event.recorder)

    def _scenario(self, recorder: Any) -> None:
        for name, interaction in recorder.interactions.items():
            if interaction.response is not None:
                label = recorder.cases[name].value.operation.label
                self.statuses[label, interaction.response.status_code] += 1
        for name, checks in recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    case = recorder.cases[name].value
                    failure = check.failure_info.failure
                    self.problems.append(
                        f"{check.name}: {case.method} {case.path} {case.path_parameters} "
                        f"{case.query} {str(case.body)[:300]}: {failure}"
                    )


def tried(app: FastAPI, headers: dict[str, str], *phases: str, **options: Any) -> Run:
    """Let schemathesis try every operation, as thoroughly as the suite has time for."""
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "headers": headers,
            "request-timeout": 300,
            "generation": {"mode": "all", "max-examples": rounds(5, 12), "deterministic": True},
            "phases": {name: {"enabled": name in phases} for name in PHASES},
            **options,
        }
    )
    schema = schemathesis.openapi.from_asgi(DOCUMENT, app, config=config, headers=TOKEN)
    run = Run()
    for event in from_schema(schema).execute():
        run.take(event)
    return run


def operations(app: FastAPI) -> set[str]:
    """Return what the app serves under /api."""
    return {
        f"{method} {route.path}"
        for route in app.routes
        for method in getattr(route, "methods", ())
        if getattr(route, "path", "").startswith("/api/") and route.path != DOCUMENT
    }


def test_nothing_known_breaks_the_api_or_its_schema(doors: Doors, app: FastAPI) -> None:
    known = {
        "path.finding_id": finding(doors),
        "path.delegation_id": delegation(doors),
        "path.release_id": fresh(doors),
        "path.person_id": "lena",
        "path.enrolment_id": enrolment_of(doors),
        "path.digest": imported(doors),
    }
    run = tried(app, TOKEN, "coverage", "fuzzing", parameters=known, checks=RULES)
    assert run.problems == [], "\n\n".join(run.problems[:20])
    assert run.operations() == operations(app)
    done = {label for label, status in run.statuses if status < 300}
    reads = {one for one in operations(app) if one.startswith("GET")}
    # No checkpoint covers the entry of the one, and nothing is released for the other.
    # Who may log in is told to Airlock's own account alone.
    nothing = {"GET /api/v1/audit/proof", "GET /api/v1/released/{model}/{environment}"}
    nothing.add("GET /api/v1/accounts")
    assert reads - done == nothing
    assert {one for one in done if one.startswith("POST")}, "no change was ever accepted"


def test_nothing_unknown_breaks_the_api_or_its_schema(app: FastAPI) -> None:
    run = tried(app, TOKEN, "fuzzing", checks=RULES)
    assert run.problems == [], "\n\n".join(run.problems[:20])
    assert run.operations() == operations(app)


def test_nobody_gets_anything_but_the_health(app: FastAPI) -> None:
    unasked = ("positive_data_acceptance", "negative_data_rejection", "missing_required_header")
    checks = {name: {"enabled": False} for name in unasked}
    run = tried(app, {}, "coverage", checks=checks)
    assert run.problems == [], "\n\n".join(run.problems[:20])
    assert run.operations() == operations(app)
    answered = {label for label, status in run.statuses if status != 401}
    assert answered == {"GET /api/v1/health"}
