"""Approvers are enrolled: what an Airflow administrator, or whoever holds its database, cannot do.

Over SQLite and PostgreSQL. What needs a real Airflow is in tests/airflow/test_approver_accounts.py.
"""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from airlock.domain.approval.release import Decision, State
from airlock.domain.errors import AirlockError, Conflict, Forbidden, Invalid, NotFound
from airlock.domain.people.actors import Actor, Channel, Person, holders
from airlock.domain.people.enrolment import ENROL, OWNER, Enrolment
from airlock.ports import Account, Store
from airlock.services.approvals import decide, delegation
from airlock.services.audit import access_log, verification
from airlock.services.people import enrolment, recognition, sync
from airlock.services.queries import releases
from airlock.testing import RULEBOOK, FakeKeys, World
from airlock.testing.approvers import seen_account
from tests.contract.conftest import Database

LEAD = frozenset({"algorithm_lead"})
WHY = "leads the credit team since May"


def airflow_says(world: World, name: str, role: str = "algorithm_lead", **values: str) -> Actor:
    """Have somebody log in whom Airflow gives a role; nobody has enrolled anybody."""
    return recognition.recognise(
        world.store,
        world.rulebook,
        name,
        name.title(),
        frozenset({role}),
        Channel.API,
        seen_account(name, **values),
    )


def proposed(world: World, name: str, by: str = "admin", role: str = "algorithm_lead") -> Enrolment:
    return enrolment.propose(world.store, world.rulebook, world.actor(by), name, role, WHY)


def enrolled(world: World, name: str, role: str = "algorithm_lead") -> Enrolment:
    made = proposed(world, name, role=role)
    return enrolment.confirm(world.store, world.rulebook, world.actor("sam"), made.id, WHY)


def vote(world: World, release_id: str, actor: Actor) -> None:
    ballot = world.ballot(release_id, Decision.APPROVE)
    decide.vote(world.store, world.signer, release_id, ballot, actor)


def events(world: World, what: str) -> list[dict[str, object]]:
    return [e for e in access_log.events(world.store, "access", 1000) if e["what"] == what]


def may_vote(world: World) -> set[str]:
    with world.store.begin() as unit:
        return {who for who, roles in holders(unit.people()).items() if roles & LEAD}


# the administrator's four


def test_an_airflow_admin_who_makes_four_accounts_with_voting_roles_releases_nothing(
    world: World,
) -> None:
    release_id = world.open()
    roles = {"mallory-1": "algorithm_lead", "mallory-2": "compliance_officer"}
    roles |= {"mallory-3": "risk_committee", "mallory-4": "risk_committee"}
    for name, role in roles.items():
        actor = airflow_says(world, name, role)
        with pytest.raises(Forbidden, match=r"\(not enrolled\)"):
            vote(world, release_id, actor)
    with pytest.raises(Forbidden, match="nobody enrols oneself"):
        enrolment.propose(
            world.store, world.rulebook, world.actor("admin"), "admin", "algorithm_lead", WHY
        )
    for name in roles:  # and alone, an enrolled administrator gets no further than a proposal
        made = proposed(world, name, role=roles[name])
        with pytest.raises(Forbidden, match="admin proposed it"):
            enrolment.confirm(world.store, world.rulebook, world.actor("admin"), made.id, WHY)
    assert releases.outcome(world.store, release_id).state is State.AWAITING_APPROVAL
    assert may_vote(world) == {"lena", "luis"}


def test_a_password_reset_leaves_an_event_and_suspends_the_person(world: World) -> None:
    release_id = world.open()
    actor = airflow_says(world, "lena", password="set by the administrator")
    assert (actor.roles, actor.unconfirmed) == (frozenset(), LEAD)
    with pytest.raises(Forbidden, match="not enrolled"):
        vote(world, release_id, actor)
    (changed,) = events(world, "AccountChanged")
    assert changed["why"] == "lena has a new password in Airflow"
    (suspended,) = events(world, "ApproverSuspended")
    assert "a new password" in str(suspended["why"])
    with world.store.begin() as unit:
        keys = [message.kind for message in unit.claim(500)]
    assert {"people", "duties"} <= set(keys)


