"""Releases in every place they can be, made by the services: name -> what makes the view."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from airlock.domain.approval.approval_conditions import Conditions, Demand
from airlock.domain.approval.release import Decision
from airlock.ports import PromotionRequest
from airlock.services.approvals import (
    break_glass,
    deadlines,
    decide,
    delegation,
    invalidation,
    open_release,
    waivers,
)
from airlock.services.promotion import rollback
from tests.unit.slack.views import GATE, RUN, Scene, View, measured


def _awaiting_approval(scene: Scene) -> View:
    return measured(scene.view(scene.world.open(), "lena"))


def _second_level(scene: Scene) -> View:
    release_id = scene.world.open()
    tied = Conditions(
        max_traffic_share=0.1,
        segments=("new customers",),
        expires_at="2027-01-01T00:00:00.000000000Z",
        findings=(
            Demand(
                text="explain the drop in the north",
                owner="ana",
                due="2026-12-24T00:00:00.000000000Z",
            ),
        ),
    )
    scene.world.approve(release_id, "lena", reason="good, but not for everybody", conditions=tied)
    return measured(scene.view(release_id, "carla"))


def _two_seats(scene: Scene) -> View:
    release_id = scene.world.open()
    scene.world.approve(release_id, "lena")
    scene.world.approve(release_id, "carla")
    start, end = scene.clock.at, scene.clock.at + timedelta(days=7)
    book, giver = scene.world.rulebook, scene.actor("mara")
    delegation.delegate(scene.store, book, giver, "milo", start, end, "on leave")
    return measured(scene.view(release_id, "milo"))


def _for_another(scene: Scene) -> View:
    start, end = scene.clock.at, scene.clock.at + timedelta(days=7)
    book, giver = scene.world.rulebook, scene.actor("luis")
    delegation.delegate(scene.store, book, giver, "vera", start, end, "on leave")
    release_id = scene.world.open()
    scene.world.approve(release_id, "vera", behind="luis")
    return scene.view(release_id)


def _page_alone(scene: Scene) -> View:
    return measured(scene.view(scene.world.open(), "lena", slackMayAnswer=False))


def _second_round(scene: Scene) -> View:
    release_id = scene.world.open()
    scene.world.approve(release_id, "lena")
    why = "the artifact's files were replaced"
    digest = "sha256:" + "ab" * 32
    invalidation.void(scene.store, release_id, RUN, why, artifact_digest=digest)
    return scene.view(release_id, "lena")


def _waived(scene: Scene) -> View:
    release_id = scene.blocked()
    _waive(scene, release_id, "small segment, retrained next week")
    return scene.view(release_id, "lena")


def _waive(scene: Scene, release_id: str, reason: str) -> None:
    until = scene.clock.at + timedelta(days=30)
    actor, signer = scene.actor("bea"), scene.world.signer
    waivers.waive(scene.store, signer, release_id, GATE, reason, until, actor)


def _lowered(scene: Scene) -> View:
    scene.blocked()
    scene.asks(0.55)
    return scene.view(scene.world.open("again", auc=0.6), "lena")


def _again(scene: Scene) -> View:
    first = scene.world.open("run-1", content="same")
    scene.world.vote(first, "lena", Decision.REJECT, reason="bias in the sample")
    origin = scene.world.measure("run-2", content="same")
    again = open_release.Again(first, "the sample was checked by two people")
    policy = scene.world.rulebook.digest
    opened = open_release.request_release(scene.store, policy, origin, "keep", RUN, again).release
    assert opened is not None
    return scene.view(opened.id, "lena")


def _emergency_begun(scene: Scene) -> View:
    release_id = scene.world.open()
    scene.smash(release_id, "lena")
    return scene.view(release_id, "luis")


def _emergency(scene: Scene) -> View:
    release_id = scene.world.open()
    scene.smash(release_id, "lena", "carla")
    return scene.view(release_id)


def _reviewed(scene: Scene) -> View:
    release_id = scene.world.open()
    scene.smash(release_id, "lena", "carla")
    scene.world.promote(release_id)
    scene.clock.pass_(hours=3)
    break_glass.review(scene.store, release_id, scene.actor("sam"), "justified, rehearse it")
    return scene.view(release_id)


def _approved(scene: Scene) -> View:
    release_id = scene.world.open()
    scene.world.approve_all(release_id)
    return measured(scene.view(release_id))


def _rejected(scene: Scene) -> View:
    release_id = scene.world.open()
    scene.world.vote(release_id, "luis", Decision.REJECT, reason="worse for older customers")
    return scene.view(release_id)


def _withdrawn(scene: Scene) -> View:
    release_id = scene.world.open()
    decide.withdraw(scene.store, release_id, scene.actor("ana"), "trained on the wrong table")
    return scene.view(release_id)


def _superseded(scene: Scene) -> View:
    release_id = scene.world.open("one")
    scene.world.request(scene.world.measure("two", auc=0.9), "supersede")
    return scene.view(release_id)


def _expired(scene: Scene) -> View:
    release_id = scene.world.open()
    decide.settle(scene.store, scene.world.signer, release_id)
    scene.clock.pass_(hours=217)
    deadlines.sweep(scene.store)
    return scene.view(release_id)


def _promoting(scene: Scene) -> View:
    scene.promoted("one")
    release_id = scene.world.open("two")
    scene.world.approve_all(release_id)
    scene.world.promoter.begin(PromotionRequest(release=release_id, attempt="run-2"))
    return scene.view(release_id)


def _promoted(scene: Scene) -> View:
    scene.promoted("one")
    return scene.view(scene.promoted("two"))


def _rolled_back(scene: Scene) -> View:
    scene.promoted("one")
    release_id = scene.promoted("two")
    rollback.allow(scene.store, release_id, scene.actor("otto"), "scores drift since noon", "")
    scene.world.promote(release_id, "back")
    return scene.view(release_id)


def _requested(scene: Scene) -> View:
    return scene.view(scene.world.open(), state="REQUESTED", level=0, mayAnswer=[], deadline=None)


def _void(scene: Scene) -> View:
    return {
        **_second_round(scene),
        "state": "VOIDED",
        "level": 0,
        "mayAnswer": [],
        "deadline": None,
    }


#: Every place a release can be, and what else changes how it looks.
SCENES: dict[str, Callable[[Scene], View]] = {
    "asked": _awaiting_approval,
    "second-level": _second_level,
    "two-seats": _two_seats,
    "for-another": _for_another,
    "page-alone": _page_alone,
    "second-round": _second_round,
    "waived": _waived,
    "lowered": _lowered,
    "again": _again,
    "emergency-begun": _emergency_begun,
    "emergency": _emergency,
    "emergency-reviewed": _reviewed,
    "requested": _requested,
    "void": _void,
    "blocked": lambda scene: scene.view(scene.blocked()),
    "approved": _approved,
    "rejected": _rejected,
    "withdrawn": _withdrawn,
    "superseded": _superseded,
    "expired": _expired,
    "promoting": _promoting,
    "promoted": _promoted,
    "rolled-back": _rolled_back,
}
