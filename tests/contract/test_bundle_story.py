"""A story that cannot have happened is refused, even where everything in it is signed.

Whoever holds the log's key could sign anything. What is signed still has to follow Airlock's rules:
the program of the bundle knows them and folds the log for itself.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.services.approvals import delegation
from airlock.testing import PEOPLE, World
from airlock_evidence.archive import Failed
from airlock_evidence.dossier import Dossier, read_dossier
from airlock_evidence.judging import check_gates
from airlock_evidence.levels import Rights, check_levels
from airlock_evidence.risk import check_risk
from airlock_evidence.story import fold
from tests.contract.bundle_kit import Evidenced

pytestmark = pytest.mark.tamper

Body = dict[str, Any]
Change = Callable[[list[Body]], object]


@pytest.fixture(scope="module")
def dossier(tmp_path_factory: pytest.TempPathFactory) -> Dossier:
    """Return a promoted release whose second level was answered by a delegate."""
    folder = tmp_path_factory.mktemp("story")
    url = f"sqlite:///{folder / 'airlock.db'}"
    upgrade(url)

    def make(**options: Any) -> World:
        return World(SqlStore(url, pooled=False), **options)

    airlock = Evidenced(make, folder, folks={**PEOPLE, "dora": "viewer"})
    world = airlock.world
    with world.store.begin() as unit:
        now = unit.now()
    carla, end = world.actor("carla"), now + timedelta(days=1)
    delegation.delegate(world.store, world.rulebook, carla, "dora", now, end, "on leave")
    release_id = world.open()
    for name in ("lena", "dora", "mara", "milo"):
        world.approve(release_id, name)
    world.promote(release_id)
    return read_dossier(airlock.files(release_id))


def at(bodies: list[Body], what: str, number: int = 0) -> Body:
    """Return an event."""
    return [body for body in bodies if body["what"] == what][number]


def without(what: str, number: int = 0) -> Change:
    return lambda bodies: bodies.remove(at(bodies, what, number))


def moved_before(what: str, other: str) -> Change:
    def change(bodies: list[Body]) -> None:
        one = at(bodies, what)
        bodies.remove(one)
        bodies.insert(bodies.index(at(bodies, other)), one)

    return change


def voter(number: int, **changes: Any) -> Change:
    return lambda bodies: at(bodies, "VoteCast", number)["who"].update(changes)


def vote(number: int, **changes: Any) -> Change:
    return lambda bodies: at(bodies, "VoteCast", number)["data"].update(changes)


def again(what: str) -> Change:
    return lambda bodies: bodies.insert(bodies.index(at(bodies, what)), dict(at(bodies, what)))


def subject(bodies: list[Body]) -> None:
    at(bodies, "ReleaseRequested")["data"]["subject"]["version"] = "9"


def granted(name: str) -> Change:
    return lambda bodies: at(bodies, "GrantIssued")["data"].update(grant=name)


def issued_as_before(bodies: list[Body]) -> None:
    """A grant without a purpose comes with the approval; one with an attempt does not."""
    body = at(bodies, "GrantIssued")
    del body["data"]["purpose"]


def ended_before(other: str) -> Change:
    def change(bodies: list[Body]) -> None:
        begun = at(bodies, "PromotionStarted")
        data = {name: begun["data"][name] for name in ("grant", "attempt")}
        ended = {**begun, "what": "PromotionEnded", "data": data, "old": None, "new": None}
        bodies.insert(bodies.index(at(bodies, other)), ended)

    return change


def told_otherwise(what: str, when: str, **said: Any) -> Change:
    return lambda bodies: at(bodies, what)[when].update(said)


def went_on_after_a_no(bodies: list[Body]) -> None:
    at(bodies, "VoteCast")["data"]["decision"] = "reject"


def ended_by_no_no(bodies: list[Body]) -> None:
    """The no is the last thing there is: the release waits on."""
    del bodies[bodies.index(at(bodies, "VoteCast")) + 1 :]
    at(bodies, "VoteCast")["data"]["decision"] = "reject"


def over_before_the_promotion(bodies: list[Body]) -> None:
    at(bodies, "VoteCast")["data"]["conditions"] = {
        "expires_at": at(bodies, "ReleaseApproved")["at"]
    }


def broken_by_a_program(bodies: list[Body]) -> None:
    cast = at(bodies, "VoteCast")
    broken = {"incident": "INC-7", "until": "2999-01-01T00:00:00.000000000Z"}
    who = {"id": "system:decider", "roles": ["algorithm_lead"]}
    bodies.insert(bodies.index(cast), {**cast, "what": "GlassBroken", "data": broken, "who": who})


STORIES: dict[str, tuple[Change, str]] = {
    "nothing happened": (list.clear, "no release"),
    "the release was never asked for": (
        without("ReleaseRequested"),
        "before the release was asked",
    ),
    "it was asked for twice": (again("ReleaseRequested"), "asked for before"),
    "the subject is another one": (subject, "not what its digest says"),
    "the requester approved": (voter(0, id="ana"), "may not judge own work"),
    "a program approved": (voter(0, id="system:decider"), "vote of a program"),
    "one person answered at two levels": (voter(2, id="lena"), "lena answered before"),
    "a person answered after the own delegate": (voter(2, id="carla"), "carla answered before"),
    "somebody answered for the requester": (vote(1, behind="ana"), "may not judge own work"),
    "another subject was shown": (vote(0, subjectDigest="sha256:0"), "than the one shown"),
    "a vote ahead of its level": (vote(0, level=2), "where nothing is open"),
    "a vote of another round": (vote(0, round=2), "where nothing is open"),
    "an answer that is none": (vote(0, decision="maybe"), "neither"),
    "a level opened before the last was complete": (without("LevelCompleted"), "was not complete"),
    "a level was skipped": (without("LevelOpened", 1), "where nothing is open"),
    "an approval before the last level": (
        moved_before("ReleaseApproved", "LevelCompleted"),
        "before level 1 is complete",
    ),
    "a grant before the approval": (moved_before("GrantIssued", "ReleaseApproved"), "AWAITING"),
    "two grants": (again("GrantIssued"), "issues a grant twice"),
    "a promotion without a grant": (without("GrantIssued"), "was not issued"),
    "a promotion that spent nothing": (
        without("PromotionStarted"),
        "while the release is APPROVED",
    ),
    "a grant without an attempt": (issued_as_before, "while the release is PROMOTING"),
    "a grant of another attempt": (granted("grant-other"), "for another attempt"),
    "an attempt that ended and promoted": (ended_before("ReleasePromoted"), "that was revoked"),
    "an attempt that ended before it began": (ended_before("PromotionStarted"), "nobody has begun"),
    "promoted twice": (again("ReleasePromoted"), "cannot become PROMOTED"),
    "a level after a no": (went_on_after_a_no, "comes after a no, which is final"),
    "a no that ended nothing": (ended_by_no_no, "the release did not end with it"),
    "an approval that was over": (over_before_the_promotion, "approval of lena was over"),
    "a glass a program has broken": (broken_by_a_program, "by a program, not by a person"),
    "another state after it": (
        told_otherwise("ReleasePromoted", "new", state="REJECTED"),
        "says new .*REJECTED.*, the events lead to .*PROMOTED",
    ),
    "another level before it": (
        told_otherwise("ReleaseApproved", "old", level=1),
        "says old .*, the events lead to",
    ),
    "another round": (told_otherwise("GrantIssued", "new", round=2), "says new"),
}


@pytest.mark.parametrize("story", STORIES)
def test_a_story_that_cannot_have_happened_is_refused(dossier: Dossier, story: str) -> None:
    change, said = STORIES[story]
    bodies = copy.deepcopy([dict(one) for one in dossier.contents])
    change(bodies)
    with pytest.raises(Failed, match=said):
        fold(bodies)


def test_no_event_that_moves_the_release_may_be_dropped(dossier: Dossier) -> None:
    for place, one in enumerate(dossier.contents):
        bodies = [dict(other) for other in dossier.contents]
        bodies.pop(place)
        if one["what"] == "ReleasePromoted":  # the end: found by the entry of the export
            assert fold(bodies).state == "PROMOTING"
            continue
        with pytest.raises(Failed):
            judge(bodies, dossier)


def judge(bodies: list[Body], dossier: Dossier) -> None:
    told = fold(bodies)
    check_levels(told, dossier.policy, dossier.rights)
    check_gates(with_release(dossier, told))


def with_release(dossier: Dossier, told: Any) -> Dossier:
    made = copy.copy(dossier)
    made.release = told
    return made


LEVELS: dict[str, tuple[Change, str]] = {
    "a role nobody of the level needs": (voter(0, roles=["viewer"]), "level 1 asks for 1 x algo"),
    "no role at all": (voter(2, roles=[]), "level 3 asks for 2 x risk_committee"),
    "a quorum of one": (without("VoteCast", 3), "level 3 asks for 2 x risk_committee"),
    "a delegation that was never made": (vote(1, behind="luis"), "had no delegation of luis"),
    "a capacity nobody knows": (vote(1, capacity="friend"), "voted as 'friend'"),
    "a superior the policy does not name": (vote(1, capacity="stand-in"), "does not name dora"),
    "a fallback role not held": (vote(1, capacity="fallback"), "does not hold the fallback role"),
}


@pytest.mark.parametrize("story", LEVELS)
def test_a_level_without_its_people_is_refused(dossier: Dossier, story: str) -> None:
    change, said = LEVELS[story]
    bodies = copy.deepcopy([dict(one) for one in dossier.contents])
    change(bodies)
    told = fold(bodies)
    with pytest.raises(Failed, match=said):
        check_levels(told, dossier.policy, dossier.rights)


def test_a_policy_with_another_level_is_not_met(dossier: Dossier) -> None:
    policy = copy.deepcopy(dossier.policy)
    policy["approval"]["spec"]["tiers"]["high"]["levels"].append(
        {"name": "board", "rules": [{"role": "board"}]}
    )
    with pytest.raises(Failed, match="levels 1, 2, 3 of 4 complete"):
        check_levels(dossier.release, policy, dossier.rights)


def test_a_tier_below_the_declared_facts_is_refused_and_one_above_is_not(dossier: Dossier) -> None:
    risk = dossier.policy["risk"]["spec"]
    for otherwise, tier, said in (
        ("high", "high", ""),
        ("low", "high", ""),  # somebody has raised it
        ("high", "low", "opened as low, its declared facts say high"),
        ("huge", "high", "has a tier this program does not know: huge"),
    ):
        made = with_release(dossier, copy.copy(dossier.release))
        made.release.tier = tier
        made.policy = {**dossier.policy, "risk": {"spec": {**risk, "otherwise": otherwise}}}
        refusal = pytest.raises(Failed, match=said) if said else contextlib.nullcontext()
        with refusal:
            check_risk(made)


@pytest.mark.parametrize("where", [("metadata", "name"), ("spec", "environment")])
def test_the_pipeline_of_another_model_or_environment_is_refused(
    dossier: Dossier, where: tuple[str, str]
) -> None:
    made = copy.copy(dossier)
    made.pipeline = copy.deepcopy(dossier.pipeline)
    made.pipeline[where[0]][where[1]] = "other"
    with pytest.raises(Failed, match="not of credit for production"):
        check_risk(made)
    made.release = copy.copy(dossier.release)
    made.release.complete, made.release.approved_at = [], ""
    check_risk(made)  # nobody has approved anything: the release stands still


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"end": "2020-01-01T00:00:00.000000000Z"}, "had no delegation of carla"),
        ({"start": "2999-01-01T00:00:00.000000000Z"}, "had no delegation of carla"),
        ({"taker": "vera"}, "had no delegation of carla"),
    ],
)
def test_a_delegation_has_to_be_in_force(dossier: Dossier, change: Body, said: str) -> None:
    around = copy.deepcopy([dict(one) for one in dossier.around])
    at(around, "Delegated")["data"].update(change)
    with pytest.raises(Failed, match=said):
        check_levels(dossier.release, dossier.policy, Rights(around))
    gone = [one for one in dossier.around if one["what"] != "RightsChanged"]
    with pytest.raises(Failed, match="does not say which roles carla held"):
        check_levels(dossier.release, dossier.policy, Rights(gone))


def test_a_delegation_that_was_ended_lends_nothing(dossier: Dossier) -> None:
    made = at([dict(one) for one in dossier.around], "Delegated")
    ended = {**made, "what": "DelegationEnded"}
    with pytest.raises(Failed, match="had no delegation"):
        check_levels(dossier.release, dossier.policy, Rights([*dossier.around, ended]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": "FAILED"}, "is PASSED by its evidence"),
        ({"measured": 0.99}, r"is measured 0\.\d+ by its evidence, the log says 0\.99"),
        ({"n": None}, "by its evidence, the log says nothing"),
        ({"evidence": []}, "PASSED without evidence"),
        ({"evidence": ["sha256:00"]}, "is missing"),
        ({"key": "latency"}, "has no result"),
    ],
)
def test_a_gate_result_the_evidence_does_not_bear_out_is_refused(
    dossier: Dossier, change: Body, said: str
) -> None:
    bodies = copy.deepcopy([dict(one) for one in dossier.contents])
    at(bodies, "GatesJudged")["data"]["results"][0].update(change)
    with pytest.raises(Failed, match=said):
        check_gates(with_release(dossier, fold(bodies)))


def test_a_release_without_any_gate_result_did_not_pass(dossier: Dossier) -> None:
    bodies = copy.deepcopy([dict(one) for one in dossier.contents])
    at(bodies, "GatesJudged")["data"]["results"] = []
    with pytest.raises(Failed, match="empty never passes"):
        check_gates(with_release(dossier, fold(bodies)))


@pytest.mark.parametrize("broken", [None, 5, [], "x", {}])
def test_a_malformed_event_is_a_failure_and_no_accident(dossier: Dossier, broken: Any) -> None:
    for place, one in enumerate(dossier.contents):
        bodies = copy.deepcopy([dict(other) for other in dossier.contents])
        bodies[place]["data"] = broken
        if one["what"] not in MOVING:
            continue
        with pytest.raises(Failed):
            judge(bodies, dossier)


#: The events whose data decides something.
MOVING = frozenset(
    {
        "ReleaseRequested",
        "GatesJudged",
        "LevelOpened",
        "VoteCast",
        "LevelCompleted",
        "GrantIssued",
        "PromotionStarted",
        "ReleasePromoted",
    }
)
