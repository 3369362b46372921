"""Speaking in Slack: one card per release, everything once, in order, whatever Slack answers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from airlock.adapters.slack.web import SlackWeb
from airlock.adapters.sql_store import SqlStore
from airlock.bootstrap.slack import DRAWING
from airlock.domain.approval.release import Decision, State
from airlock.domain.people.actors import Actor
from airlock.services import outbox_messages
from airlock.services.approvals import break_glass, deadlines, decide
from airlock.services.audit import access_log
from airlock.services.notifications import outbox_relay
from airlock.services.notifications.slack import Speaker, Where, view_of
from airlock.services.people import slack_links
from airlock.testing import RULEBOOK, FakeAirflow, FakeClock, World, pipeline_document
from tests.contract.conftest import Database
from tests.contract.slack_kit import CHANNEL, DOWN, TEAM, Fault, Workspace, each, key, served

MakeWorld = Callable[..., World]
#: Where nothing depends on which database it is.
ONE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
#: person -> account
LINKED = {"lena": "U0LENA", "carla": "U0CARLA", "mara": "U0MARA"}


@pytest.fixture
def make_world(database: Database) -> Iterator[MakeWorld]:
    """Return a factory of worlds whose decider keeps its connections, as the process does."""
    made: list[SqlStore] = []

    def make(clock: FakeClock, **options: Any) -> World:
        made.append(SqlStore(database.urls["airlock_decider"], clock=clock))
        worker = database.store("airlock_worker", clock)
        return World(made[-1], worker=worker, **options)

    yield make
    for store in made:
        store.close()


@pytest.fixture
def world(make_world: MakeWorld, clock: FakeClock) -> World:
    return linked(make_world(clock))


@pytest.fixture
def slack(clock: FakeClock) -> Iterator[Workspace]:
    with served(Workspace(clock)) as workspace:
        yield workspace


def linked(world: World) -> World:
    for person, account in LINKED.items():
        offer = slack_links.offer(world.store, world.actor(person))
        slack_links.redeem(world.store, TEAM, account, offer.code)
    return world


def speaker(
    world: World, slack: Workspace, chat: SlackWeb | None = None, mail: str = ""
) -> Speaker:
    where = Where(channel=CHANNEL, team=TEAM, public_url="http://airflow", alert_mail=mail)
    chat = chat or SlackWeb("xoxb-test", slack.url, timeout=10)
    return Speaker(world.store, world.keys, chat, DRAWING, where)


def opened(world: World, run: str = "run-1") -> str:
    """Open a release, its timers armed."""
    release_id = world.open(run)
    decide.settle(world.store, world.signer, release_id)
    return release_id


def several(make_world: MakeWorld, clock: FakeClock, number: int) -> tuple[World, list[str]]:
    """Open and promote so many releases, one after the other, where gates alone are needed."""
    world = make_world(clock, pipeline=pipeline_document(environment="staging"))
    found = [opened(world, "run-0")]
    for one in range(1, number):
        world.promote(found[-1], f"run-{one}")
        found.append(opened(world, f"run-{one}"))
    return world, found


def empty(speaks: Speaker) -> int:
    """Deliver until nothing is due; return how many messages that were."""
    settled = 0
    while now := speaks.run():
        settled += now
    return settled


def patiently(speaks: Speaker, clock: FakeClock, hours: float, every: int = 20) -> int:
    """Deliver for so long on the test's clock, looking every so many seconds."""
    settled = 0
    for _ in range(round(hours * 3600 / every)):
        settled += speaks.run()
        clock.pass_(seconds=every)
    return settled


def waiting(world: World) -> list[tuple[str, int]]:
    """Return what is not settled in the chat's lane: key, tries."""
    from sqlalchemy import text

    query = "SELECT key, attempts FROM outbox WHERE lane <> '' AND settled_at IS NULL ORDER BY id"
    with world.store.begin() as unit:
        return [tuple(row) for row in unit._connection.execute(text(query))]


def texts(messages: list[dict[str, Any]]) -> list[str]:
    return [str(one["text"]) for one in messages]


def events(world: World, release_id: str, what: str) -> list[dict[str, Any]]:
    return [one for one in access_log.events(world.store, release_id) if one["what"] == what]


# one card, and what is said besides
def test_an_open_release_has_one_card_with_what_may_be_answered(
    world: World, slack: Workspace
) -> None:
    release_id = opened(world)
    empty(speaker(world, slack))
    (card,) = slack.cards
    assert slack.standing() == [card]
    assert card["metadata"] == {
        "event_type": "airlock",
        "event_payload": {"key": f"{release_id}/card"},
    }
    assert "credit" in card["text"]
    assert (card["unfurl_links"], card["unfurl_media"]) == (False, False)


