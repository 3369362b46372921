"""Answering in Slack, as it is meant: click, form, answer; commands, delegation, App Home."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from airlock.domain.approval.release import State
from airlock.entrypoints.http.slack_endpoint import Reception
from airlock.services.approvals import delegation
from airlock.services.queries import duties, releases
from tests.integration.duty_kit import fresh
from tests.integration.slack_kit import CHANNEL, SECRET, TEAM, WHY, Slack, signed, workspace

pytestmark = pytest.mark.slack


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slack]:
    with workspace(tmp_path_factory.mktemp("slack")) as found:
        yield found


@pytest.fixture
def slack(everything: Slack) -> Slack:
    everything.fresh()
    return everything


@pytest.fixture
def release_id(slack: Slack) -> str:
    return fresh(slack.doors)


def answer(slack: Slack, person: str, release_id: str, decision: str = "approve") -> str:
    """Click and submit; return what the form shows then."""
    view = slack.open_form(person, release_id, decision)
    said = slack.send(slack.form(slack.link(person), view))
    assert said.status_code == 200
    return json.dumps(said.json(), ensure_ascii=False)


def test_three_levels_and_a_committee_of_two_are_answered_in_slack(
    slack: Slack, release_id: str
) -> None:
    assert "is at level 2" in answer(slack, "lena", release_id)
    assert "is at level 3" in answer(slack, "carla", release_id)
    assert "still waits at level 3" in answer(slack, "mara", release_id)
    assert "is approved" in answer(slack, "milo", release_id)
    world = slack.doors.world
    done = releases.outcome(world.store, release_id)
    assert done.state is State.APPROVED
    assert [(vote.person, vote.channel, vote.reason) for vote in done.votes] == [
        (person, "slack", WHY) for person in ("lena", "carla", "mara", "milo")
    ]
    kept = [one for one in slack.events("SlackAnswer") if one["data"]["release"] == release_id]
    assert [one["who"]["id"] for one in kept] == ["lena", "carla", "mara", "milo"]
    first = kept[0]["data"]
    assert (first["team"], first["account"], first["decision"]) == (TEAM, "U0LENA", "approve")
    assert first["subjectDigest"] == done.subject.digest
    assert first["request"].startswith("sha256:")
    assert first["trigger"].startswith("sha256:")
    assert first["signedAt"].isdigit()
    assert slack.refusals() == []


def test_a_rejection_ends_the_release(slack: Slack, release_id: str) -> None:
    assert "rejected" in answer(slack, "luis", release_id, "reject")
    done = releases.outcome(slack.doors.world.store, release_id)
    assert (done.state, done.votes[0].person) == (State.REJECTED, "luis")


def test_a_form_sent_twice_counts_once(slack: Slack, release_id: str) -> None:
    form = slack.form(slack.link("lena"), slack.open_form("lena", release_id))
    first, second = slack.send(form), slack.send(form)
    assert (first.status_code, first.json()["response_action"]) == (200, "update")
    assert "approved" in second.text
    assert len(releases.outcome(slack.doors.world.store, release_id).votes) == 1
    assert len([o for o in slack.events("SlackAnswer") if o["data"]["release"] == release_id]) == 1


def test_buttons_that_open_a_page_are_taken_in_silence(slack: Slack) -> None:
    for action in ("airlock.evidence", "airlock.review"):
        said = slack.send(slack.click(slack.link("vera"), action, ""))
        assert (said.status_code, said.content) == (200, b"")
    closed = slack.send({"type": "view_closed", **slack.whole(slack.link("vera"))})
    assert (closed.status_code, closed.content) == (200, b"")
    assert slack.refusals() == []


def test_the_profile_is_asked_once_and_not_between_click_and_form(
    slack: Slack, release_id: str
) -> None:
    view = slack.open_form("lena", release_id)
    slack.api.wait("users.info")
    assert [name for name, _ in slack.api.calls] == ["views.open", "users.info"]
    slack.api.silent.set()  # whoever asked the Web API now would wait for ever
    said = slack.send(slack.form(slack.link("lena"), view))
    assert said.json()["response_action"] == "update"
    assert releases.outcome(slack.doors.world.store, release_id).level == 2


def test_both_signing_secrets_count_while_one_replaces_the_other(slack: Slack) -> None:
    slack.desk.settings = type(slack.settings)(
        bot_token="xoxb-1", signing_secret=("6" * 32, SECRET), team_id=TEAM, app_id="A0OURS"
    )
    for secret in ("6" * 32, SECRET):
        body = b"command=/airlock&text=help&team_id=T0OURS&api_app_id=A0OURS&user_id=U1"
        assert slack.post(body, signed(body, secret)).status_code == 200


def test_the_address_is_confirmed_to_slack(slack: Slack) -> None:
    body = json.dumps({"type": "url_verification", "token": "t", "challenge": "c-1"}).encode()
    assert slack.post(body, kind="application/json").json() == {"challenge": "c-1"}
    assert slack.post(body, {}, kind="application/json").status_code == 401
    check = b"ssl_check=1&token=t"
    assert slack.post(check).status_code == 200
    assert slack.post(check, {}).status_code == 401


# commands
def test_an_account_is_linked_with_the_code_from_the_page(slack: Slack) -> None:
    with slack.doors.world.store.begin() as unit:
        unit.end_link("otto", "2026-11-22T00:00:00.000000000Z")
        unit.commit()
    code = slack.code("otto")
    assert "otto" in slack.command("U0NEW", f"link {code}")["text"]
    assert slack.api.wait("views.publish")["user_id"] == "U0NEW"
    again = slack.command("U0OTHER", f"link {code}")["text"]
    assert "not accepted" in again
    with slack.doors.world.store.begin() as unit:
        link = unit.link(TEAM, "U0NEW")
    assert link is not None
    assert link.person == "otto"


def test_what_waits_is_listed_for_whoever_can_answer(slack: Slack, release_id: str) -> None:
    assert release_id in json.dumps(slack.command(slack.link("lena"), "pending"))
    assert release_id not in json.dumps(slack.command(slack.link("vera"), "PENDING "))


def test_a_release_is_shown(slack: Slack, release_id: str) -> None:
    assert release_id in slack.command(slack.link("vera"), f"show {release_id}")["text"]
    for unknown in ("show", "show rel-0", "show <!channel>", f"show {'x' * 300}"):
        shown = slack.command(slack.link("vera"), unknown)
        assert shown["response_type"] == "ephemeral"
        assert "<!" not in json.dumps(shown)


def test_anything_else_gets_the_usage(slack: Slack) -> None:
    for words in ("", "help", "approve rel-1", "<!channel>"):
        shown = slack.command("U0NOBODY", words)
        assert "/airlock pending" in shown["text"]
        assert "<!channel>" not in json.dumps(shown)


def lend(slack: Slack, giver: str, taker: str, days: float = 1, **fields: Any) -> dict[str, Any]:
    """Fill the form for a delegation; return what it shows then."""
    assert slack.command(slack.link(giver), "delegate") == {}
    view = slack.api.wait("views.open")["view"]
    now = int(datetime.now(UTC).timestamp())
    values = {
        "taker": {"selected_user": taker},
        "start": {"selected_date_time": now},
        "end": {"selected_date_time": now + int(days * 86_400)},
        "reason": {"value": "away for a while"},
        **fields,
    }
    filled = {name: {name: element} for name, element in values.items()}
    whole = slack.form(slack.link(giver), json.loads(view) if isinstance(view, str) else view)
    whole["view"]["state"] = {"values": filled}
    return dict(slack.send(whole).json())


def test_a_vote_is_lent_and_given_for_somebody_else(slack: Slack, release_id: str) -> None:
    assert "vera may answer for you" in json.dumps(lend(slack, "luis", slack.link("vera")))
    [made] = [
        one
        for one in duties.delegation_rows(slack.doors.world.store, giver="luis", taker="luis").rows
        if one["inForce"] and one["taker"] == "vera"
    ]
    view = slack.open_form("vera", release_id)
    said = slack.send(slack.form(slack.link("vera"), view, seat="luis"))
    assert said.json()["response_action"] == "update"
    [vote] = releases.outcome(slack.doors.world.store, release_id).votes
    assert (vote.person, vote.behind, vote.capacity.value) == ("vera", "luis", "delegate")
    home = slack.event("app_home_opened", slack.link("vera"))
    assert home.status_code == 200
    shown = json.dumps(slack.api.wait("views.publish"))
    assert "away for a while" in shown
    delegation.revoke(slack.doors.world.store, slack.doors.world.actor("luis"), made["id"])


@pytest.mark.parametrize(
    ("taker", "fields", "block"),
    [
        ("U0STRANGER", {}, "taker"),
        ("", {}, "taker"),
        ("U0MINA", {"start": {"selected_date_time": None}}, "start"),
        ("U0MINA", {"end": {"selected_date_time": 10**30}}, "end"),
        ("U0MINA", {"reason": {"value": " "}}, "reason"),
        ("U0MINA", {"reason": {"value": "\x00 and so on"}}, "reason"),
    ],
)
def test_a_delegation_that_makes_no_sense_is_mended_in_the_form(
    slack: Slack, taker: str, fields: dict[str, Any], block: str
) -> None:
    said = lend(slack, "mara", taker, **fields)
    assert said["response_action"] == "errors"
    assert list(said["errors"]) == [block]


def test_whoever_has_nothing_to_lend_is_told_so(slack: Slack) -> None:
    said = lend(slack, "vera", slack.link("mina"))
    assert "nothing to delegate" in json.dumps(said)
    assert any("nothing to delegate" in one for one in slack.refusals())


# the App Home
def test_the_app_home_is_an_inbox(slack: Slack, release_id: str) -> None:
    answer(slack, "lena", release_id)
    assert slack.event("app_home_opened", slack.link("carla")).status_code == 200
    assert release_id in json.dumps(slack.api.wait("views.publish"))
    slack.api.calls.clear()
    slack.event("app_home_opened", slack.link("lena"))
    assert "credit" in json.dumps(slack.api.wait("views.publish"))
    slack.api.calls.clear()
    slack.event("app_home_opened", "U0NOBODY")
    assert "not linked" in json.dumps(slack.api.wait("views.publish"))
    assert slack.event("message", slack.link("lena")).status_code == 200


# Slack's own trouble
@pytest.mark.parametrize("trouble", ["silent", "down", "expired_trigger_id"])
def test_slack_is_answered_in_time_whatever_its_web_api_does(
    slack: Slack, release_id: str, trouble: str
) -> None:
    click = slack.click(slack.link("lena"), slack.buttons(release_id)["airlock.approve"])
    form = slack.form(slack.link("lena"), slack.open_form("lena", release_id))
    slack.fresh("http://127.0.0.1:1/api/" if trouble == "down" else "")
    if trouble == "silent":
        slack.api.silent.set()
    elif trouble == "expired_trigger_id":
        slack.api.errors["views.open"] = trouble
    clicked = slack.send(click)
    assert clicked.status_code == 200
    submitted = slack.send(form)
    if trouble == "expired_trigger_id":
        whisper = slack.api.wait("chat.postEphemeral")
        assert "click again" in whisper["text"]
        assert whisper["channel"] == CHANNEL
        return
    assert submitted.json()["response_action"] == "errors"  # nobody is let in unknown
    assert "in time" in submitted.text
    assert releases.outcome(slack.doors.world.store, release_id).votes == ()


class Broken:
    """A database nobody expected."""

    def begin(self) -> Any:
        raise RuntimeError("secret")


def test_an_accident_is_a_number_to_slack(
    slack: Slack, release_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    view = slack.open_form("lena", release_id)
    click = slack.click(slack.link("lena"), slack.buttons(release_id)["airlock.approve"])
    slack.fresh(store=Broken())
    said = slack.send(slack.form(slack.link("lena"), view))
    assert (said.status_code, said.json()["response_action"]) == (200, "update")
    assert slack.send(click).status_code == 200
    whisper = slack.api.wait("chat.postEphemeral")["text"]
    for shown in (said.text, whisper, slack.command(slack.link("lena"), "pending")["text"]):
        assert "Something broke" in shown
        assert "secret" not in shown
    assert caplog.text.count("RuntimeError: secret") == 3


def test_without_slack_everything_else_works(slack: Slack, release_id: str) -> None:
    slack.doors.app.state.slack = Reception(None)
    said = slack.post(b"payload={}")
    assert (said.status_code, said.json()["nextStep"][:10]) == (503, "docs/howto")
    assert slack.doors.rest("vera").get(f"/releases/{release_id}").status_code == 200