@pytest.mark.parametrize(
    "name",
    [
        "l\u0435na",
        "lena ",
        "le\u200bna",
        "LENA",
        "Iena",
        "\uff4c\uff45\uff4e\uff41",
        "lena\u202e",
        "\u2060lena",
    ],
)
def test_a_look_alike_of_a_known_person_is_refused_as_a_person(world: World, name: str) -> None:
    with pytest.raises(Forbidden, match="'lena'") as refusal:
        airflow_says(world, name)
    assert "refused as a person" in refusal.value.message
    again = Account(name, "Lena", LEAD, True, seen_account(name))
    sync.sync(world.store, world.rulebook, [again])
    with world.store.begin() as unit:
        assert name not in {person.id for person in unit.people()}
        assert [one[0] for one in unit.look_alikes()] == [name]
    assert len(events(world, "LookAlikeRefused")) == 1, "once, however often it comes"


def test_three_rows_in_airflows_database_make_a_viewer_no_approver(world: World) -> None:
    release_id = world.open()
    accounts = [
        Account(name, name.title(), LEAD if name == "vera" else frozenset({role}), True)
        for name, role in {"vera": "", "lena": "algorithm_lead"}.items()
    ]
    sync.sync(world.store, world.rulebook, accounts)
    vera = airflow_says(world, "vera")
    assert (vera.roles, vera.unconfirmed) == (frozenset(), LEAD)
    with pytest.raises(Forbidden, match="not enrolled"):
        vote(world, release_id, vera)


# the register


@pytest.mark.nobody_enrolled
def test_nobody_enrolled_means_nobody_may(make_world: Callable[..., World]) -> None:
    world = make_world(folks={})
    sync.sync(world.store, world.rulebook, [Account("lena", "Lena", LEAD, True)])
    assert may_vote(world) == set()


def test_proposed_by_one_and_confirmed_by_another(world: World) -> None:
    airflow_says(world, "lea")
    made = proposed(world, "lea")
    assert may_vote(world) == {"lena", "luis"}, "a proposal counts for nothing"
    done = enrolment.confirm(world.store, world.rulebook, world.actor("sam"), made.id, WHY)
    assert (done.state, done.proposed_by, done.confirmed_by) == ("active", "admin", "sam")
    assert may_vote(world) == {"lea", "lena", "luis"}
    vote(world, world.open(), world.actor("lea"))


@pytest.mark.parametrize(
    ("by", "person", "role", "kind", "reason"),
    [
        ("lena", "lea", "algorithm_lead", Forbidden, ENROL),
        ("admin", "nobody", "algorithm_lead", Invalid, "knows no active account 'nobody'"),
        ("admin", "lea", "emperor", Invalid, "no role 'emperor'"),
        ("admin", "lea", "risk_committee", Conflict, "not risk_committee: both have to say so"),
        ("admin", "lena", "algorithm_lead", Conflict, "enrolled as algorithm_lead already"),
    ],
)
def test_a_proposal_nobody_should_make(
    world: World, by: str, person: str, role: str, kind: type[AirlockError], reason: str
) -> None:
    airflow_says(world, "lea")
    with pytest.raises(kind, match=reason) as refusal:
        enrolment.propose(world.store, world.rulebook, world.actor(by), person, role, WHY)
    assert refusal.value.next_step
    assert reason in str(events(world, "AccessRefused")[-1]["why"])


def test_nobody_confirms_oneself(world: World) -> None:
    both = frozenset({"security_auditor", "algorithm_lead"})
    recognition.keep_person(world.store, Person("sam", "Sam", both))
    made = proposed(world, "sam")
    with pytest.raises(Forbidden, match="sam is the person enrolled"):
        enrolment.confirm(world.store, world.rulebook, world.actor("sam"), made.id, WHY)


def test_ending_takes_one_and_counts_at_once(world: World) -> None:
    release_id = world.open()
    with world.store.begin() as unit:
        mine = {one.person: one for one in unit.enrolments(state="active")}
    with pytest.raises(Forbidden, match="luis may not end"):
        enrolment.end(world.store, world.rulebook, world.actor("luis"), mine["lena"].id, WHY)
    enrolment.end(world.store, world.rulebook, world.actor("sam"), mine["lena"].id, WHY)
    enrolment.end(world.store, world.rulebook, world.actor("luis"), mine["luis"].id, WHY)
    for name in ("lena", "luis"):
        with pytest.raises(Forbidden, match="not enrolled"):
            world.approve(release_id, name)


def test_an_account_that_changed_since_the_proposal_is_not_confirmed(world: World) -> None:
    airflow_says(world, "lea")
    made = proposed(world, "lea")
    airflow_says(world, "lea", password="another")
    with pytest.raises(Conflict, match="not as it was proposed: a new password"):
        enrolment.confirm(world.store, world.rulebook, world.actor("sam"), made.id, WHY)


