"""Things to act on behind the doors: a finding, a delegation, an emergency, a rollback.

And every change the doors take, as a table: what is sent, and by whom it is allowed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airlock.domain.approval.approval_conditions import Conditions, Demand
from airlock.domain.clock import stamp
from airlock.domain.people.actors import Channel
from airlock.services.approvals import break_glass
from airlock.services.approvals import delegation as delegation_service
from airlock.services.people import enrolment, recognition
from airlock.services.queries import duties
from airlock.testing.approvers import seen_account
from tests.integration.door_kit import Doors

RUNS = itertools.count(1)
WHY = "looked at the numbers"


def later(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def fresh(doors: Doors) -> str:
    """Open a release that takes the place of an open one."""
    return doors.open(f"duty-{next(RUNS)}")


def approved(doors: Doors, **tied: Any) -> str:
    """Approve a release at every level, lena under conditions."""
    release_id = fresh(doors)
    doors.world.approve(release_id, "lena", conditions=Conditions(**tied))
    after_lena(doors, release_id)
    return release_id


def after_lena(doors: Doors, release_id: str) -> None:
    """Approve at every level after the first."""
    for name in ("carla", "mara", "milo"):
        doors.world.approve(release_id, name)


def finding(doors: Doors, days: float = 7, owner: str = "ana") -> str:
    """Return the id of an open finding."""
    demand = Demand(text="explain the age effect", owner=owner, due=stamp(later(days)))
    release_id = approved(doors, findings=(demand,))
    found = duties.finding_rows(doors.world.store).rows
    return str(next(one["id"] for one in found if one["release"] == release_id))


def delegation(doors: Doors, giver: str = "lena", taker: str = "vera") -> str:
    """Return the id of a delegation in force."""
    world = doors.world
    start, end = later(0), later(1)
    actor = world.actor(giver)
    made = delegation_service.delegate(
        world.store, world.rulebook, actor, taker, start, end, "on leave"
    )
    return made.id


def smashed(doors: Doors, *people: str, release_id: str = "") -> str:
    """Return a release whose glass these people have broken."""
    found, world = release_id or fresh(doors), doors.world
    for name in people:
        actor = world.actor(name)
        break_glass.break_glass(world.store, world.signer, found, actor, "it burns", "INC-7")
    return found


def reviewed(doors: Doors) -> None:
    """Review every emergency, so that the next one is possible."""
    world = doors.world
    with world.store.begin() as unit:
        waiting = [one.release for one in unit.broken() if one.reviewed_at is None]
    for release_id in waiting:
        break_glass.review(world.store, release_id, world.actor("sam"), "it was right")


def promoted(doors: Doors) -> str:
    release_id = approved(doors)
    doors.world.promote(release_id, f"run-{release_id}")
    return release_id


def rollable(doors: Doors) -> str:
    """Return a promoted release with an older version to go back to."""
    promoted(doors)
    return promoted(doors)


def seen(doors: Doors, release_id: str) -> str:
    """Return the digest of the subject a release is about."""
    return str(doors.body(release_id)["subjectDigest"])


@dataclass(frozen=True)
class Write:
    """One change the REST API takes."""

    path: str
    #: Who may, of everybody in the door kit.
    able: frozenset[str]
    #: Make what is acted on and return its id; "" if the address has none.
    prepare: Callable[[Doors], str]
    #: The body that is accepted, given the id.
    body: Callable[[Doors, str], Mapping[str, Any]]
    #: Arguments of the command for the same change.
    command: Callable[[Doors, str], tuple[str, ...]]
    #: The form of the page for the same change; None if the page has none.
    form: Callable[[Doors, str], Mapping[str, Any]] | None
    status: int = 201


def _broken(doors: Doors) -> str:
    reviewed(doors)
    return smashed(doors, "lena", "carla")


def _unbroken(doors: Doors) -> str:
    reviewed(doors)
    return fresh(doors)


def blocked(doors: Doors) -> str:
    """Return a release that a soft gate blocked."""
    opened = doors.world.request(doors.world.measure(f"duty-{next(RUNS)}", auc=0.6), "supersede")
    assert opened.release is not None
    return opened.release.id


GATE = "metrics-threshold:roc_auc"


def _day(days: float = 30) -> str:
    return later(days).isoformat()[:10]


def _vote_form(doors: Doors, one: str) -> Mapping[str, Any]:
    body = doors.body(one)
    same = {name: str(body[name]) for name in ("decision", "reason", "level", "round")}
    return {**same, "subject": body["subjectDigest"]}


def _span(days: float) -> dict[str, str]:
    return {"start": later(0).isoformat(), "end": later(days).isoformat()}


def _minutes(days: float) -> dict[str, str]:
    return {name: text[:16] for name, text in _span(days).items()}


def _reason(_: Doors, __: str) -> Mapping[str, Any]:
    return {"reason": WHY}


LEADS, VOTERS = {"lena", "luis"}, {"lena", "luis", "carla", "mara", "milo", "mina"}

PEOPLE_RUNS = itertools.count(1)


def newcomer(doors: Doors) -> str:
    """Return somebody Airflow calls an algorithm lead and nobody has enrolled."""
    name, world = f"newcomer{next(PEOPLE_RUNS)}x", doors.world
    roles = frozenset({"algorithm_lead"})
    seen = seen_account(name)
    recognition.recognise(world.store, world.rulebook, name, name, roles, Channel.API, seen)
    return name


def enrolment_of(doors: Doors) -> str:
    """Return the id of an enrolment the administrator has proposed."""
    world, name = doors.world, newcomer(doors)
    admin = world.actor("admin")
    return enrolment.propose(world.store, world.rulebook, admin, name, "algorithm_lead", WHY).id


def file_of(doors: Doors) -> str:
    """Return a file that enrols a newcomer."""
    return f"person,role,reason\n{newcomer(doors)},algorithm_lead,{WHY}\n"


def imported(doors: Doors) -> str:
    """Return the digest of a file the administrator has imported."""
    world, text = doors.world, file_of(doors)
    admin = world.actor("admin")
    digest, _ = enrolment.import_file(world.store, world.rulebook, admin, text)
    (doors.folder / f"{digest}.csv").write_text(text)
    return digest


def _written(doors: Doors) -> str:
    path = doors.folder / f"people-{next(RUNS)}.csv"
    path.write_text(file_of(doors))
    return str(path)


WRITES: Mapping[str, Write] = {
    "propose an approver": Write(
        "/enrolments",
        frozenset({"admin", "sam"}),
        newcomer,
        lambda _, one: {"person": one, "role": "algorithm_lead", "reason": WHY},
        lambda _, one: ("person", "enrol", one, "--role", "algorithm_lead", "--reason", WHY),
        lambda _, one: {"person": one, "role": "algorithm_lead", "reason": WHY},
    ),
    "confirm an approver": Write(
        "/enrolments/{id}/confirmation",
        frozenset({"sam"}),  # not the administrator, who proposed it
        enrolment_of,
        _reason,
        lambda _, one: ("person", "confirm", one, "--reason", WHY),
        _reason,
    ),
    "end an enrolment": Write(
        "/enrolments/{id}/end",
        frozenset({"admin", "sam"}),
        enrolment_of,
        _reason,
        lambda _, one: ("person", "end", one, "--reason", WHY),
        _reason,
    ),
    "import approvers": Write(
        "/enrolments/import",
        frozenset({"admin", "sam"}),
        lambda _: "",
        lambda doors, _: {"text": file_of(doors)},
        lambda doors, _: ("person", "import", _written(doors)),
        lambda doors, _: {"text": file_of(doors)},
    ),
    "confirm a file": Write(
        "/enrolments/import/{id}/confirmation",
        frozenset({"sam"}),
        imported,
        _reason,
        lambda doors, one: (
            *("person", "confirm", "--file", str(doors.folder / f"{one}.csv")),
            *("--reason", WHY),
        ),
        _reason,
    ),
    "answer": Write(
        "/releases/{id}/votes",
        frozenset(LEADS),
        fresh,
        lambda doors, one: doors.body(one),
        lambda _, one: ("release", "approve", one, "--reason", WHY),
        _vote_form,
    ),
    "withdraw": Write(
        "/releases/{id}/withdrawal",
        frozenset({"ana"}),
        fresh,
        _reason,
        lambda _, one: ("release", "withdraw", one, "--reason", WHY),
        _reason,
    ),
    "delegate": Write(
        "/delegations",
        frozenset(VOTERS),
        lambda _: "",
        lambda _, __: {"to": "vera", **_span(1), "reason": WHY},
        lambda _, __: ("delegate", "to", "vera", "--reason", WHY, "--days", "1"),
        lambda _, __: {"to": "vera", **_minutes(1), "reason": WHY},
    ),
    "end a delegation": Write(
        "/delegations/{id}/end",
        frozenset({"lena", "vera"}),
        delegation,
        lambda _, __: {},
        lambda _, one: ("delegate", "end", one),
        lambda _, __: {},
    ),
    "close a finding": Write(
        "/findings/{id}/closing",
        frozenset(VOTERS),
        finding,
        _reason,
        lambda _, one: ("finding", "close", one, "--reason", WHY),
        _reason,
    ),
    "break the glass": Write(
        "/releases/{id}/emergency",
        frozenset({"lena", "luis", "carla"}),
        _unbroken,
        lambda doors, one: {
            "reason": WHY,
            "incident": "INC-7",
            "subjectDigest": seen(doors, one),
        },
        lambda _, one: ("release", "break-glass", one, "--reason", WHY, "--incident", "INC-7"),
        lambda doors, one: {"reason": WHY, "incident": "INC-7", "subject": seen(doors, one)},
    ),
    "waive a gate": Write(
        "/releases/{id}/waivers",
        frozenset({"carla"}),
        blocked,
        lambda doors, one: {
            "gate": GATE,
            "reason": WHY,
            "until": later(30).isoformat(),
            "subjectDigest": seen(doors, one),
        },
        lambda _, one: ("gate", "waive", one, GATE, "--reason", WHY, "--until", _day()),
        lambda doors, one: {
            "gate": GATE,
            "reason": WHY,
            "until": _day(),
            "subject": seen(doors, one),
        },
    ),
    "review": Write(
        "/releases/{id}/review",
        frozenset({"sam"}),
        _broken,
        _reason,
        lambda _, one: ("release", "review", one, "--reason", WHY),
        _reason,
    ),
    "roll back": Write(
        "/releases/{id}/rollback",
        frozenset({"otto"}),
        rollable,
        _reason,
        lambda _, one: ("release", "rollback", one, "--reason", WHY),
        None,
    ),
    "take the log away": Write(
        "/audit/export",
        frozenset({"sam"}),
        lambda _: "",
        _reason,
        lambda doors, __: (
            "audit",
            "export",
            str(doors.folder / f"log-{next(RUNS)}.jsonl"),
            "--reason",
            WHY,
        ),
        None,
        status=200,
    ),
    "take the evidence away": Write(
        "/releases/{id}/evidence",
        frozenset({"sam"}),
        fresh,
        _reason,
        lambda doors, one: (
            *("evidence", "export", one, "-o", str(doors.folder / f"{next(RUNS)}.zip")),
            *("--reason", WHY),
        ),
        None,
        status=200,
    ),
    "erase a person": Write(
        "/people/{id}/erasure",
        frozenset({"admin"}),
        lambda _: "mina",
        _reason,
        lambda _, one: ("user", "erase", one, "--yes", "--reason", WHY),
        None,
    ),
}