def test_the_card_is_changed_and_each_move_is_said_once_in_its_thread(
    world: World, slack: Workspace
) -> None:
    release_id, speaks = opened(world), speaker(world, slack)
    empty(speaks)
    for name in ("lena", "carla", "mara", "milo"):
        world.approve(release_id, name)
        empty(speaks)
    world.promote(release_id)
    empty(speaks)
    (card,) = slack.cards
    keys = [key(one).removeprefix(f"{release_id}/chat/") for one in slack.replies(card)]
    assert keys == ["AWAITING_APPROVAL-1-2", "AWAITING_APPROVAL-1-3", "APPROVED-1-0", "PROMOTED"]
    assert card["edits"] == 5  # also when the first of two committee members had answered
    assert not any(block["type"] in ("actions", "table") for block in card["blocks"])


def test_what_was_to_be_said_of_a_place_left_since_is_not_said(
    world: World, slack: Workspace
) -> None:
    release_id = opened(world)
    world.approve(release_id, "lena")
    world.vote(release_id, "carla", Decision.REJECT)
    empty(speaker(world, slack))
    (card,) = slack.cards
    assert [key(one).rpartition("/")[2] for one in slack.replies(card)] == ["REJECTED-1-0"]
    assert waiting(world) == []


@ONE
def test_a_card_that_would_look_the_same_is_not_changed(world: World, slack: Workspace) -> None:
    release_id, speaks = opened(world), speaker(world, slack)
    empty(speaks)
    with world.store.begin() as unit:
        unit.post_all(outbox_messages.redrawn(release_id, "again"))
        unit.commit()
    assert empty(speaks) == 1
    assert slack.asked("chat.update") == 0


@pytest.mark.parametrize("moves", [True, False])
def test_a_card_somebody_deleted_is_posted_anew_with_its_thread(
    world: World, slack: Workspace, clock: FakeClock, moves: bool
) -> None:
    release_id, speaks = opened(world), speaker(world, slack)
    empty(speaks)
    slack.cards[0]["deleted"] = True
    if moves:
        world.approve(release_id, "lena")
    else:  # a reminder leaves the card as it is, so nobody tries to change it
        clock.pass_(hours=72, minutes=1)
        deadlines.sweep(world.store)
    empty(speaks)
    (card,) = slack.cards
    assert key(card).startswith(f"{release_id}/card@")
    assert len(slack.replies(card)) == 1
    world.vote(release_id, "carla" if moves else "lena", Decision.REJECT)
    empty(speaks)
    assert len(slack.cards) == 1
    assert len(slack.replies(card)) == 2


@ONE
def test_a_reminder_is_in_the_thread_and_mentions_only_who_can_still_answer(
    world: World, slack: Workspace, clock: FakeClock
) -> None:
    release_id, speaks = opened(world), speaker(world, slack)
    world.approve(release_id, "lena")
    empty(speaks)
    clock.pass_(hours=72, minutes=1)
    deadlines.sweep(world.store)
    empty(speaks)
    reminder = slack.replies(slack.cards[0])[-1]
    assert "remind-1" in key(reminder)
    said = str(reminder["blocks"])
    assert "<@U0CARLA>" in said
    assert "<@U0LENA>" not in said
    assert slack.notices() == []


def test_the_second_time_it_is_escalated_in_the_channel_and_directly(
    world: World, slack: Workspace, clock: FakeClock
) -> None:
    release_id, speaks = opened(world), speaker(world, slack)
    for name in ("lena", "carla"):
        world.approve(release_id, name)
        empty(speaks)
    clock.pass_(hours=144, minutes=1)
    deadlines.sweep(world.store)
    empty(speaks)
    assert len(slack.notices()) == 1
    assert [m["channel"] for m in slack.messages if m["channel"] != CHANNEL] == ["DU0MARA"]


@ONE
def test_where_superiors_may_step_in_now_the_first_time_is_an_escalation(
    make_world: MakeWorld, clock: FakeClock, slack: Workspace
) -> None:
    world = linked(make_world(clock, pipeline=pipeline_document(impact="none")))
    opened(world)
    speaks = speaker(world, slack)
    empty(speaks)
    clock.pass_(hours=48, minutes=1)
    deadlines.sweep(world.store)
    empty(speaks)
    assert len(slack.notices()) == 1
    assert len(slack.standing("DU0LENA")) == 1