def test_a_proposal_of_somebody_who_may_enrol_no_more_is_not_confirmed(world: World) -> None:
    airflow_says(world, "otto", "security_auditor")
    enrolled(world, "otto", "security_auditor")
    airflow_says(world, "lea")
    made = proposed(world, "lea", by="otto")
    airflow_says(world, "otto", "security_auditor", password="stolen")
    with pytest.raises(Conflict, match="otto, who proposed lea"):
        enrolment.confirm(world.store, world.rulebook, world.actor("sam"), made.id, WHY)


def test_a_suspended_person_is_enrolled_anew_by_two(world: World) -> None:
    airflow_says(world, "lena", password="new")
    assert may_vote(world) == {"luis"}
    enrolled(world, "lena")
    assert may_vote(world) == {"lena", "luis"}
    with world.store.begin() as unit:
        states = [one.state.value for one in unit.enrolments(person="lena")]
    assert sorted(states) == ["active", "ended"]


def test_an_earlier_approval_of_a_suspended_person_promotes_nothing(world: World) -> None:
    release_id = world.open()
    world.approve_all(release_id)
    airflow_says(world, "carla", "compliance_officer", password="new")
    with pytest.raises(AirlockError, match="compliance"):
        world.promote(release_id)
    enrolled(world, "carla", "compliance_officer")
    world.promote(release_id)


def test_a_deleted_and_newly_made_account_of_the_same_name_is_another(world: World) -> None:
    again = Account("lena", "Lena", LEAD, True, seen_account("lena"))
    sync.sync(world.store, world.rulebook, [])
    other = seen_account("lena")
    other = type(other)(other.issuer, "number 99", other.marks)
    sync.sync(world.store, world.rulebook, [Account(again.user, again.name, LEAD, True, other)])
    assert "lena" not in may_vote(world)
    assert "another account of that name" in str(events(world, "AccountChanged")[-1]["why"])


def test_whoever_answers_for_somebody_is_enrolled_too(world: World) -> None:
    now = datetime.now(UTC)
    airflow_says(world, "bob", "viewer")
    with pytest.raises(Invalid, match="active person who is enrolled"):
        delegation.delegate(
            world.store,
            world.rulebook,
            world.actor("lena"),
            "bob",
            now,
            now + timedelta(days=1),
            "on leave",
        )


def test_a_named_person_of_a_rule_is_enrolled_too(make_world: Callable[..., World]) -> None:
    rules = copy.deepcopy(dict(RULEBOOK))
    levels = rules["approval"]["spec"]["tiers"]["high"]["levels"]
    levels[0]["rules"] = [{"people": ["vera", "lena"], "count": 1}]
    world = make_world(rulebook=rules)
    release_id = world.open()
    airflow_says(world, "lena", password="reset")
    with pytest.raises(Forbidden, match="not enrolled"):
        world.approve(release_id, "lena")
    world.approve(release_id, "vera")


# the first people, and many at once


@pytest.mark.nobody_enrolled
def test_the_first_two_come_by_the_owners_credential_and_then_nobody_does(
    make_world: Callable[..., World], database: Database
) -> None:
    world = make_world(folks={})
    owner: Store = database.store(
        "airlock_owner" if database.kind == "postgres" else "airlock_decider"
    )
    for name, role in {"adam": "admin", "sue": "security_auditor", "eve": "admin"}.items():
        airflow_says(world, name, role)
    with pytest.raises(Invalid, match="'algorithm_lead' may not"):
        enrolment.first(owner, world.rulebook, "adam", "algorithm_lead", WHY)
    enrolment.first(owner, world.rulebook, "adam", "admin", WHY)
    enrolment.first(owner, world.rulebook, "sue", "security_auditor", WHY)
    with pytest.raises(Conflict, match="adam and sue may enrol people") as caught:
        enrolment.first(owner, world.rulebook, "eve", "admin", WHY)
    advice = caught.value.next_step
    assert "One of them proposes: `airlock person enrol NAME" in advice
    for what in ("ApproverProposed", "ApproverConfirmed"):
        told = events(world, what)[-1]
        assert told["why"] == f"set up by the owner's credential: {WHY}"
        assert told["who"] == {"id": OWNER, "roles": []}
    airflow_says(world, "lea")
    enrolment.confirm(
        world.store,
        world.rulebook,
        world.actor("sue"),
        proposed(world, "lea", by="adam").id,
        WHY,
    )
    assert may_vote(world) == {"lea"}


