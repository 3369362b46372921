"""What refused releases, emergencies and promotions advise is done there, and leads on.

Each case: how it is refused, a part of the advice, and that advice followed. On one database: what
is advised does not depend on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from airlock.domain.approval.release import State
from airlock.domain.digest import digest_bytes, digest_json
from airlock.domain.evidence.proposals import Kind
from airlock.domain.gates import Evidence
from airlock.domain.people.actors import Person
from airlock.domain.people.separation_of_duties import SHIPPED
from airlock.services.approvals import break_glass, policy_registry
from airlock.services.people import recognition
from airlock.services.pipeline import collect_and_judge
from tests.contract.advice_kit import (
    WHY,
    Case,
    Scene,
    book,
    cases,
    check,
    refused,
    runs_again,
)
from tests.contract.conftest import Database

# opening, emergencies, promoting


def a_release_nobody_could_approve(scene: Scene) -> Case:
    world = scene.world
    for name in ("lena", "luis"):
        recognition.keep_person(scene.store, Person(name, name, frozenset({"viewer"})))

    def given(_: str) -> object:
        world.keep(Person("lea", "Lea", frozenset({"algorithm_lead"})))
        return world.approve(world.open("run-2"), "lea")

    return Case(lambda: world.open(), "Give the missing role to more people", given)


def one_person_alone_in_an_emergency(scene: Scene) -> Case:
    release_id = scene.world.open()
    scene.smash(release_id, "lena")
    return Case(
        lambda: scene.smash(release_id, "lena"),
        "Another holder of algorithm_lead or compliance_officer has to agree.",
        lambda _: scene.smash(release_id, "carla"),
    )


def an_emergency_before_the_last_was_reviewed(scene: Scene) -> Case:
    world, release_id = scene.world, scene.world.open()
    for name in ("lena", "carla"):
        scene.smash(release_id, name)
    world.promote(release_id)
    second = world.open("run-2", champion="1")

    def reviewed(advice: str) -> object:
        found = re.search(r"`airlock release review (\S+) --as REVIEWER --reason", advice)
        assert found is not None
        break_glass.review(scene.store, found[1], world.actor("sam"), WHY)
        return scene.smash(second, "lena")

    return Case(lambda: scene.smash(second, "lena"), "Somebody uninvolved reviews it", reviewed)


def an_incident_without_an_id(scene: Scene) -> Case:
    release_id = scene.world.open()
    return Case(
        lambda: scene.smash(release_id, "lena", incident="it is urgent!"),
        "Open the incident first; it says why the levels were skipped.",
        lambda _: scene.smash(release_id, "lena", incident="INC-4711"),
    )


def a_second_promotion(scene: Scene) -> Case:
    world, release_id = scene.world, scene.world.open()
    world.approve_all(release_id)
    world.promote(release_id)
    return Case(
        lambda: world.promote(release_id, "once-more"),
        "Nothing is left to do; to serve another version open another release.",
        lambda _: world.open("run-2", champion="1"),
    )


def a_policy_newer_than_the_run(scene: Scene) -> Case:
    world, origin = scene.world, scene.world.measure("run-1")
    scene.clock.pass_(minutes=1)
    document = book("soft", glass=False)
    policy_registry.register(scene.store, document, [world.pipeline], SHIPPED)
    world.rulebook = type(scene.book).from_document(document)
    scene.clock.pass_(minutes=1)
    return Case(
        lambda: world.request(origin),
        "Run the pipeline again under the new policy.",
        lambda advice: runs_again(world, advice),
    )


def a_run_that_trained_twice(scene: Scene) -> Case:
    world = scene.world
    world.measure("run-1", content="one")
    return Case(
        lambda: world.measure("run-1", content="two"),
        "Start a new run",
        lambda advice: runs_again(world, advice),
    )


def a_move_that_did_not_happen(scene: Scene) -> Case:
    """The alias had not moved, so its grant was revoked: a new attempt gets one of its own."""
    world, release_id = scene.world, scene.world.open()
    world.approve_all(release_id)
    move = world.registry.set_alias

    def nothing(*_: str) -> None:
        """Answer as if it had been moved."""

    def attempt(name: str, way: Any) -> object:
        world.registry.set_alias = way  # type: ignore[method-assign]
        return world.promote(release_id, name)

    return Case(
        lambda: attempt("first", nothing),
        "Its grant is revoked. Try again: a new attempt gets a new one.",
        lambda _: attempt("second", move),
    )


def a_run_that_never_began(scene: Scene) -> Case:
    world, origin = scene.world, "credit/run-1"
    world.runs.add(origin, "ana")

    def submit() -> object:
        about = digest_bytes(b"model")
        body = {
            "evidence": collect_and_judge.documents([Evidence("coverage", about, {"lines": 1})])
        }
        return world.proposals.submit(Kind.EVIDENCE, origin, body)

    def begin(_: str) -> object:
        begun = {"pipeline": digest_json(world.pipeline), "policy": scene.book.digest}
        world.proposals.submit(Kind.RUN, origin, begun)  # as the step "pin" does
        return submit()

    return Case(
        submit, 'The first task of the run proposes it: a StepOperator with step="pin"', begin
    )


@pytest.mark.parametrize("case", cases(globals()), ids=lambda one: one.__name__)
def test_the_advice_is_followed_and_leads_on(
    case: Callable[[Scene], Case], sqlite_database: Database
) -> None:
    check(case, sqlite_database)


def test_without_a_glass_the_levels_are_the_way(sqlite_database: Database) -> None:
    scene = Scene(sqlite_database, rulebook=book(glass=False))
    release_id = scene.world.open()
    advice = refused(lambda: scene.smash(release_id, "lena"))
    assert advice == "Get the approvals, or roll back to a version still approved."
    assert scene.world.approve_all(release_id).state is State.APPROVED
