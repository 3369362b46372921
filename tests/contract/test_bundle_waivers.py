"""The bundle of a release whose gate was waived: it says who and why, and a forged one fails."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from airlock.domain.clock import moment, stamp
from airlock.domain.people.actors import Actor
from airlock.services.approvals import decide
from airlock.testing import PEOPLE, World
from airlock_evidence.archive import Failed
from airlock_evidence.dossier import Dossier, read_dossier
from airlock_evidence.judging import check_gates
from tests.contract.bundle_kit import Evidenced, Files
from tests.contract.test_waivers import blocked, rulebook, waive


@pytest.fixture
def airlock(make_world: Callable[..., World], tmp_path: Path) -> Evidenced:
    return Evidenced(make_world, tmp_path, rulebook=rulebook(), folks=PEOPLE | {"bea": "boss"})


@pytest.fixture
def files(airlock: Evidenced) -> Files:
    release_id = blocked(airlock.world)
    waive(airlock.world, release_id)
    airlock.world.approve_all(release_id)
    airlock.world.promote(release_id)
    found = airlock.files(release_id)
    assert airlock.check(found).failures == []
    return found


def test_the_bundle_tells_who_waived_what_and_why(files: Files) -> None:
    report, gates = files["report.html"].decode(), files["gates.json"].decode()
    for text in (report, gates):
        assert "the segment is small" in text
        assert "bea" in text
    assert "Waivers" in report
    assert '"verdict": "WAIVED"' in gates


def test_a_blocked_release_with_a_waiver_still_to_come_is_told(airlock: Evidenced) -> None:
    found = airlock.files(blocked(airlock.world))
    assert airlock.check(found).failures == []


def no_waiver(dossier: Dossier) -> None:
    dossier.release.waivers.clear()


def other_evidence(dossier: Dossier) -> None:
    dossier.release.waivers[0]["evidence"] = ["sha256:0"]


def other_bytes(dossier: Dossier) -> None:
    dossier.release.waivers[0]["artifactDigest"] = "sha256:0"


def without_the_right(dossier: Dossier) -> None:
    dossier.release.waivers[0]["roles"] = ["algorithm_lead"]


def by_the_requester(dossier: Dossier) -> None:
    dossier.release.waivers[0]["person"] = "ana"


def ended(dossier: Dossier) -> None:
    dossier.release.waivers[0]["until"] = dossier.release.waivers[0]["at"]


def given_afterwards(dossier: Dossier) -> None:
    dossier.release.waivers[0]["at"] = dossier.release.waivers[0]["until"]


def for_longer_than_ninety_days(dossier: Dossier) -> None:
    given = moment(dossier.release.waivers[0]["at"])
    dossier.release.waivers[0]["until"] = stamp(given + timedelta(days=91))


def of_a_hard_gate(dossier: Dossier) -> None:
    dossier.policy["approval"]["spec"]["enforcement"] = {}


SPOILED = (
    (no_waiver, "nobody who could has waived it"),
    (other_evidence, "nobody who could has waived it"),
    (other_bytes, "nobody who could has waived it"),
    (without_the_right, "nobody who could has waived it"),
    (by_the_requester, "nobody who could has waived it"),
    (ended, "no waiver was in force at"),
    (given_afterwards, "no waiver was in force at"),
    (for_longer_than_ninety_days, "nobody who could has waived it"),
    (of_a_hard_gate, "the policy weighs it hard"),
)


def test_a_waived_gate_needs_its_waiver(files: Files) -> None:
    for spoil, words in SPOILED:
        dossier = read_dossier(files)
        spoil(dossier)
        with pytest.raises(Failed, match=words):
            check_gates(dossier)


def test_a_gate_may_be_waived_after_a_weaker_candidate_took_over(airlock: Evidenced) -> None:
    world = airlock.world
    release_id = world.open()
    weaker = world.measure("weaker", auc=0.5)
    decide.void(world.store, release_id, Actor.system("x"), "a new candidate", origin=weaker)
    waive(world, release_id)
    world.approve_all(release_id)
    found = airlock.files(release_id)
    assert airlock.check(found).failures == []
    assert '"verdict": "FAILED"' in found["gates.json"].decode()
    for spoil, said in SPOILED:
        words = "roc_auc did not open" if spoil in (no_waiver, other_evidence) else said
        dossier = read_dossier(found)
        spoil(dossier)
        with pytest.raises(Failed, match=words):
            check_gates(dossier)


def test_an_advisory_gate_may_have_failed(make_world: Callable[..., World], tmp_path: Path) -> None:
    document = rulebook()
    document["approval"]["spec"]["enforcement"] = {
        "latency": dict.fromkeys(("high", "medium", "low"), "advisory")
    }
    airlock = Evidenced(make_world, tmp_path, rulebook=document)
    airlock.world.pipeline["spec"]["gates"].append({"gate": "latency", "p95Ms": 1.0})
    airlock = Evidenced(make_world, tmp_path, rulebook=document, pipeline=airlock.world.pipeline)
    found = airlock.files(airlock.promoted())
    assert airlock.check(found).failures == []
    assert b"ERRORED" in found["gates.json"]
