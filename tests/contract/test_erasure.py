"""Personal text: nowhere but beside the log, and gone for good once it is erased."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import DBAPIError

from airlock.adapters.sql_store import SqlStore
from airlock.adapters.sql_store.tables import metadata
from airlock.adapters.sql_store.unit import SqlUnit
from airlock.domain.approval.approval_conditions import Conditions, Demand
from airlock.domain.approval.release import Decision, Release, State
from airlock.domain.clock import stamp
from airlock.domain.errors import Conflict, Forbidden, Invalid, NotFound
from airlock.domain.log.erasable_texts import ALTERED, ERASED, commit, is_commitment
from airlock.services.approvals import break_glass, decide, delegation
from airlock.services.audit import access_log, erasure
from airlock.services.promotion import rollback
from airlock.services.queries import duties, releases
from airlock.testing import PEOPLE, RULEBOOK, World
from tests.contract.conftest import Database

WORDS = "I have known Mrs Miller since school"


def book() -> dict[str, Any]:
    document = copy.deepcopy(dict(RULEBOOK))
    glass = {"roles": ["algorithm_lead", "compliance_officer"], "people": 2, "hours": 4}
    document["approval"]["spec"]["breakGlass"] = glass | {"reviewers": ["security_auditor"]}
    roles = document["access"]["spec"]["roles"]
    roles["operator"] = {"inherits": ["viewer"], "permissions": ["release:promote"]}
    return document


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world(rulebook=book(), folks={**PEOPLE, "otto": "operator"})


class OldUnit(SqlUnit):
    """A transaction of the time when texts stood in the log."""

    def _commit_to(self, stream: str, person: str, text: str) -> str:
        return text


class OldStore(SqlStore):
    """The store as it was."""

    def begin(self) -> SqlUnit:
        return OldUnit(self._engine.connect())


def erase(world: World, person: str) -> erasure.Erased:
    return erasure.erase(world.store, world.actor("admin"), person, "asked for it")


def finish(world: World, release_id: str) -> Release:
    """Approve at the levels after the first."""
    for name in ("carla", "mara", "milo"):
        release = world.approve(release_id, name)
    return release


def owner(database: Database) -> Any:
    return create_engine(database.urls.get("postgres", database.urls["airlock_decider"]))


def places(database: Database, words: str) -> set[str]:
    """Return every table that holds the words somewhere."""
    found = set()
    with owner(database).connect() as connection:
        for table in metadata.sorted_tables:
            for row in connection.execute(table.select()):
                cells = [bytes(c).decode(errors="replace") if isinstance(c, bytes) else str(c)
                         for c in row]  # fmt: skip
                if any(words in cell for cell in cells):
                    found.add(table.name)
    return found


def attack(database: Database, *statements: str) -> None:
    """Do as somebody who owns the whole database would."""
    with owner(database).begin() as connection:
        if database.kind == "postgres":
            connection.execute(text("ALTER TABLE audit_text DISABLE TRIGGER ALL"))
        else:
            connection.execute(text("DROP TRIGGER text_no_update"))
            connection.execute(text("DROP TRIGGER text_no_delete"))
        for statement in statements:
            connection.execute(text(statement))


def say_everything(world: World) -> str:
    """Let people write the words everywhere they can, and return a release."""
    say = {"reason": WORDS}
    with world.store.begin() as unit:
        now = unit.now()
    demand = Demand(text=WORDS, owner="ana", due=stamp(now + timedelta(days=9)))
    first = world.open("one")
    world.approve(first, "lena", "key-1", **say, conditions=Conditions(findings=(demand,)))
    for name in ("carla", "mara", "milo"):
        world.approve(first, name, **say)
    world.promote(first, "one")
    second = world.open("two")
    for name in ("lena", "carla", "mara", "milo"):
        world.approve(second, name, **say)
    world.promote(second, "two")
    actor = world.actor("otto")
    rollback.allow(world.store, second, actor, WORDS)
    world.promote(second, "back")
    (found, *_) = duties.finding_rows(world.store).rows
    lena = world.actor("lena")
    delegation.close_finding(world.store, world.rulebook, world.actor("mara"), found["id"], WORDS)
    end = now + timedelta(days=1)
    delegation.delegate(world.store, world.rulebook, lena, "luis", now, end, WORDS)
    emergency_release = world.open("three")
    for name in ("lena", "carla"):
        break_glass.break_glass(
            world.store, world.signer, emergency_release, world.actor(name), WORDS, "INC-7"
        )
    break_glass.review(world.store, emergency_release, world.actor("sam"), WORDS)
    rejected = world.request(world.measure("four"), "supersede").release
    assert rejected is not None
    world.vote(rejected.id, "lena", Decision.REJECT, **say)
    for name in ("luis", "carla"):
        with pytest.raises((Conflict, Forbidden)):
            world.approve(rejected.id, name, **say)
    withdrawn = world.open("five")
    decide.withdraw(world.store, withdrawn, world.actor("ana"), WORDS)
    list(access_log.export(world.store, world.keys, world.actor("sam"), WORDS))
    return first


def test_somebody_who_wrote_nothing_is_erased_too_and_that_is_in_the_log(world: World) -> None:
    assert erase(world, "vera") == erasure.Erased("vera", 0)
    (told,) = [
        one
        for one in access_log.events(world.store, "access")
        if one["what"] == "PersonalTextErased"
    ]
    assert (told["who"]["id"], told["why"]) == ("admin", "asked for it")
    assert told["data"] == {"person": "vera", "texts": 0, "commitments": []}
    assert access_log.verify(world.store, world.keys).ok


def test_an_erasure_needs_a_reason_and_somebody_known(world: World) -> None:
    with pytest.raises(Invalid, match="a reason of 3"):
        erasure.erase(world.store, world.actor("admin"), "lena", " ")
    with pytest.raises(NotFound, match="does not know 'nobody'"):
        erase(world, "nobody")


def test_what_people_write_stands_beside_the_log_and_nowhere_else(
    world: World, database: Database
) -> None:
    say_everything(world)
    assert places(database, WORDS) == {"audit_text"}
    assert access_log.verify(world.store, world.keys).ok


def test_an_erased_text_is_nowhere_and_every_proof_still_holds(
    world: World, database: Database
) -> None:
    first = say_everything(world)
    before = access_log.verify(world.store, world.keys)
    for person in (*PEOPLE, "otto"):
        erase(world, person)
    assert places(database, WORDS) == set()
    assert places(database, "Lena") == set()  # the display name
    report = access_log.verify(world.store, world.keys)
    assert report.ok, report.damages
    assert (report.releases, report.grants) == (before.releases, before.grants)
    shown = releases.show(world.store, world.keys, first, None)
    assert {vote["reason"] for level in shown["levels"] for vote in level["votes"]} == {ERASED}
    assert {one["text"] for one in duties.finding_rows(world.store).rows} == {ERASED}
    assert {one["reason"] for one in duties.delegation_rows(world.store).rows} == {ERASED}
    votes = [one for one in access_log.events(world.store, first) if one["what"] == "VoteCast"]
    assert {one["why"] for one in votes} == {ERASED}
    assert votes[0]["data"]["conditions"]["findings"][0]["text"] == ERASED


def test_the_texts_of_others_stay(world: World) -> None:
    release_id = world.open()
    world.approve(release_id, "lena", reason="mine is erased")
    world.approve(release_id, "carla", reason="mine stays")
    assert erase(world, "lena").texts == 1
    assert [vote.reason for vote in releases.outcome(world.store, release_id).votes] == [
        ERASED,
        "mine stays",
    ]


def test_a_finding_belongs_to_whoever_demanded_it_not_to_who_completed_the_level(
    world: World,
) -> None:
    release_id = world.open()
    with world.store.begin() as unit:
        due = stamp(unit.now() + timedelta(days=9))
    demand = Demand(text="mend the sample", owner="ana", due=due)
    world.approve(release_id, "lena", conditions=Conditions(findings=(demand,)))
    finish(world, release_id)
    assert duties.finding_rows(world.store).rows[0]["text"] == "mend the sample"
    erase(world, "milo")
    assert duties.finding_rows(world.store).rows[0]["text"] == "mend the sample"
    erase(world, "lena")
    assert duties.finding_rows(world.store).rows[0]["text"] == ERASED
    assert access_log.verify(world.store, world.keys).ok


def test_a_release_goes_on_after_a_voter_was_erased(world: World) -> None:
    release_id = world.open()
    world.approve(release_id, "lena")
    erase(world, "lena")
    assert finish(world, release_id).state is State.APPROVED
    assert world.promote(release_id).after == "1"
    assert access_log.verify(world.store, world.keys).ok


def test_nobodys_words_are_repeated_in_the_event_of_somebody_else(
    world: World, database: Database
) -> None:
    release_id = world.open()
    world.vote(release_id, "lena", Decision.REJECT, reason=WORDS)
    with pytest.raises(Conflict):
        world.approve(release_id, "luis")
    with pytest.raises(Exception, match="nothing may be promoted"):
        world.promote(release_id)
    erase(world, "lena")
    assert places(database, WORDS) == set()


def test_a_text_that_is_spelled_like_a_commitment_is_a_text(world: World) -> None:
    release_id = world.open()
    world.approve(release_id, "lena", reason="the secret of lena")
    with world.store.begin() as unit:
        (commitment,) = unit.texts(release_id)
    world.approve(release_id, "carla", reason=commitment)
    votes = releases.outcome(world.store, release_id).votes
    assert [vote.reason for vote in votes] == ["the secret of lena", commitment]
    assert access_log.verify(world.store, world.keys).ok


def test_the_store_gives_commitment_salt_and_text_of_a_stream(world: World) -> None:
    release_id = world.open()
    world.approve(release_id, "lena", reason="good numbers")
    with world.store.begin() as unit:
        found = unit.texts(release_id)
        assert unit.texts_of(found) == found
        assert unit.texts("rel-none") == {}
    ((commitment, (salt, said)),) = found.items()
    assert (len(salt), said, commit(salt, said)) == (32, "good numbers", commitment)
    erase(world, "lena")
    with world.store.begin() as unit:
        assert unit.texts(release_id) == {}


def test_the_same_words_have_another_commitment_every_time(world: World) -> None:
    release_id = world.open()
    for name in ("lena", "carla", "mara"):
        world.approve(release_id, name, reason="the same words")
    with world.store.begin() as unit:
        assert len(unit.texts(release_id)) == 3


def test_a_vote_costs_one_more_statement(world: World) -> None:
    release_id = world.open()
    seen: list[str] = []
    engine = world.store._engine  # type: ignore[attr-defined]
    event.listen(engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
    world.approve(release_id, "lena")
    assert [one.split()[0] for one in seen if "audit_text" in one] == ["INSERT"]


def test_entries_from_before_with_their_texts_inside_stay_valid(
    database: Database,
) -> None:
    store = database.store("airlock_decider")
    world = World(
        OldStore(database.urls["airlock_decider"]), worker=database.store("airlock_worker")
    )
    release_id = world.open("old")
    world.approve(release_id, "lena", reason="written in the clear")
    world.store = store
    world.approve(release_id, "carla", reason="written beside it")
    report = access_log.verify(world.store, world.keys)
    assert report.ok, report.damages
    votes = releases.outcome(world.store, release_id).votes
    assert [vote.reason for vote in votes] == ["written in the clear", "written beside it"]


@pytest.mark.tamper
@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE audit_text SET text = 'I agree' WHERE person = 'lena'", "does not match"),
        ("UPDATE audit_text SET salt = text WHERE person = 'lena'", "does not match"),
        ("DELETE FROM audit_text WHERE person = 'lena'", "no entry says that it was erased"),
        (
            "UPDATE audit_text SET text = NULL, salt = NULL, erased_at = 'x' WHERE person = 'lena'",
            "no entry says that it was erased",
        ),
    ],
)
def test_a_text_changed_or_taken_away_is_found_and_named(
    world: World, database: Database, damage: str, found: str
) -> None:
    release_id = world.open()
    world.approve(release_id, "lena", reason="never")
    if database.kind == "postgres":
        damage = damage.replace("salt = text", r"salt = '\x00'::bytea")
    attack(database, damage)
    damages = access_log.verify(world.store, world.keys).damages
    assert any(found in one and f"stream {release_id}, entry 4" in one for one in damages), damages
    shown = access_log.events(world.store, release_id)[3]["why"]
    assert shown == (ALTERED if "match" in found else ERASED)


@pytest.mark.attack
def test_the_database_lets_nobody_change_a_text(world: World, database: Database) -> None:
    release_id = world.open()
    world.approve(release_id, "lena", reason="never")
    statements = ("UPDATE audit_text SET text = 'x'", "DELETE FROM audit_text")
    for url in set(database.urls.values()):
        for statement in statements:
            with (
                pytest.raises(DBAPIError, match=r"kept or erased|permission denied"),
                create_engine(url).begin() as connection,
            ):
                connection.execute(text(statement))


@pytest.mark.attack
def test_the_worker_erases_nothing(postgres_database: Database) -> None:
    store = postgres_database.store("airlock_decider")
    worker = postgres_database.store("airlock_worker")
    world = World(store, worker=worker)
    world.approve(world.open(), "lena")
    with pytest.raises(Exception, match="permission denied"):
        erasure.erase(worker, world.actor("admin"), "lena", "asked for it")
    assert not is_commitment(access_log.events(store)[-1]["why"])
