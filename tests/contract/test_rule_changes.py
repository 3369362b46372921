"""Open releases and every kind of legal edit: what becomes of each, and who is told.

The tables of docs/reference/rule-changes.md are held against the ones here.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from airlock.domain.approval.approval_conditions import Conditions, Demand
from airlock.domain.approval.policy import Rulebook
from airlock.domain.approval.release import Release, State
from airlock.domain.errors import Refused
from airlock.domain.people.separation_of_duties import SHIPPED, unknown_because
from airlock.ports import Account, PromotionRequest
from airlock.services.approvals import break_glass, deadlines, policy_registry, reassignment
from airlock.services.approvals.invalidation import void_stale
from airlock.services.audit import access_log
from airlock.services.notifications.outbox_relay import Delivery
from airlock.services.people import sync
from airlock.services.queries import releases as release_queries
from airlock.testing import PEOPLE, RULEBOOK, FakeAirflow, FakeClock, World, pipeline_document
from tests.contract.conftest import BuiltOnce, Database
from tests.contract.test_broken_rows import edit as edit_row
from tests.support import ROOT, sample

Document = dict[str, Any]
ENVIRONMENT = "preproduction"


def rules() -> Document:
    """Return a policy that may be edited in every way of the table and stays legal."""
    book: Document = copy.deepcopy(dict(RULEBOOK))
    place = {"gates": True, "people": True, "alias": ENVIRONMENT}
    book["approval"]["spec"]["environments"][ENVIRONMENT] = place
    roles = ["algorithm_lead", "compliance_officer"]
    glass = {"roles": roles, "people": 2, "hours": 4, "reviewers": ["security_auditor"]}
    book["approval"]["spec"]["breakGlass"] = glass
    return book


def pipeline(name: str, environment: str = ENVIRONMENT) -> Document:
    document = pipeline_document(environment=environment)
    document["metadata"]["name"] = name
    return document


# -- the states -----------------------------------------------------------------------------------


def level_1(world: World, name: str) -> str:
    return world.open(name)


def level_2(world: World, name: str) -> str:
    release_id = world.open(name)
    world.approve(release_id, "lena")
    return release_id


def last_level(world: World, name: str) -> str:
    release_id = level_2(world, name)
    world.approve(release_id, "carla")
    world.approve(release_id, "mara")
    return release_id


def approved(world: World, name: str) -> str:
    release_id = last_level(world, name)
    world.approve(release_id, "milo")
    return release_id


def conditional(world: World, name: str) -> str:
    release_id = last_level(world, name)
    asked = Conditions(findings=(Demand(text="mend it", owner="ana", due="2999-01-01T00:00:00Z"),))
    world.approve(release_id, "milo", conditions=asked)
    return release_id


def glass_broken_by_one(world: World, name: str) -> str:
    release_id = world.open(name)
    _smash(world, release_id, "lena")
    return release_id


def glass_broken(world: World, name: str) -> str:
    release_id = glass_broken_by_one(world, name)
    _smash(world, release_id, "carla")
    return release_id


def promoting(world: World, name: str) -> str:
    release_id = approved(world, name)
    world.promoter.begin(PromotionRequest(release=release_id, attempt="slow"))
    return release_id


def _smash(world: World, release_id: str, who: str) -> None:
    actor = world.actor(who)
    break_glass.break_glass(world.store, world.signer, release_id, actor, "it burns", "INC-1")


STATES: Mapping[str, Callable[[World, str], str]] = {
    "level-1": level_1,
    "level-2": level_2,
    "last-level": last_level,
    "approved": approved,
    "conditional": conditional,
    "one-broke-the-glass": glass_broken_by_one,
    "glass-broken": glass_broken,
    "promoting": promoting,
}


# -- the edits ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Edit:
    """One edit; *becomes*: goes on, voided, voided and told that it stands still, or ended."""

    change: Callable[[Document, list[Document]], None]
    becomes: str
    why: str = ""


def _tier(book: Document) -> list[Document]:
    levels: list[Document] = book["approval"]["spec"]["tiers"]["high"]["levels"]
    return levels


def _set(*path: str | int, to: Any) -> Callable[[Document, list[Document]], None]:
    def change(book: Document, _: list[Document]) -> None:
        place: Any = book
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return change


def _drop(*path: str | int) -> Callable[[Document, list[Document]], None]:
    def change(book: Document, _: list[Document]) -> None:
        place: Any = book
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return change


def _each(*path: str, to: Any) -> Callable[[Document, list[Document]], None]:
    def change(_: Document, pipelines: list[Document]) -> None:
        for document in pipelines:
            place: Any = document
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = to

    return change


def _rename_role(book: Document, _: list[Document]) -> None:
    access = book["access"]["spec"]
    access["roles"]["model_lead"] = access["roles"].pop("algorithm_lead")
    access["airflowRoles"]["algorithm_lead"] = "model_lead"
    for tier in book["approval"]["spec"]["tiers"].values():
        tier["levels"][0]["rules"] = [{"role": "model_lead"}]
    book["approval"]["spec"]["breakGlass"]["roles"] = ["model_lead", "compliance_officer"]


_SPEC = ("approval", "spec")
_HERE = (*_SPEC, "environments", ENVIRONMENT)
_LEVELS = (*_SPEC, "tiers", "high", "levels")
_LATER = "was registered at .*, after this run began"

EDITS: Mapping[str, Edit] = {
    "nothing": Edit(lambda _, __: None, "goes on"),
    "people: false": Edit(_set(*_HERE, "people", to=False), "ended", "asks nobody any more"),
    "environment removed": Edit(_drop(*_HERE), "ended", "unknown environment 'preproduction'"),
    "environment's alias changed": Edit(_set(*_HERE, "alias", to="shadow"), "voided"),
    "role renamed": Edit(_rename_role, "stands still", "asks for less"),
    "level renamed": Edit(_set(*_LEVELS, 0, "name", to="modelling"), "voided"),
    "level added": Edit(
        lambda book, _: _tier(book).append({"name": "x", "rules": [{"role": "algorithm_lead"}]}),
        "voided",
    ),
    "level removed": Edit(_drop(*_LEVELS, 1), "stands still", "asks for less"),
    "levels swapped": Edit(lambda book, _: _tier(book).reverse(), "stands still", "asks for less"),
    "rule added": Edit(
        lambda book, _: _tier(book)[1]["rules"].append({"role": "algorithm_lead"}), "voided"
    ),
    "rule replaced": Edit(
        _set(*_LEVELS, 1, "rules", to=[{"role": "risk_committee"}]), "stands still", "asks for less"
    ),
    "quorum raised": Edit(_set(*_LEVELS, 2, "rules", 0, "count", to=3), "voided"),
    "quorum raised beyond everybody": Edit(
        _set(*_LEVELS, 2, "rules", 0, "count", to=9), "stands still", "could never be approved"
    ),
    "quorum lowered": Edit(
        _set(*_LEVELS, 2, "rules", 0, "count", to=1), "stands still", "asks for less"
    ),
    "deadline changed": Edit(
        _set(*_SPEC, "tiers", "high", "timers", to={"remindHours": 2, "expireHours": 4}), "voided"
    ),
    "approval's life changed": Edit(_set(*_SPEC, "grantHours", to=1), "voided"),
    "gate made soft": Edit(
        _set(
            *(*_SPEC, "enforcement"),
            to={"metrics-threshold": {"low": "soft", "high": "soft"}},
        ),
        "stands still",
        "asks for less",
    ),
    "emergencies no longer allowed": Edit(_drop(*_SPEC, "breakGlass"), "voided"),
    "committee kept out": Edit(
        _set(*_SPEC, "separationOfDuties", to={"also": [{"role": "risk_committee"}]}),
        "stands still",
        "could never be approved",
    ),
    "people of Airflow's role": Edit(
        _set("access", "spec", "airflowRoles", "viewer", to="developer"), "voided"
    ),
    "a superior named": Edit(_set("access", "spec", "superiors", to={"lena": "luis"}), "voided"),
    "tier lowered": Edit(_set("risk", "spec", "otherwise", to="low"), "voided"),
    "owner changed": Edit(_each("metadata", "owner", to="luis"), "stands still", _LATER),
    "gate's limit changed": Edit(
        lambda _, pipelines: _limit(pipelines, 0.1), "stands still", _LATER
    ),
    "pipeline's risk changed": Edit(
        _each("spec", "risk", "impact", to="none"), "stands still", _LATER
    ),
    "pipeline for another environment": Edit(
        _each("spec", "environment", to="production"), "ended", "is that of .* for production"
    ),
    "pipeline removed": Edit(
        lambda _, pipelines: pipelines.clear(), "told", "is not in force any more"
    ),
}


def _limit(pipelines: list[Document], threshold: float) -> None:
    for document in pipelines:
        document["spec"]["gates"][0]["threshold"] = threshold


# -- the table ------------------------------------------------------------------------------------


@dataclass
class Table:
    """One world with a release in each state, each of a pipeline of its own."""

    world: World
    clock: FakeClock
    pipelines: list[Document]
    releases: dict[str, str]

    def edit(self, edit: Edit) -> Document:
        book, pipelines = rules(), [pipeline(name) for name in STATES]
        edit.change(book, pipelines)
        self.world.pipeline = pipelines[0] if pipelines else self.world.pipeline
        policy_registry.register(self.world.store, book, pipelines, SHIPPED)
        return book

    def now(self, name: str) -> Release:
        return release_queries.outcome(self.world.store, self.releases[name])

    def told(self) -> dict[str, list[Mapping[str, Any]]]:
        """Return release -> the notices that are waiting to be sent."""
        found: dict[str, list[Mapping[str, Any]]] = {one: [] for one in self.releases.values()}
        with self.world.store.begin() as unit:
            for message in unit.claim(10_000):
                if message.kind == "notify" and message.payload.get("about") == "void":
                    found[message.payload["release"]].append(message.payload)
        return found


@pytest.fixture
def table(built_once: BuiltOnce, make_world: Callable[..., World], clock: FakeClock) -> Table:
    documents = [pipeline(name) for name in STATES]

    def build() -> tuple[World, dict[str, str]]:
        world = make_world(clock, rulebook=rules(), pipeline=documents[0])
        policy_registry.register(world.store, rules(), documents, SHIPPED)
        releases = {}
        for document, (name, reach) in zip(documents, STATES.items(), strict=True):
            world.pipeline = document
            releases[name] = reach(world, name)
        return world, releases

    world, releases = built_once("a release in each state", build)
    return Table(world, clock, documents, releases)


def _everybody_works(table: Table, book: Document) -> None:
    """Everything that goes round on its own, and everything people look at."""
    world, airflow = table.world, FakeAirflow()
    accounts = [
        Account(name, name.title(), frozenset({role}), True) for name, role in PEOPLE.items()
    ]
    sync.sync(world.store, Rulebook.from_document(book), accounts)
    deadlines.arm_missing(world.store)
    deadlines.sweep(world.store)
    reassignment.notify(world.store)
    for _ in range(3):
        Delivery(world.store, world.signer, airflow, guard_seconds=0).run()
    release_queries.listing(world.store)
    for name in PEOPLE:
        release_queries.inbox(world.store, world.actor(name))
    for release_id in table.releases.values():
        release_queries.show(world.store, world.keys, release_id, world.actor("lena"))


@pytest.mark.parametrize("name", sample(EDITS, 5))
def test_what_becomes_of_every_open_release(table: Table, name: str) -> None:
    edit = EDITS[name]
    before = {state: table.now(state) for state in STATES}
    book = table.edit(edit)
    told = table.told()
    for state, release_id in table.releases.items():
        after = table.now(state)
        if state == "promoting":
            assert (after.state, after.round) == (State.PROMOTING, 1), state
            continue
        _check(edit, before[state], after, told[release_id])
    assert void_stale(table.world.store, book, table.pipelines).failed == {}
    _everybody_works(table, book)
    assert access_log.verify(table.world.store, table.world.keys).ok


def _check(edit: Edit, before: Release, after: Release, told: list[Mapping[str, Any]]) -> None:
    """Hold one release against the table."""
    if edit.becomes in ("goes on", "told"):
        assert after == before
    elif edit.becomes == "ended":
        assert after.state is State.EXPIRED
        _matches(edit.why, after.why)
    else:
        assert re.search(r"(policy|pipeline [a-z0-9-]+): [a-z]", after.why), after.why
        assert (after.state, after.level, after.round) == (State.AWAITING_APPROVAL, 1, 2)
        assert after.tier is before.tier
    asked = before.voters | ({before.requester} if edit.becomes != "voided" else set())
    if edit.becomes == "goes on":
        assert told == []
        return
    (notice,) = told
    assert set(notice["people"]) == ({before.requester} if edit.becomes == "told" else asked)
    _matches(edit.why, notice["text"])


def _matches(why: str, text: str) -> None:
    assert re.search(why, text), text


@pytest.mark.parametrize("name", ["people: false", "level added", "nothing"])
def test_a_promotion_under_way_ends_first(table: Table, name: str) -> None:
    edit = EDITS[name]
    before = table.now("approved")
    book = table.edit(edit)
    assert (
        table.releases["promoting"] in void_stale(table.world.store, book, table.pipelines).underway
    ) is (name != "nothing")
    with pytest.raises(Refused, match="the alias had not moved"):
        table.world.promoter.finish(table.releases["promoting"], "slow")
    assert void_stale(table.world.store, book, table.pipelines).underway == []
    after = table.now("promoting")
    if name == "nothing":
        assert after.state is State.APPROVED
    elif name == "people: false":
        assert after.state is State.EXPIRED
    else:
        assert (after.state, after.round) == (before.state.AWAITING_APPROVAL, 2)
    assert access_log.verify(table.world.store, table.world.keys).ok


def test_asked_twice_nobody_hears_of_it_twice(table: Table) -> None:
    book = table.edit(EDITS["pipeline removed"])
    table.edit(EDITS["pipeline removed"])
    assert void_stale(table.world.store, book, []).moved == []
    assert {len(notices) for notices in table.told().values()} == {1}


@pytest.mark.parametrize("name", ["quorum raised", "level added", "rule added", "tier lowered"])
def test_what_asks_for_more_is_answered_anew(table: Table, name: str) -> None:
    table.edit(EDITS[name])
    world, release_id = table.world, table.releases["last-level"]
    for who in ("lena", "carla", "luis", "mara", "milo", "mina", "luis"):
        if release_queries.outcome(world.store, release_id).state is State.AWAITING_APPROVAL:
            try:
                world.approve(release_id, who)
            except Refused:
                continue  # not this one's turn
    assert release_queries.outcome(world.store, release_id).state is State.APPROVED


@pytest.mark.parametrize(
    ("name", "change", "ends"),
    [
        ("people: true", _set(*_SPEC, "environments", "staging", "people", to=True), "voided"),
        ("environment removed", _drop(*_SPEC, "environments", "staging"), "ended"),
        ("level added", EDITS["level added"].change, "goes on"),
        ("gate's limit changed", EDITS["gate's limit changed"].change, "goes on"),
        ("pipeline for production", _each("spec", "environment", to="production"), "ended"),
    ],
)
def test_what_gates_alone_released(
    make_world: Callable[..., World], name: str, change: Any, ends: str
) -> None:
    documents = [pipeline("credit", "staging"), pipeline("other", "staging")]
    world = make_world(FakeClock(), rulebook=rules(), pipeline=documents[0])
    policy_registry.register(world.store, rules(), documents, SHIPPED)
    settled = world.open()
    Delivery(world.store, world.signer, FakeAirflow(), guard_seconds=0).run()
    world.pipeline = documents[1]
    requested = world.open()  # nobody has settled it yet
    book = rules()
    change(book, documents)
    policy_registry.register(world.store, book, documents, SHIPPED)
    assert release_queries.outcome(world.store, requested).state is State.REQUESTED
    Delivery(world.store, world.signer, FakeAirflow(), guard_seconds=0).run()
    void_stale(world.store, book, documents)
    expected = {
        "voided": (State.AWAITING_APPROVAL, 2),
        "ended": (State.EXPIRED, 1),
        "goes on": (State.APPROVED, 1),
    }[ends]
    for release_id in (settled, requested):
        after = release_queries.outcome(world.store, release_id)
        assert (after.state, after.round) == expected, name
    assert access_log.verify(world.store, world.keys).ok


def test_a_riskier_tier_ends_what_was_opened_as_a_lower_one(
    make_world: Callable[..., World],
) -> None:
    document = pipeline_document(impact="none", environment=ENVIRONMENT)
    world = make_world(FakeClock(), rulebook=rules(), pipeline=document)
    release_id = world.open()
    book = rules()
    book["risk"]["spec"]["rules"] = []
    policy_registry.register(world.store, book, [document], SHIPPED)
    after = release_queries.outcome(world.store, release_id)
    assert after.state is State.EXPIRED
    assert "it was opened as low, and is high under the rules in force" in after.why


def test_a_release_that_cannot_be_judged_keeps_no_other_from_being_voided(
    table: Table, database: Database
) -> None:
    broken = table.releases["level-1"]
    subject = table.now("level-1").subject.to_document()
    subject["policy_digest"] = "sha256:" + "0" * 64
    text = json.dumps(subject, sort_keys=True)
    edit_row(database, "UPDATE release SET subject = :text WHERE id = :id", text=text, id=broken)
    book = rules()
    EDITS["level added"].change(book, table.pipelines)
    found = void_stale_of(table, book)
    assert list(found.failed) == [broken]
    assert table.now("level-2").round == table.now("approved").round == 2


def void_stale_of(table: Table, book: Document) -> Any:
    policy_registry.keep(table.world.store, book, table.pipelines, SHIPPED)
    return void_stale(table.world.store, book, table.pipelines)


def test_the_documented_table_is_this_one() -> None:
    text = (ROOT / "docs" / "reference" / "rule-changes.md").read_text()
    rows = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|", text, re.MULTILINE))
    assert {name: rows.get(name) for name in EDITS} == {
        name: edit.becomes for name, edit in EDITS.items()
    }


def test_a_void_names_the_keys_that_differ_and_what_is_in_no_commit(table: Table) -> None:
    book = rules()
    _tier(book)[2]["rules"][0]["count"] = 3
    missing = unknown_because("in no commit: include/policies/approvals.yaml")
    policy_registry.register(table.world.store, book, table.pipelines, missing)
    assert table.now("level-1").why == (
        "other rules were registered while this release was open: "
        "policy: approval.spec.tiers.high.levels[2].rules[0].count "
        "(unknown: in no commit: include/policies/approvals.yaml)"
    )
