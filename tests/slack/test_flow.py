"""From the message to the decision and back, through an emulator: signed HTTP and Socket Mode."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from airlock.domain.digest import digest_bytes
from airlock.domain.people.actors import Actor
from airlock.entrypoints.slack import context
from airlock.services.approvals import decide
from airlock.services.people import slack_links
from tests.slack import shim
from tests.slack.conftest import Stores
from tests.slack.kit import ACCOUNTS, buttons, wording
from tests.slack.scene import Scene, scene

REASON = "looked at the numbers and at the evidence"
APPROVE, REJECT = "airlock.approve", "airlock.reject"
#: For what is the same whichever way a request came.
over_http = pytest.mark.parametrize("both", ["http"], indirect=True)


@pytest.fixture(scope="module", params=["http", "socket"])
def both(request: pytest.FixtureRequest, make_stores: Callable[[], Stores]) -> Iterator[Scene]:
    with scene(make_stores(), over_socket=request.param == "socket") as play:
        yield play


@pytest.fixture
def there(both: Scene) -> Iterator[Scene]:
    yield both
    both.slack.shim.heal()
    both.slack.shim.people.clear()


def opened(there: Scene, run: str) -> tuple[str, str]:
    """Open a release even where another is open; return it and its message."""
    release = there.world.request(there.world.measure(run), "supersede").release
    assert release is not None
    return release.id, there.card(release.id)["ts"]


def approve(there: Scene, ts: str, user: str) -> dict[str, str]:
    there.slack.open_form(ts, user, APPROVE)
    return there.slack.submit(user, reason=REASON, sure=True)


def test_three_levels_and_two_of_the_committee(there: Scene) -> None:
    release, ts = opened(there, "three-levels")
    for level, user in enumerate(("lena", "carla", "mara"), start=1):
        there.await_card(ts, f"Level {level} of 3", "May answer")
        assert approve(there, ts, user) == {}
        assert "You approved" in wording(there.slack.form())
    assert (there.state(release), there.level(release)) == ("AWAITING_APPROVAL", 3)
    assert approve(there, ts, "milo") == {}
    assert there.state(release) == "APPROVED"

    voters = ("lena", "carla", "mara", "milo")
    card = there.await_card(ts, "Approved", REASON, *(f"by {voter}, in Slack" for voter in voters))
    assert [button["action_id"] for button in buttons(card) if button.get("value")] == []
    assert "table" not in {block["type"] for block in card["blocks"]}
    cards = [message for message in there.slack.messages() if release in wording(message)]
    assert len([message for message in cards if not message.get("thread_ts")]) == 1, (
        "one card, always mended"
    )
    assert len(there.slack.thread(ts)) >= 3


def test_the_confirmation_is_asked_for_at_high_risk(there: Scene) -> None:
    release, ts = opened(there, "unsure")
    there.slack.open_form(ts, "lena", APPROVE)
    assert list(there.slack.submit("lena", reason=REASON)) == ["sure"]
    assert list(there.slack.submit("lena", reason="  ", sure=True)) == ["reason"]
    assert there.level(release) == 1
    assert there.slack.submit("lena", reason=REASON, sure=True) == {}
    assert there.level(release) == 2


def test_a_rejection_ends_it(there: Scene) -> None:
    release, ts = opened(there, "reject")
    approve(there, ts, "luis")
    there.await_card(ts, "by luis")
    there.slack.open_form(ts, "carla", REJECT)
    why = "the window of the data is <!channel> too short"
    assert there.slack.submit("carla", reason=why, sure=True) == {}
    assert there.state(release) == "REJECTED"
    card = there.await_card(ts, "Rejected", "by carla", "too short")
    assert buttons(card) == [] or {button["action_id"] for button in buttons(card)} == {
        "airlock.evidence"
    }


def test_a_button_from_before_the_change_does_nothing(there: Scene) -> None:
    release, ts = opened(there, "stale")
    message = there.slack.message(ts)
    old = next(button for button in buttons(message) if button["action_id"] == APPROVE)
    form = there.slack.open_form(ts, "lena", APPROVE)
    by = Actor.system("test")
    decide.void(there.world.store, release, by, "new data", data_digest=digest_bytes(b"new"))

    assert there.slack.submit("lena", reason=REASON, sure=True) == {}
    assert "Not taken" in str(there.slack.form()["title"])
    assert there.slack.form()["id"] != form["id"]
    there.await_card(ts, "Round 2")
    there.slack.click_button(ts, "lena", old)
    there.slack.await_(lambda: there.slack.whispers("lena"), "a word to lena")
    assert "round" in there.slack.whispers("lena")[-1]
    assert there.level(release) == 1
    assert approve(there, ts, "lena") == {}
    assert there.level(release) == 2


def test_who_may_not_answer_is_told_why(there: Scene) -> None:
    release, ts = opened(there, "not-you")
    whispers = {}
    for user in ("ana", "zoe", "vera", "admin"):
        there.slack.click(ts, user, APPROVE)
        there.slack.await_(lambda person=user: there.slack.whispers(person), f"a word to {user}")
        whispers[user] = there.slack.whispers(user)[-1]
    assert "not linked" in whispers["zoe"]
    assert "May answer now: lena, luis" in whispers["ana"]
    assert there.level(release) == 1


def test_somebody_elses_form_counts_for_who_sends_it(there: Scene) -> None:
    release, ts = opened(there, "other-form")
    there.slack.open_form(ts, "lena", APPROVE)
    assert there.slack.submit("ana", reason=REASON, sure=True) == {}
    assert "Not taken" in str(there.slack.form()["title"])
    assert there.level(release) == 1


def test_commands_are_answered_to_whoever_typed_them(there: Scene) -> None:
    release, _ts = opened(there, "commands")
    assert release in there.slack.command("lena", "pending")
    assert release not in there.slack.command("carla", "pending")
    assert release in there.slack.command("carla", f"show {release}")
    assert "pending" in there.slack.command("lena", "what?")
    assert "no release" in there.slack.command("lena", "show nothing")
    assert "not linked" in there.slack.command("zoe", "pending")


def test_a_code_links_an_account_once(there: Scene) -> None:
    code = slack_links.offer(there.world.store, there.world.actor("vera")).code
    assert "vera" in there.slack.command("vera", f"link {code}")
    again = there.slack.command("zoe", f"link {code}")
    assert "vera" not in again
    assert slack_links.of(there.world.store, "vera").account == ACCOUNTS["vera"]
    assert slack_links.end(there.world.store, there.world.actor("vera"), "vera")


def test_the_home_is_an_inbox(there: Scene) -> None:
    release, ts = opened(there, "home")
    there.slack.open_home("mina")
    there.slack.await_(lambda: there.slack.home("mina"), "mina's home")
    there.slack.open_home("lena")

    def waiting() -> bool:
        return release in str(there.slack.home("lena"))

    there.slack.await_(waiting, "the release in lena's home")
    approve(there, ts, "lena")

    def decided() -> bool:
        _, _, answers = wording(there.slack.home("lena")).partition("You decided")
        return release in answers

    there.slack.await_(decided, "lena's answer in her home")


def test_a_vote_is_lent_in_slack(there: Scene) -> None:
    before = there.slack.form().get("id")
    there.slack.type("luis", "delegate")
    there.slack.await_(
        lambda: (form := there.slack.form()) and form["id"] != before, "the form to lend a vote"
    )
    now = int(time.time())
    taker = {"type": "users_select", "selected_user": ACCOUNTS["mina"]}
    times = {
        name: {"type": "datetimepicker", "selected_date_time": at}
        for name, at in {"start": now + 60, "end": now + 86400}.items()
    }
    assert there.slack.submit("luis", reason="on leave for a day", taker=taker, **times) == {}
    assert "mina may answer for you" in wording(there.slack.form())


@over_http
def test_an_account_slack_has_closed_decides_nothing(
    there: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "KEPT_S", 0.0)  # a minute has passed since Slack was asked
    release, ts = opened(there, "closed-account")
    there.slack.shim.people[ACCOUNTS["lena"]] = {"deleted": True}
    there.slack.open_form(ts, "lena", APPROVE)
    there.slack.submit("lena", reason=REASON, sure=True)
    assert "Not taken" in str(there.slack.form()["title"])
    assert there.level(release) == 1


@over_http
def test_a_form_that_slack_would_not_open_can_be_asked_for_again(there: Scene) -> None:
    _release, ts = opened(there, "trigger")
    there.slack.shim.next("views.open", shim.error("expired_trigger_id"))
    there.slack.click(ts, "luis", APPROVE)

    def answered() -> bool:
        return any("click again" in whisper for whisper in there.slack.whispers("luis"))

    there.slack.await_(answered, "a word to luis")
    assert approve(there, ts, "luis") == {}


@over_http
@pytest.mark.chaos
def test_a_click_is_answered_in_time_though_the_web_api_hangs(there: Scene) -> None:
    release, ts = opened(there, "hanging")
    there.slack.shim.always(shim.hang(600))  # whoever waited for it would never come back
    there.slack.click(ts, "lena", APPROVE)
    there.world.approve(release, "lena")  # at another door
    there.slack.shim.heal()
    there.await_card(ts, "by lena")


@over_http
@pytest.mark.chaos
def test_too_much_at_once_is_said_later_and_once(there: Scene) -> None:
    release, ts = opened(there, "busy")
    there.slack.shim.next("chat.update", shim.busy(1), shim.broken())
    there.world.approve(release, "lena")
    there.await_card(ts, "by lena")
    there.slack.await_(lambda: there.slack.thread(ts), "the reply in the thread")
    replies = there.slack.thread(ts)
    assert len(replies) == len(set(replies))
    cards = [message for message in there.slack.messages() if release in wording(message)]
    assert len([message for message in cards if not message.get("thread_ts")]) == 1
