"""Linking an account in Slack to a person, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from airlock.adapters.sql_store import SqlStore
from airlock.domain.clock import stamp
from airlock.domain.errors import Conflict, Forbidden
from airlock.domain.people.account_link import (
    TRIES_OF_ACCOUNT,
    TRIES_OF_TEAM,
    WrongCode,
    code_digest,
)
from airlock.domain.people.actors import Person
from airlock.services.audit import access_log
from airlock.services.people import recognition, slack_links, sync
from airlock.testing import FakeClock, World
from tests.contract.conftest import Database
from tests.seeding import Runner, damages, race

pytestmark = pytest.mark.slack

TEAM, ANA, BEN = "T0AIRLOCK", "U0ANA", "U0BEN"
MakeWorld = Callable[..., World]


def code(world: World, person: str = "lena") -> str:
    return slack_links.offer(world.store, world.actor(person)).code


def told(world: World) -> list[dict[str, Any]]:
    found = access_log.events(world.store, "access")
    return [one for one in found if one["what"].startswith("Slack")]


def wrong(number: int = 0) -> str:
    return f"ACDEFGHJ{number:04d}".translate(str.maketrans("0123456789", "ACDEFGHJKM"))


def refused(world: World, typed: str, account: str = ANA, team: str = TEAM) -> WrongCode:
    with pytest.raises(WrongCode) as caught:
        slack_links.redeem(world.store, team, account, typed)
    return caught.value


@pytest.mark.parametrize("typed", ["", " ", "-", "link"])
def test_an_empty_code_links_nobody(world: World, typed: str) -> None:
    code(world)
    refused(world, typed)
    assert slack_links.of(world.store, "lena") is None


def test_a_code_shown_to_a_person_links_the_account_that_types_it(world: World) -> None:
    offered = slack_links.offer(world.store, world.actor("lena"))
    link = slack_links.redeem(world.store, TEAM, ANA, f" `{offered.code.lower()}` ")
    assert (link.team, link.account, link.person) == (TEAM, ANA, "lena")
    assert slack_links.of(world.store, "lena") == link
    with world.store.begin() as unit:
        assert unit.link(TEAM, ANA) == link
    (event,) = told(world)
    assert (event["what"], event["who"]["id"], event["channel"]) == ("SlackLinked", "lena", "slack")
    assert event["data"].items() >= {"person": "lena", "team": TEAM, "account": ANA}.items()
    assert offered.command == f"/airlock link {offered.code}"


def test_only_the_digest_of_a_code_is_kept(world: World, database: Database) -> None:
    offered = code(world)
    with create_engine(database.urls["airlock_decider"]).connect() as connection:
        ((person, kept, _),) = connection.execute(text("SELECT * FROM chat_code")).all()
    assert (person, kept) == ("lena", code_digest(offered))


def test_a_code_works_once(world: World) -> None:
    offered = code(world)
    slack_links.redeem(world.store, TEAM, ANA, offered)
    slack_links.end(world.store, world.actor("lena"), "lena")
    refused(world, offered)
    refused(world, offered, BEN)
    assert slack_links.of(world.store, "lena") is None


def test_a_new_code_replaces_the_old_one(world: World) -> None:
    old, new = code(world), code(world)
    refused(world, old)
    assert slack_links.redeem(world.store, TEAM, ANA, new).person == "lena"


def test_a_code_is_over_after_ten_minutes(make_world: MakeWorld) -> None:
    clock = FakeClock()
    world = make_world(clock=clock)
    offered = code(world)
    clock.pass_(minutes=9, seconds=59)
    later = code(world, "carla")
    assert slack_links.redeem(world.store, TEAM, ANA, offered).person == "lena"
    clock.pass_(minutes=10)
    refused(world, later, BEN)
    assert slack_links.of(world.store, "carla") is None


def test_what_is_wrong_with_a_code_is_not_said(make_world: MakeWorld) -> None:
    clock = FakeClock()
    world = make_world(clock=clock)
    used, old = code(world), code(world, "carla")
    slack_links.redeem(world.store, TEAM, ANA, used)
    clock.pass_(minutes=11)
    said = [refused(world, typed, BEN) for typed in ("", wrong(), used, old)]
    for _ in range(TRIES_OF_ACCOUNT):
        said.append(refused(world, wrong(), BEN))
    assert len({(one.message, one.next_step) for one in said}) == 1
    assert "10 minutes" in said[0].next_step


def test_right_codes_are_not_counted(world: World) -> None:
    for _ in range(TRIES_OF_ACCOUNT + 2):
        slack_links.redeem(world.store, TEAM, ANA, code(world))
        slack_links.end(world.store, world.actor("lena"), "lena")
    assert {one["what"] for one in told(world)} == {"SlackLinked", "SlackUnlinked"}


def test_after_five_wrong_codes_even_the_right_code_waits_ten_minutes(
    make_world: MakeWorld,
) -> None:
    clock = FakeClock()
    world = make_world(clock=clock)
    for number in range(TRIES_OF_ACCOUNT):
        refused(world, wrong(number))
    offered = code(world)
    refused(world, offered)
    assert len(told(world)) == TRIES_OF_ACCOUNT  # more than that would fill the log
    assert slack_links.redeem(world.store, TEAM, BEN, code(world, "carla")).person == "carla"
    clock.pass_(minutes=10, seconds=1)
    assert slack_links.redeem(world.store, TEAM, ANA, code(world)).person == "lena"


def test_many_accounts_of_one_team_do_not_try_more_than_fifty_codes(world: World) -> None:
    with world.store.begin() as unit:
        for number in range(TRIES_OF_TEAM - 1):
            unit.put_try(TEAM, f"U0{number}", stamp(unit.now()))
        unit.commit()
    refused(world, wrong(), "U0LAST")
    refused(world, code(world), "U0NEW")
    assert slack_links.redeem(world.store, "T0OTHER", "U0NEW", code(world)).person == "lena"


def test_an_account_belongs_to_one_person(world: World) -> None:
    slack_links.redeem(world.store, TEAM, ANA, code(world))
    with pytest.raises(Conflict, match="lena and the Slack account U0ANA are linked") as caught:
        slack_links.redeem(world.store, TEAM, ANA, code(world, "carla"))
    assert "End that link first" in caught.value.next_step
    assert slack_links.of(world.store, "carla") is None
    assert [one["what"] for one in told(world)] == ["SlackLinked", "SlackLinkRefused"]


def test_a_person_has_one_account(world: World) -> None:
    slack_links.redeem(world.store, TEAM, ANA, code(world))
    with pytest.raises(Conflict, match="lena and the Slack account U0ANA are linked"):
        code(world)
    assert slack_links.redeem(world.store, "T0OTHER", ANA, code(world, "carla")).person == "carla"


def test_who_is_not_active_gets_no_code_and_no_link(world: World) -> None:
    offered = code(world)
    lena = world.actor("lena")
    gone = Person("lena", "Lena", lena.roles, active=False)
    world.keep(gone)
    with pytest.raises(WrongCode):  # the code went with the right to use Airflow
        slack_links.redeem(world.store, TEAM, ANA, offered)
    with pytest.raises(Forbidden, match="lena may not use Airflow"):
        slack_links.offer(world.store, lena)
    with pytest.raises(Forbidden):
        slack_links.offer(world.store, world.actor("stranger"))


def test_a_link_ends_with_the_right_to_use_airflow_and_does_not_come_back(world: World) -> None:
    slack_links.redeem(world.store, TEAM, ANA, code(world))
    sync.sync(world.store, world.rulebook, [])  # nobody is listed any more
    assert slack_links.of(world.store, "lena") is None
    ended = told(world)[-1]
    assert (ended["what"], ended["who"]["id"]) == ("SlackUnlinked", "system:airflow")
    assert ended["data"].items() >= {"person": "lena", "team": TEAM, "account": ANA}.items()
    world.keep(Person("lena", "Lena", frozenset({"algorithm_lead"})))
    assert slack_links.of(world.store, "lena") is None
    assert slack_links.redeem(world.store, TEAM, ANA, code(world)).person == "lena"


def test_losing_a_role_leaves_the_link(world: World) -> None:
    slack_links.redeem(world.store, TEAM, ANA, code(world))
    world.keep(Person("lena", "Lena", frozenset({"viewer"})))
    assert slack_links.of(world.store, "lena") is not None


def test_ending_a_link_is_in_the_log_once_and_forgets_the_code(world: World) -> None:
    lena = world.actor("lena")
    offered = code(world)
    assert not slack_links.end(world.store, lena, "lena")
    refused(world, offered)
    slack_links.redeem(world.store, TEAM, ANA, code(world))
    assert slack_links.end(world.store, lena, "lena")
    assert not slack_links.end(world.store, lena, "lena")
    assert [one["what"] for one in told(world)].count("SlackUnlinked") == 1
    assert damages(world.store) == []  # type: ignore[arg-type]


@pytest.mark.race
def test_one_code_typed_by_two_accounts_at_once_has_one_winner(
    world: World, database: Database
) -> None:
    names = [f"p{number}" for number in range(20)]
    for name in names:
        world.keep(Person(name, name, frozenset({"viewer"})))
    codes = [code(world, name) for name in names]
    runners = [Runner(type_code, (codes, one)) for one in ("U0A", "U0B")]
    found = race(database.urls["airlock_decider"], runners, len(codes))
    winners = set()
    for number, both in enumerate(zip(*found, strict=True)):
        won = [got for got in both if not got.startswith(("WrongCode", "Conflict"))]
        assert len(won) == 1, both
        link = slack_links.of(world.store, names[number])
        assert link is not None
        assert link.account == won[0]
        winners.add(won[0])
    assert len(winners) == 2  # both were in the race
    assert damages(database.store("airlock_decider")) == []


def type_code(store: SqlStore, at: int, codes: list[str], account: str) -> str:
    """Type the code of this round, in a team of its own, whose tries are not used up."""
    return slack_links.redeem(store, f"T{at}", account, codes[at]).account


@pytest.mark.race
def test_who_is_deactivated_while_typing_the_code_has_no_link_afterwards(
    world: World, database: Database
) -> None:
    names = [f"p{number}" for number in range(20)]
    for name in names:
        world.keep(Person(name, name, frozenset({"viewer"})))
    codes = [code(world, name) for name in names]
    runners = [Runner(type_code, (codes, ANA)), Runner(deactivate, (names,))]
    typed, gone = race(database.urls["airlock_decider"], runners, len(codes))
    assert {got.split(":")[0] for got in typed} <= {ANA, "WrongCode", "Forbidden"}
    assert set(gone) == {"True"}, "nobody waited for the other for ever"
    with world.store.begin() as unit:
        assert unit.links() == {}
    assert damages(database.store("airlock_decider")) == []


def deactivate(store: SqlStore, at: int, names: list[str]) -> bool:
    """Take the right to use Airflow from the owner of this round's code."""
    gone = Person(names[at], names[at], frozenset({"viewer"}), active=False)
    return recognition.keep_person(store, gone)


@pytest.mark.race
def test_codes_tried_at_once_are_counted_all_the_same(world: World, database: Database) -> None:
    runner = Runner(guess, (ANA,))
    found = race(database.urls["airlock_decider"], [runner, runner], 8)
    assert all(got.startswith("WrongCode") for both in found for got in both)
    assert len(told(world)) == TRIES_OF_ACCOUNT


def guess(store: SqlStore, at: int, account: str) -> str:
    """Type a wrong code."""
    return slack_links.redeem(store, TEAM, account, wrong(at)).account