@ONE
def test_somebody_who_cannot_be_told_directly_stops_nobody(
    world: World, slack: Workspace, clock: FakeClock
) -> None:
    opened(world)
    speaks = speaker(world, slack)
    empty(speaks)
    clock.pass_(hours=144, minutes=1)
    deadlines.sweep(world.store)
    slack.trouble = lambda method, _: (
        Fault(error="missing_scope") if method == "conversations.open" else None
    )
    empty(speaks)
    assert len(slack.notices()) == 1
    assert waiting(world) == []


@ONE
def test_a_void_is_said_in_the_thread_to_those_who_had_answered(
    world: World, slack: Workspace
) -> None:
    release_id, speaks = opened(world), speaker(world, slack)
    world.approve(release_id, "lena")
    empty(speaks)
    decider, other = Actor.system("decider"), "sha256:" + "9" * 64
    decide.void(world.store, release_id, decider, "other data", data_digest=other)
    empty(speaks)
    last = slack.replies(slack.cards[0])[-1]
    assert key(last) == f"{release_id}/chat/void-2"
    assert "<@U0LENA>" in str(last["blocks"])


@ONE
def test_a_broken_glass_is_said_in_the_channel(
    make_world: MakeWorld, clock: FakeClock, slack: Workspace
) -> None:
    book = copy.deepcopy(dict(RULEBOOK))
    roles = ["algorithm_lead", "compliance_officer"]
    glass = {"roles": roles, "people": 2, "hours": 4, "reviewers": ["security_auditor"]}
    book["approval"]["spec"]["breakGlass"] = glass
    world = make_world(clock, rulebook=book)
    release_id, speaks = opened(world), speaker(world, slack)
    empty(speaks)
    for name in ("lena", "carla"):
        who = world.actor(name)
        break_glass.break_glass(world.store, world.signer, release_id, who, "it burns", "INC-7")
        empty(speaks)
    assert slack.cards[0]["edits"] == 2  # when one had agreed, and when both had
    assert [key(one) for one in slack.notices()] == [f"{release_id}/chat/glass-1"]
    clock.pass_(hours=24, minutes=1)
    deadlines.sweep(world.store)
    empty(speaks)
    assert "INC-7" in texts(slack.notices())[-1]


def test_an_open_release_without_a_card_gets_one_at_the_start(
    world: World, slack: Workspace
) -> None:
    release_id = opened(world)
    outbox_relay.Delivery(world.store, world.signer, FakeAirflow(), 0.0).run()  # there is no chat
    speaks = speaker(world, slack)
    assert (empty(speaks), speaks.catch_up()) == (0, 1)
    assert empty(speaks) == 1
    assert [key(one) for one in slack.cards] == [f"{release_id}/card"]
    assert speaks.catch_up() == 0


@ONE
def test_inboxes_of_those_concerned_are_shown_anew(world: World, slack: Workspace) -> None:
    release_id, speaks = opened(world), speaker(world, slack)
    empty(speaks)
    assert set(slack.homes) == set(LINKED.values())
    assert release_id in str(slack.homes["U0LENA"])
    world.approve(release_id, "lena")
    empty(speaks)
    assert release_id in str(slack.homes["U0CARLA"])


@ONE
def test_an_inbox_the_chat_is_too_busy_for_is_shown_later(
    world: World, slack: Workspace, clock: FakeClock
) -> None:
    opened(world)
    speaks, busy = speaker(world, slack), Fault(429, "ratelimited", {"Retry-After": "7"})
    slack.trouble = lambda method, _: busy if method == "views.publish" else None
    empty(speaks)
    assert len(slack.cards) == 1
    slack.trouble = None
    speaks.run()
    assert slack.homes == {}
    clock.pass_(seconds=8)
    speaks.run()
    assert set(slack.homes) == set(LINKED.values())


@ONE
def test_a_view_has_what_a_card_needs_besides_the_release(world: World) -> None:
    release_id = opened(world)
    view = view_of(world.store, world.keys, release_id, "http://airflow/", TEAM)
    assert view["page"] == f"http://airflow/airlock/releases/{release_id}"
    assert view["deadline"].startswith("2026-12-03T12")  # 216 hours
    assert view["slackMayAnswer"] is False
    assert view["accounts"] == LINKED
    assert view["names"]["lena"] == "Lena"
    assert view["mayAnswer"] == ["lena", "luis"]
    other = view_of(world.store, world.keys, release_id, "http://airflow", "T0OTHER")
    assert other["accounts"] == {}


