"""What refused votes and waivers tell people to do is done there, and leads on.

Each case: how it is refused, a part of the advice, and that advice followed. On one database: what
is advised does not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from airlock.domain.approval.approval_conditions import Conditions, Demand
from airlock.domain.approval.release import Decision
from airlock.domain.clock import stamp
from airlock.domain.people.actors import Channel
from airlock.domain.people.separation_of_duties import SHIPPED
from airlock.services.approvals import decide, policy_registry
from airlock.services.queries import releases
from tests.contract.advice_kit import (
    WHY,
    Case,
    Scene,
    book,
    cases,
    check,
    first_name,
    runs_again,
)
from tests.contract.conftest import Database

# voting


def somebody_who_has_answered(scene: Scene) -> Case:
    world, release_id = scene.world, scene.world.open()
    world.approve(release_id, "lena")
    return Case(
        lambda: world.approve(release_id, "lena"),
        "Another person has to answer.",
        lambda _: world.approve(release_id, "carla"),
    )


def somebody_without_the_role(scene: Scene) -> Case:
    world, release_id = scene.world, scene.world.open()
    return Case(
        lambda: world.approve(release_id, "vera"),
        "May answer now: ",
        lambda advice: world.approve(release_id, first_name(advice)),
    )


def somebody_who_made_it(scene: Scene) -> Case:
    world, release_id = scene.world, scene.world.open()

    def named(_: str) -> object:
        view = releases.show(scene.store, world.keys, release_id, None)
        return world.approve(release_id, view["mayAnswer"][0])

    return Case(
        lambda: world.approve(release_id, "ana"), "Ask one of the people named at this level", named
    )


def a_level_that_is_not_open(scene: Scene) -> Case:
    world, release_id = scene.world, scene.world.open()
    return Case(
        lambda: world.approve(release_id, "carla", level=2),
        "Levels are answered strictly in order.",
        lambda _: (world.approve(release_id, "lena"), world.approve(release_id, "carla")),
    )


def a_subject_that_has_changed(scene: Scene) -> Case:
    world, release_id = scene.world, scene.world.open()
    return Case(
        lambda: world.approve(release_id, "lena", subject_digest=f"sha256:{'0' * 64}"),
        "Open the release again, look at what changed, then answer.",
        lambda _: world.approve(release_id, "lena"),
    )


def a_reason_of_two_letters(scene: Scene) -> Case:
    world, release_id = scene.world, scene.world.open()
    return Case(
        lambda: world.approve(release_id, "lena", reason="ok"),
        "Say in a sentence why; it becomes part of the record.",
        lambda _: world.approve(release_id, "lena", reason="the numbers hold on every slice"),
    )


def a_reason_that_is_not_plain(scene: Scene) -> Case:
    world, release_id = scene.world, scene.world.open()
    return Case(
        lambda: world.approve(release_id, "lena", reason="looks\x1b[31m good"),
        "Write it as plain text.",
        lambda _: world.approve(release_id, "lena", reason="looks good to me"),
    )


def a_rejection_under_conditions(scene: Scene) -> Case:
    world, release_id = scene.world, scene.world.open()
    ties = Conditions(max_traffic_share=0.5)
    return Case(
        lambda: world.vote(release_id, "lena", Decision.REJECT, conditions=ties),
        "Approve under these conditions, or reject without them.",
        lambda _: world.approve(release_id, "lena", conditions=ties),
    )


def a_finding_of_nobody(scene: Scene) -> Case:
    world, release_id = scene.world, scene.world.open()

    def tied(owner: str) -> Conditions:
        due = stamp(scene.clock.at + timedelta(days=3))
        return Conditions(findings=(Demand(text="explain it", owner=owner, due=due),))

    return Case(
        lambda: world.approve(release_id, "lena", conditions=tied("somebody")),
        "Write the user name in Airflow of whoever mends it.",
        lambda _: world.approve(release_id, "lena", conditions=tied("ana")),
    )


def a_release_that_is_over(scene: Scene) -> Case:
    world, release_id = scene.world, scene.world.open()
    world.vote(release_id, "lena", Decision.REJECT)
    return Case(
        lambda: world.approve(release_id, "luis"),
        "Nothing is left to do here; the release itself says why.",
        lambda _: "lena" in releases.show(scene.store, world.keys, release_id, None)["why"],
    )


def a_click_in_slack_at_a_tier_that_takes_none(scene: Scene) -> Case:
    world, release_id = scene.world, scene.world.open()

    def vote(channel: Channel) -> object:
        ballot = world.ballot(release_id, Decision.APPROVE)
        actor = world.actor("lena", channel)
        return decide.vote(scene.store, world.signer, release_id, ballot, actor)

    return Case(
        lambda: vote(Channel.SLACK),
        "Open the release's page in Airflow, log in, and answer there.",
        lambda _: vote(Channel.PAGE),
    )


def a_key_used_for_something_else(scene: Scene) -> Case:
    world, release_id = scene.world, scene.world.open()
    world.approve(release_id, "lena", "key-1")
    return Case(
        lambda: world.approve(release_id, "lena", "key-1", reason="quite another reason"),
        "Use a new key for a new request.",
        lambda _: world.approve(release_id, "carla", "key-2"),
    )


# waivers


def a_waiver_by_somebody_without_the_right(scene: Scene) -> Case:
    release_id = scene.blocked()
    return Case(
        lambda: scene.waive(release_id, "vera"),
        "May waive now: ",
        lambda advice: scene.waive(release_id, first_name(advice)),
    )


def a_waiver_of_ones_own_work(scene: Scene) -> Case:
    release_id = scene.blocked()
    return Case(
        lambda: scene.waive(release_id, "ana"),
        "Ask somebody who had no part in it.",
        lambda _: scene.waive(release_id, "bea"),
    )


def a_waiver_that_ended_before_it_began(scene: Scene) -> Case:
    release_id = scene.blocked()
    return Case(
        lambda: scene.waive(release_id, "bea", days=-1),
        "Give a day by which the gate passes again.",
        lambda _: scene.waive(release_id, "bea", days=10),
    )


def a_waiver_of_a_hard_gate(scene: Scene) -> Case:
    document = book("hard")
    policy_registry.register(scene.store, document, [scene.world.pipeline], SHIPPED)
    scene.world.rulebook = type(scene.book).from_document(document)
    release_id = scene.blocked()
    return Case(
        lambda: scene.waive(release_id, "bea"),
        "Mend what it found, and run the pipeline again.",
        lambda advice: runs_again(scene.world, advice),
    )


def a_waiver_of_a_release_that_is_over(scene: Scene) -> Case:
    world, release_id = scene.world, scene.world.open()
    decide.withdraw(scene.store, release_id, world.actor("ana"), WHY)
    return Case(
        lambda: scene.waive(release_id, "bea"),
        "A gate is waived while the release is BLOCKED or awaits approval.",
        lambda _: scene.waive(scene.blocked(), "bea"),
    )


def a_vote_after_the_waiver_ended(scene: Scene) -> Case:
    world, release_id = scene.world, scene.blocked()
    scene.waive(release_id, "bea", days=1)
    world.approve(release_id, "lena")
    scene.clock.pass_(hours=25)
    return Case(
        lambda: world.approve(release_id, "carla"),
        "have it given again on the release's page",
        lambda _: (scene.waive(release_id, "bea", days=2), world.approve(release_id, "carla")),
    )


@pytest.mark.parametrize("case", cases(globals()), ids=lambda one: one.__name__)
def test_the_advice_is_followed_and_leads_on(
    case: Callable[[Scene], Case], sqlite_database: Database
) -> None:
    check(case, sqlite_database)
