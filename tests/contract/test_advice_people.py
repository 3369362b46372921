"""What refused delegations, findings and enrolments advise is done there, and leads on.

Each case: how it is refused, a part of the advice, and that advice followed. On one database: what
is advised does not depend on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest

from airlock.domain.approval.approval_conditions import Conditions, Demand
from airlock.domain.clock import stamp
from airlock.domain.people.actors import Person
from airlock.services.approvals import delegation
from airlock.services.people import enrolment, recognition
from airlock.services.queries import duties
from tests.contract.advice_kit import (
    WHY,
    Case,
    Scene,
    cases,
    check,
    refused,
)
from tests.contract.conftest import Database

# delegation and findings


def a_delegation_by_somebody_without_a_vote(scene: Scene) -> Case:
    world, release_id = scene.world, scene.world.open()
    return Case(
        lambda: scene.lend("vera", "sam"),
        "Whoever holds the role itself can delegate it.",
        lambda _: (scene.lend("lena", "vera"), world.approve(release_id, "vera")),
    )


def a_delegation_to_nobody_known(scene: Scene) -> Case:
    def named(_: str) -> object:
        shown = enrolment.people(scene.store, scene.book)  # what `airlock person list` prints
        able = [one["id"] for one in shown if one["id"] in ("luis", "vera")]
        return scene.lend("lena", able[0])

    return Case(lambda: scene.lend("lena", "nobody"), "`airlock person list` shows whom", named)


def a_delegation_to_an_administrator(scene: Scene) -> Case:
    return Case(
        lambda: scene.lend("lena", "admin"),
        "Delegate to somebody else.",
        lambda _: scene.lend("lena", "vera"),
    )


def a_delegation_for_half_a_year(scene: Scene) -> Case:
    def given(_: str) -> object:
        scene.world.keep(Person("vera", "Vera", frozenset({"algorithm_lead"})))
        return scene.world.approve(scene.world.open(), "vera")

    return Case(
        lambda: scene.lend("lena", "vera", days=180),
        "Give the role itself to whoever needs it for longer.",
        given,
    )


def findings_that_are_overdue(scene: Scene) -> Case:
    world, release_id = scene.world, scene.world.open()
    due = stamp(scene.clock.at + timedelta(days=1))
    demand = Demand(text="explain the age effect", owner="carla", due=due)
    world.approve(release_id, "lena", conditions=Conditions(findings=(demand,)))
    for name in ("carla", "mara", "milo"):
        world.approve(release_id, name)
    world.promote(release_id)
    scene.clock.pass_(days=2)

    def close(name: str) -> object:
        (found,) = duties.finding_rows(scene.store, model="credit").rows
        actor = world.actor(name)
        return delegation.close_finding(scene.store, scene.book, actor, found["id"], WHY)

    def mended(_: str) -> object:
        by_owner = refused(lambda: close("carla"))
        assert by_owner == "lena or another approver closes it."
        close("lena")
        return world.open("run-3")

    return Case(lambda: world.open("run-2"), "have somebody other than their owner close", mended)


# enrolment


def enrolling_oneself(scene: Scene) -> Case:
    both = frozenset({"security_auditor", "algorithm_lead"})
    recognition.keep_person(scene.store, Person("sam", "Sam", both))
    return Case(
        lambda: scene.propose("sam", by="sam"),
        "Ask another person who may enrol approvers.",
        lambda _: scene.propose("sam", by="admin"),
    )


def enrolling_for_a_role_that_is_not_there(scene: Scene) -> Case:
    scene.airflow_says("lea")
    return Case(
        lambda: scene.propose("lea", role="algorithm-lead"),
        "Name one of these; include/policies/access.yaml defines them.",
        lambda _: scene.propose("lea"),
    )


def enrolling_somebody_without_an_account(scene: Scene) -> Case:
    return Case(
        lambda: scene.propose("lea"),
        "Make the account in Airflow",
        lambda _: (scene.airflow_says("lea"), scene.propose("lea")),
    )


def enrolling_for_a_role_airflow_does_not_give(scene: Scene) -> Case:
    scene.airflow_says("lea", "viewer")
    return Case(
        lambda: scene.propose("lea"),
        "Give lea the role algorithm_lead in Airflow first.",
        lambda _: (scene.airflow_says("lea"), scene.propose("lea")),
    )


def confirming_what_one_has_proposed(scene: Scene) -> Case:
    scene.airflow_says("lea")
    made = scene.propose("lea")
    return Case(
        lambda: scene.confirm(made.id, by="admin"),
        "Ask another person who may enrol approvers.",
        lambda _: scene.confirm(made.id, by="sam"),
    )


def confirming_an_account_that_changed(scene: Scene) -> Case:
    scene.airflow_says("lea")
    made = scene.propose("lea")
    scene.airflow_says("lea", password="another")

    def anew(advice: str) -> object:
        found = re.match(r"End (\S+), then propose (\S+) again\.", advice)
        assert found is not None
        actor = scene.world.actor("sam")
        enrolment.end(scene.store, scene.book, actor, found[1], WHY)
        return scene.confirm(scene.propose(found[2]).id)

    return Case(lambda: scene.confirm(made.id), "End ", anew)


def ending_what_is_not_ones_own(scene: Scene) -> Case:
    with scene.store.begin() as unit:
        (mine,) = unit.enrolments(person="lena", state="active")

    def end(name: str) -> object:
        return enrolment.end(scene.store, scene.book, scene.world.actor(name), mine.id, WHY)

    return Case(lambda: end("luis"), "Ask somebody who may enrol approvers.", lambda _: end("sam"))


def enrolling_without_the_right(scene: Scene) -> Case:
    scene.airflow_says("lea")

    def shown(_: str) -> object:
        able = [
            one["id"]
            for one in enrolment.people(scene.store, scene.book)
            if one["id"] in ("admin", "sam")
        ]
        return scene.propose("lea", by=able[0])

    return Case(
        lambda: scene.propose("lea", by="luis"),
        "Ask somebody `airlock person list` shows as enrolled for such a role.",
        shown,
    )


def the_owners_credential_where_two_may_enrol(scene: Scene) -> Case:
    scene.airflow_says("eve", "admin")

    def follow(advice: str) -> object:
        found = re.search(r"`airlock person enrol NAME --role ROLE --as (\S+) --reason", advice)
        assert found is not None
        return scene.confirm(scene.propose("eve", by=found[1], role="admin").id)

    return Case(
        lambda: enrolment.first(scene.store, scene.book, "eve", "admin", WHY),
        "One of them proposes: ",
        follow,
    )


@pytest.mark.parametrize("case", cases(globals()), ids=lambda one: one.__name__)
def test_the_advice_is_followed_and_leads_on(
    case: Callable[[Scene], Case], sqlite_database: Database
) -> None:
    check(case, sqlite_database)