# whatever Slack answers
class Dying(SlackWeb):
    """Is killed right after a message has been posted."""

    def __init__(self, slack: Workspace, alive: int) -> None:
        super().__init__("xoxb-test", slack.url, timeout=10)
        self.alive = alive

    def post(self, *arguments: Any, **options: Any) -> Any:
        spot = super().post(*arguments, **options)
        self.alive -= 1
        if self.alive < 0:
            raise KeyboardInterrupt
        return spot


@pytest.mark.chaos
@pytest.mark.parametrize("alive", [0, 1, 2, 3])
def test_killed_after_sending_nothing_is_said_twice(
    world: World, slack: Workspace, clock: FakeClock, alive: int
) -> None:
    """Card, reply, escalation, direct message: whichever was the last one sent."""
    release_id = opened(world)
    world.approve(release_id, "lena")
    clock.pass_(hours=144, minutes=1)
    deadlines.sweep(world.store)
    with pytest.raises(KeyboardInterrupt):
        empty(speaker(world, slack, Dying(slack, alive)))
    assert len(slack.messages) == alive + 1
    clock.pass_(minutes=3)
    empty(speaker(world, slack))
    keys = [key(one).removeprefix(f"{release_id}/") for one in slack.messages]
    assert len(keys) == len(set(keys))
    place = "chat/AWAITING_APPROVAL-1-2"
    overdue = f"{place}-delivery-1"
    assert keys[:4] == ["card", place, overdue, f"{overdue}/U0CARLA"]
    assert keys[4:6] == [f"{place}-remind-1", f"{place}-remind-2"]
    assert waiting(world) == []


@pytest.mark.chaos
def test_an_answer_that_came_too_late_is_not_sent_again(
    world: World, slack: Workspace, clock: FakeClock
) -> None:
    release_id, slack.trouble = opened(world), each(Fault(late=0.6), times=1)
    assert speaker(world, slack, SlackWeb("xoxb-test", slack.url, timeout=0.3)).run() == 0
    world.approve(release_id, "lena")  # what was posted is old by now
    clock.pass_(seconds=5)
    empty(speaker(world, slack))
    (card,) = slack.cards
    assert card["edits"] == 1
    assert len(slack.replies(card)) == 1


@pytest.mark.chaos
def test_an_hour_without_slack_loses_nothing_and_doubles_nothing(
    world: World, slack: Workspace, clock: FakeClock
) -> None:
    speaks, slack.trouble = speaker(world, slack), each(DOWN)
    going = [opened(world)]
    patiently(speaks, clock, 0.25, every=60)
    world.approve(going[0], "lena")
    patiently(speaks, clock, 0.25, every=60)
    world.approve(going[0], "carla")
    patiently(speaks, clock, 0.5, every=60)
    assert slack.messages == []
    assert len(slack.calls) < 60  # not hammered
    slack.trouble = None
    patiently(speaks, clock, 0.1)
    assert waiting(world) == []
    (card,) = slack.cards
    assert [key(one).rpartition("/")[2] for one in slack.replies(card)] == ["AWAITING_APPROVAL-1-3"]
    world.vote(going[0], "mara", Decision.REJECT)
    patiently(speaks, clock, 0.01)
    keys = [key(one) for one in slack.messages]
    assert len(keys) == len(set(keys)) == 3
    assert access_log.verify(world.store, world.keys).ok


@pytest.mark.chaos
def test_a_storm_of_429_is_waited_out_by_everything(
    make_world: MakeWorld, slack: Workspace, clock: FakeClock
) -> None:
    world, _ = several(make_world, clock, 5)
    busy = Fault(429, "ratelimited", {"Retry-After": "30"})
    speaks, slack.trouble = speaker(world, slack), each(busy, times=4)
    patiently(speaks, clock, 0.1)
    times = [at for at, _, _ in slack.calls[:5]]
    assert all(later - before >= 30 for before, later in pairwise(times))
    assert len(slack.cards) == 5
    keys = [key(one) for one in slack.messages]
    assert len(keys) == len(set(keys))
    assert waiting(world) == []


@ONE
@pytest.mark.chaos
def test_a_message_slack_chokes_on_does_not_stop_the_others(
    make_world: MakeWorld, slack: Workspace, clock: FakeClock
) -> None:
    world, (bad, *good) = several(make_world, clock, 3)
    slack.trouble = lambda _, asked: Fault(500) if bad in str(asked) else None
    speaks = speaker(world, slack)
    patiently(speaks, clock, 0.1)
    assert {key(one) for one in slack.cards} == {f"{one}/card" for one in good}
    slack.trouble = None
    patiently(speaks, clock, 0.1)
    assert len(slack.cards) == 3


