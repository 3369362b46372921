"""Invariant 8 in Slack: eight forms at once, from separate processes, are one decision."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from airlock.adapters.slack.views import forms
from airlock.adapters.sql_store import SqlStore
from airlock.config.settings import SlackSettings
from airlock.domain.approval.policy import Rulebook
from airlock.domain.approval.release import Decision, State
from airlock.domain.clock import stamp
from airlock.domain.people.actors import Actor, Channel
from airlock.entrypoints.slack.dispatcher import Desk
from airlock.ports import Link
from airlock.ports.chat import Profile, Received
from airlock.services.approvals import decide
from airlock.services.notifications.views import view_of
from airlock.testing import RULEBOOK, FakeKeys, World, pipeline_document
from tests.contract.conftest import Database
from tests.seeding import Runner, clone, damages, race
from tests.support import rounds

pytestmark = [pytest.mark.slack, pytest.mark.race, pytest.mark.attack]

TEAM, APP = "T0OURS", "A0OURS"
SETTINGS = SlackSettings(bot_token="xoxb-1", signing_secret=("5" * 32,), team_id=TEAM, app_id=APP)
ROUNDS = rounds(4, 10)
CROWD = 8


class Nobody:
    """A chat that knows everybody and shows nothing."""

    def profile(self, account: str) -> Profile:
        return Profile(id=account, team=TEAM)

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


@dataclass
class Platform:
    """What a desk needs, in a process of a race."""

    store: SqlStore
    keyring: FakeKeys
    signer: FakeKeys
    rulebook: Rulebook
    places: tuple[Any, ...] = ()
    witnesses: Any = None


def desk(store: SqlStore) -> Desk:
    keys = FakeKeys()
    platform = Platform(store, keys, keys, Rulebook.from_document(RULEBOOK))
    return Desk(platform, SETTINGS, Nobody(), "http://here")  # type: ignore[arg-type]


_desks: dict[int, Desk] = {}


def submit(store: SqlStore, at: int, sent: Sequence[dict[str, Any]]) -> str:
    """Send the form of this round; return what it shows then."""
    mine = _desks.setdefault(id(store), desk(store))
    ack = mine.handle(sent[at], Received(at=datetime.now(UTC), digest="sha256:d"))
    return json.dumps(dict(ack.body))


def form(world: World, release_id: str, person: str, decision: str, view_id: str) -> dict[str, Any]:
    actor = Actor(person, person.title(), frozenset({"algorithm_lead"}), Channel.SLACK)
    view = view_of(world.store, world.keys, release_id, "http://here", TEAM, actor)
    shown = forms.answer_form(view, decision, view["yourSeats"])
    values = {"reason": {"reason": {"value": f"{person} looked at it"}}}
    return {
        "type": "view_submission",
        "api_app_id": APP,
        "team": {"id": TEAM},
        "user": {"id": f"U0{person.upper()}", "team_id": TEAM},
        "trigger_id": view_id,
        "view": {**shown, "id": view_id, "state": {"values": values}},
    }


def renamed(sent: Sequence[dict[str, Any]], view_id: str) -> list[dict[str, Any]]:
    """Return the same forms opened once more."""
    return [
        {**one, "view": {**one["view"], "id": f"{view_id}-{at}"}} for at, one in enumerate(sent)
    ]


@pytest.fixture
def world(postgres_database: Database) -> World:
    found = World(
        postgres_database.store("airlock_decider"),
        worker=postgres_database.store("airlock_worker"),
        pipeline=pipeline_document(impact="none"),
    )
    with found.store.begin() as unit:
        for person in ("lena", "luis"):
            unit.put_link(Link(TEAM, f"U0{person.upper()}", person, stamp(unit.now())))
        unit.commit()
    return found


@pytest.fixture
def ids(world: World, postgres_database: Database) -> list[str]:
    """Return open releases of the low tier, whose one level one person decides."""
    first = world.open()
    decide.settle(world.store, world.signer, first)
    return clone(postgres_database.urls["postgres"], first, ROUNDS)


def answers(world: World) -> Counter[str]:
    """Return how many answers the log says each release got in Slack."""
    with world.store.begin() as unit:
        found = [one.content for one in unit.entries()]
    return Counter(one["data"]["release"] for one in found if one["what"] == "SlackAnswer")


def test_the_same_form_eight_times_at_once_is_one_vote(
    world: World, ids: list[str], postgres_database: Database
) -> None:
    sent = [form(world, one, "lena", "approve", f"V-{one}") for one in ids]
    runners = [Runner(submit, (sent,))] * CROWD
    got = race(postgres_database.urls["airlock_decider"], runners, ROUNDS)
    with world.store.begin() as unit:
        done = {one: unit.get(one) for one in ids}
    assert {one.state for one in done.values()} == {State.APPROVED}
    assert {len(one.votes) for one in done.values()} == {1}
    assert answers(world) == dict.fromkeys(ids, 1)
    assert all("You approved" in said for each in got for said in each)  # a repeat is no error
    assert damages(world.store) == []  # type: ignore[arg-type]


def test_eight_answers_of_two_people_at_once_are_one_decision(
    world: World, ids: list[str], postgres_database: Database
) -> None:
    sides = [("lena", "approve"), ("luis", "reject")]
    shown = [[form(world, one, *side, "V") for one in ids] for side in sides]
    runners = [Runner(submit, (renamed(shown[n % 2], f"V{n}"),)) for n in range(CROWD)]
    got = race(postgres_database.urls["airlock_decider"], runners, ROUNDS)
    with world.store.begin() as unit:
        done = [unit.get(one) for one in ids]
    for at, one in enumerate(done):
        [vote] = one.votes
        won = vote.decision is Decision.APPROVE
        assert one.state is (State.APPROVED if won else State.REJECTED)
        said = [each[at] for each in got]
        word = "You approved" if won else "You rejected"
        assert sum(word in shown for shown in said) == 1
        assert sum("Not taken" in shown for shown in said) == CROWD - 1
    assert answers(world) == dict.fromkeys(ids, 1)
    assert damages(world.store) == []  # type: ignore[arg-type]
