"""The bundle of a release another candidate took over: its gates are told, and judged, as any."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from airlock.domain.errors import Refused
from airlock.domain.people.actors import Actor
from airlock.services.approvals import decide
from airlock.services.audit import access_log
from airlock.testing import World
from airlock_evidence.archive import Failed
from airlock_evidence.dossier import read_dossier
from airlock_evidence.judging import check_gates
from airlock_evidence.story import fold
from tests.contract.bundle_kit import Evidenced
from tests.contract.test_bundle import holds


@pytest.fixture
def airlock(make_world: Callable[..., World], tmp_path: Path) -> Evidenced:
    return Evidenced(make_world, tmp_path)


def taken_over(airlock: Evidenced, auc: float = 0.9) -> str:
    """Return an open release that the candidate of another run has taken over."""
    world = airlock.world
    release_id = world.open()
    other = world.measure("run-2", auc=auc)
    decide.void(world.store, release_id, Actor.system("decider"), "a new candidate", origin=other)
    return release_id


def test_the_gates_of_a_candidate_that_took_over_are_those_in_the_log(airlock: Evidenced) -> None:
    release_id = taken_over(airlock)
    airlock.world.approve_all(release_id)
    found = holds(airlock, release_id)
    gates = json.loads(found["files"]["gates.json"])
    assert gates["about"] == json.loads(found["files"]["subject.json"])["digest"]
    assert [(one["verdict"], one["measured"]) for one in gates["results"]] == [("PASSED", 0.9)]
    first, second = (
        one["data"]["results"][0]["evidence"]
        for one in access_log.events(airlock.world.store, release_id)
        if one["what"] == "GatesJudged"
    )
    assert set(first) != set(second)
    kept = {f"evidence/{digest.removeprefix('sha256:')}.json" for digest in (*first, *second)}
    assert kept <= set(found["files"])
    assert not any("judged here" in note for note in found["result"].notes)
    assert "judged by no gate" not in found["card"]


def test_a_forged_result_of_a_candidate_that_took_over_is_found(airlock: Evidenced) -> None:
    release_id = taken_over(airlock)
    dossier = read_dossier(airlock.files(release_id))
    dossier.release.gates[0]["verdict"] = "FAILED"
    with pytest.raises(Failed, match="is PASSED by its evidence, the log says FAILED"):
        check_gates(dossier)
    dossier.release.gates.clear()
    with pytest.raises(Failed, match="empty never passes"):
        check_gates(dossier)


def test_where_an_older_log_does_not_tell_them_the_gates_are_judged_anew(
    airlock: Evidenced,
) -> None:
    release_id = taken_over(airlock)
    airlock.world.approve_all(release_id)
    dossier = read_dossier(airlock.files(release_id))
    *_, told = [one for one in dossier.contents if one["what"] == "GatesJudged"]
    (second,) = told["data"]["results"][0]["evidence"]
    dossier.release = fold([one for one in dossier.contents if one is not told])
    assert any("judged here from the evidence" in note for note in check_gates(dossier))
    dossier.evidence[second]["facts"]["candidate"]["metrics"]["roc_auc"] = 0.1
    with pytest.raises(Failed, match=r"judged by its evidence, .* \(FAILED\) did not open"):
        check_gates(dossier)


def test_a_release_nobody_could_answer_after_it_was_void_is_told_too(airlock: Evidenced) -> None:
    release_id = taken_over(airlock, auc=0.1)
    with pytest.raises(Refused, match="judged again from its evidence"):
        airlock.world.approve(release_id, "lena")
    assert '"verdict": "FAILED"' in holds(airlock, release_id)["files"]["gates.json"].decode()
    dossier = read_dossier(airlock.files(release_id))
    dossier.release.emergency = {"incident": "INC-7"}
    with pytest.raises(Failed, match="roc_auc did not open"):
        check_gates(dossier)
    decide.withdraw(airlock.world.store, release_id, airlock.world.actor("ana"), "it is weak")
    assert holds(airlock, release_id)["outcome"]["state"] == "WITHDRAWN"