@ONE
def test_a_message_that_breaks_our_own_drawing_does_not_stop_the_others(
    make_world: MakeWorld, slack: Workspace, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    world, (bad, *_) = several(make_world, clock, 2)

    def card(view: dict[str, Any]) -> Any:
        return DRAWING.card(view if view["id"] != bad else {})

    where = Where(channel=CHANNEL)
    chat = SlackWeb("xoxb-test", slack.url, timeout=10)
    empty(Speaker(world.store, world.keys, chat, replace(DRAWING, card=card), where))
    assert len(slack.cards) == 1
    assert "KeyError" in caplog.text
    clock.pass_(seconds=10)
    empty(speaker(world, slack))
    assert len(slack.cards) == 2


def test_a_token_not_taken_is_said_by_e_mail_once_an_hour_and_nothing_is_lost(
    world: World, slack: Workspace, clock: FakeClock
) -> None:
    release_id, slack.trouble = opened(world), each(Fault(error="invalid_auth"))
    speaks = speaker(world, slack, mail="ops@example.org")
    patiently(speaks, clock, 1.1, every=60)
    assert len(slack.calls) <= 70  # once a minute
    failed = events(world, release_id, "DeliveryFailed")
    assert [one["data"]["code"] for one in failed] == ["invalid_auth"] * 2
    airflow = FakeAirflow()
    outbox_relay.Delivery(world.store, world.signer, airflow, 0.0, chat=True).run()
    mails = [run for run in airflow.started if "chat-closed" in run]
    assert len(mails) == 2
    with world.store.begin() as unit:
        letter = unit.letter("mail", str(airflow.started[mails[0]]["message"]))
    assert letter is not None
    assert letter["to"] == "ops@example.org"
    assert "invalid_auth" in letter["subject"]
    assert "xoxb-" in letter["text"]  # what to give, never the token
    slack.trouble = None
    patiently(speaks, clock, 0.05)
    assert len(slack.cards) == 1
    assert waiting(world) == []


@ONE
def test_without_an_address_the_log_says_that_nobody_could_be_told(
    world: World, slack: Workspace, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    opened(world)
    slack.trouble = each(Fault(error="is_archived"))
    patiently(speaker(world, slack), clock, 0.1)
    said = [one.message for one in caplog.records if "nobody could be told" in one.message]
    assert len(said) == 1
    assert "AIRLOCK_ALERT_MAIL" in said[0]


@ONE
def test_a_message_slack_refuses_is_given_up_with_its_error(world: World, slack: Workspace) -> None:
    release_id, speaks = opened(world), speaker(world, slack)
    slack.trouble = each(Fault(error="msg_too_long"), times=1)
    empty(speaks)
    (failed,) = events(world, release_id, "DeliveryFailed")
    assert "msg_too_long" in failed["why"]
    world.approve(release_id, "lena")
    empty(speaks)
    assert len(slack.cards) == 1


@ONE
def test_a_refused_table_goes_out_without_it(world: World, slack: Workspace) -> None:
    opened(world)
    slack.trouble = lambda _, asked: (
        Fault(error="invalid_blocks")
        if any(block["type"] == "table" for block in asked.get("blocks", ()))
        else None
    )
    empty(speaker(world, slack))
    (card,) = slack.cards
    assert "roc_auc" in str(card["blocks"])
    assert slack.asked("chat.postMessage") == 2


@ONE
def test_slack_away_is_said_once_and_that_it_is_back(
    world: World, slack: Workspace, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "airlock.slack")
    opened(world)
    speaks, slack.trouble = speaker(world, slack), each(DOWN)
    patiently(speaks, clock, 0.2)
    slack.trouble = None
    patiently(speaks, clock, 0.1)
    said = [one.message for one in caplog.records if one.name == "airlock.slack"]
    assert len(said) == 2
    assert "HTTP 503" in said[0]
    assert said[1] == "Slack takes messages again"


@ONE
def test_a_release_that_ended_while_slack_was_away_shows_how_it_ended(
    world: World, slack: Workspace, clock: FakeClock
) -> None:
    release_id, speaks = opened(world), speaker(world, slack)
    empty(speaks)
    slack.trouble = each(DOWN)
    assert world.approve_all(release_id).state is State.APPROVED
    patiently(speaks, clock, 0.1)
    slack.trouble = None
    patiently(speaks, clock, 0.1)
    (card,) = slack.cards
    assert card["edits"] == 1
    assert len(slack.replies(card)) == 1