def test_the_decider_cannot_do_what_the_owners_credential_does(postgres_database: Database) -> None:
    world = World(postgres_database.store("airlock_decider"))
    airflow_says(world, "eve", "admin")
    engine = create_engine(postgres_database.urls["airlock_decider"])
    row = (
        "INSERT INTO enrolment (id, person, role, state, issuer, subject, marks, proposed_by, "
        "proposed_at, proposed_why, confirmed_by) VALUES ('enr-00', 'eve', 'admin', '{}', 'i', "
        "'s', '{{}}', '{}', '2', 'w', {})"
    )
    for state, by, sure in (
        ("active", OWNER, f"'{OWNER}'"),
        ("active", "admin", "'sam'"),
        ("proposed", OWNER, "NULL"),
        ("active", "admin", "'admin'"),
        ("proposed", "eve", "NULL"),
    ):
        with pytest.raises(DBAPIError), engine.begin() as connection:
            connection.execute(text(row.format(state, by, sure)))
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(text("UPDATE enrolment SET subject = 'x' WHERE person = 'lena'"))
    airflow_says(world, "lena", password="reset")
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(text("UPDATE enrolment SET state = 'active' WHERE state = 'suspended'"))
    engine.dispose()


def test_fifty_people_come_by_one_file_and_one_confirmation(world: World) -> None:
    names = [f"lead{number:02d}x" for number in range(50)]
    accounts = [
        Account(name, name.title(), LEAD, True, seen_account(name)) for name in [*names, "lena"]
    ]
    others = {"admin": "admin", "sam": "security_auditor"}
    accounts += [Account(n, n.title(), frozenset({r}), True) for n, r in others.items()]
    sync.sync(world.store, world.rulebook, accounts)
    file = "person,role,reason\n" + "".join(f"{name},algorithm_lead,{WHY}\n" for name in names)
    with pytest.raises(Invalid, match="knows no active account 'ghost'"):
        enrolment.import_file(
            world.store, world.rulebook, world.actor("admin"), f"{file}ghost,algorithm_lead,why\n"
        )
    assert not [one for one in enrolment.enrolments(world.store, state="proposed")], "all or nobody"
    digest, made = enrolment.import_file(world.store, world.rulebook, world.actor("admin"), file)
    assert len(made) == 50
    with pytest.raises(Forbidden, match="admin proposed it"):
        enrolment.confirm_file(world.store, world.rulebook, world.actor("admin"), digest, WHY)
    with pytest.raises(NotFound, match="nobody waits"):
        enrolment.confirm_file(world.store, world.rulebook, world.actor("sam"), "sha256:00", WHY)
    with pytest.raises(Conflict, match="is proposed already") as again:
        enrolment.import_file(world.store, world.rulebook, world.actor("admin"), file)
    assert "Another person confirms it: `airlock person confirm --file" in again.value.next_step
    enrolment.confirm_file(world.store, world.rulebook, world.actor("sam"), digest, WHY)
    assert len(may_vote(world) & set(names)) == 50


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "an empty file"),
        ("person,role\nlea,x\n", "found person, role"),
        ("person,role,reason\n", "found 0 lines"),
        ("person,role,reason\nlea,algorithm_lead\n", "line 2 needs"),
        ("person,role,reason\nlea,algorithm_lead, \n", "line 2 needs"),
        ("person,role,reason\nlea,algorithm_lead,why so\nlea,algorithm_lead,why so\n", "twice"),
        ('person,role,reason\n"lea,algorithm_lead,why\n', "not CSV|line 2"),
    ],
)
def test_a_file_that_says_too_little_is_refused(world: World, content: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        enrolment.import_file(world.store, world.rulebook, world.actor("admin"), content)


def test_the_same_key_enrols_once(world: World) -> None:
    airflow_says(world, "lea")
    store, book, admin = world.store, world.rulebook, world.actor("admin")
    first = enrolment.propose(store, book, admin, "lea", "algorithm_lead", WHY, "k")
    assert enrolment.propose(store, book, admin, "lea", "algorithm_lead", WHY, "k") == first


# history, the log, races


def test_rights_at_a_moment_know_of_enrolments(world: World) -> None:
    airflow_says(world, "lea")
    before = recognition.rights_at(world.store, "lea")
    assert (before["roles"], before["unconfirmed"]) == ([], ["algorithm_lead"])
    assert "release:read" in before["permissions"]
    assert "release:vote" not in before["permissions"]
    enrolled(world, "lea")
    after = recognition.rights_at(world.store, "lea")
    assert (after["roles"], after["unconfirmed"]) == (["algorithm_lead"], [])


def test_the_log_verifies_after_all_of_it(world: World) -> None:
    airflow_says(world, "lena", password="new")
    enrolled(world, "lena")
    report = verification.verify(world.store, FakeKeys())
    assert report.ok, report


def test_every_column_of_an_enrolment_is_in_its_events(world: World) -> None:
    airflow_says(world, "lena", password="new")
    again = enrolled(world, "lena")
    with world.store.begin() as unit:
        rows = {one.id: asdict(one) for one in unit.enrolments(person="lena")}
    told = [
        e
        for e in access_log.events(world.store, "access", 1000)
        if str(e["resource"]).removeprefix("enrolment/") in rows
    ]
    names = {"enrolment": "id", "proposedAt": "proposed_at", "confirmedAt": "confirmed_at"}
    names |= {"suspendedAt": "suspended_at", "endedAt": "ended_at"}
    rebuilt: dict[str, dict[str, object]] = {}
    for event in told:
        data = event["data"]
        row = rebuilt.setdefault(data["enrolment"], dict.fromkeys(rows[again.id]))
        row |= {names.get(k, k): v for k, v in data.items() if names.get(k, k) in row}
        what = str(event["what"]).removeprefix("Approver").lower()
        row["state"] = {"confirmed": "active"}.get(what, what)
        by, why = f"{what}_by", f"{what}_why"
        row |= {k: v for k, v in ((by, event["who"]["id"]), (why, event["why"])) if k in row}
    for id, row in rows.items():
        hidden = ("proposed_why", "confirmed_why", "ended_why")
        assert {k: v for k, v in row.items() if k not in hidden} == {
            k: v for k, v in rebuilt[id].items() if k not in hidden
        }


def test_two_confirmations_at_once_are_one(world: World) -> None:
    airflow_says(world, "otto", "security_auditor")
    enrolled(world, "otto", "security_auditor")
    for number in range(10):
        name = f"racer{number}x"
        airflow_says(world, name)
        made = proposed(world, name)
        done: list[str] = []

        def confirm(who: str, made: Enrolment = made, done: list[str] = done) -> None:
            try:
                enrolment.confirm(world.store, world.rulebook, world.actor(who), made.id, WHY)
                done.append("done")
            except Conflict:
                done.append("conflict")

        threads = [threading.Thread(target=confirm, args=(who,)) for who in ("sam", "otto")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(done) == ["conflict", "done"]
    confirmed = [e for e in events(world, "ApproverConfirmed") if "racer" in str(e["data"])]
    assert len(confirmed) == 10


def test_a_confirmation_against_a_changed_account_never_confirms_the_new_one(world: World) -> None:
    for number in range(10):
        name = f"racer{number}x"
        airflow_says(world, name)
        made = proposed(world, name)

        def confirm(made: Enrolment = made) -> None:
            with contextlib.suppress(Conflict):
                enrolment.confirm(world.store, world.rulebook, world.actor("sam"), made.id, WHY)

        def change(name: str = name) -> None:
            airflow_says(world, name, password="another")

        threads = [threading.Thread(target=one) for one in (confirm, change)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert name not in may_vote(world)


def test_a_vote_against_a_suspension_counts_only_if_it_came_first(world: World) -> None:
    for number in range(8):
        release_id = world.open(f"run-{number}")
        outcome: list[str] = []

        def approve(release_id: str = release_id, outcome: list[str] = outcome) -> None:
            try:
                world.approve(release_id, "lena")
                outcome.append("voted")
            except Forbidden:
                outcome.append("refused")

        def suspend(number: int = number) -> None:
            airflow_says(world, "lena", password=f"new {number}")

        threads = [threading.Thread(target=one) for one in (approve, suspend)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert "lena" not in may_vote(world)
        with pytest.raises(AirlockError):
            world.approve(release_id, "lena")
        enrolled(world, "lena")
        decide.withdraw(world.store, release_id, world.actor("ana"), "the next round")


def test_an_old_database_enrols_nobody_and_shows_who_is_to_be_confirmed(world: World) -> None:
    release_id = world.open()
    before = [Person(name, name.title(), LEAD) for name in ("hans", "greta")]
    for person in before:  # as an upgrade finds them: known, with roles, and no enrolment
        recognition.keep_person(world.store, person)
    shown = {one["id"]: one for one in enrolment.people(world.store, world.rulebook)}
    for name in ("hans", "greta"):
        assert (shown[name]["roles"], shown[name]["unconfirmed"]) == ([], ["algorithm_lead"])
    with pytest.raises(Forbidden, match="not enrolled"):
        world.approve(release_id, "hans")
    assert releases.outcome(world.store, release_id).state is State.AWAITING_APPROVAL
