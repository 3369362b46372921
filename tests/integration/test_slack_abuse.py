"""Slack under attack: every attempt is refused, says why, is in the log, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from airlock.adapters.slack.views import card, forms
from airlock.domain.approval.release import Decision, State
from airlock.domain.people.actors import Actor, Channel, Person
from airlock.entrypoints.http.slack_endpoint import MAX_BODY
from airlock.ports.chat import Received
from airlock.services.approvals import decide
from airlock.services.notifications import slack_audit
from airlock.services.people import recognition
from airlock.services.queries import releases
from tests.integration.door_kit import rulebook
from tests.integration.duty_kit import fresh
from tests.integration.slack_kit import TEAM, Slack, signed, workspace

pytestmark = [pytest.mark.slack, pytest.mark.attack]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slack]:
    with workspace(tmp_path_factory.mktemp("slack")) as found:
        yield found


@pytest.fixture
def slack(everything: Slack) -> Slack:
    everything.fresh()
    return everything


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Slack]:
    """Return a workspace whose policy takes no answer of the high tier in Slack."""
    with workspace(tmp_path, rules=rulebook()) as found:
        yield found


@pytest.fixture
def release_id(slack: Slack) -> str:
    return fresh(slack.doors)


def refused_click(slack: Slack, release_id: str, click: dict[str, Any], why: str) -> None:
    """Click; nothing opens, the clicker is told why, the log says it, the release is as it was."""
    before, logged = slack.shown(release_id), len(slack.refusals())
    said = slack.send(click)
    assert (said.status_code, said.content) == (200, b"")
    whisper = slack.api.wait("chat.postEphemeral")
    assert why in whisper["text"]
    assert whisper["user"] == click["user"]["id"]
    [refusal] = slack.refusals()[logged:]
    assert why.lower() in refusal.lower()
    assert slack.shown(release_id) == before
    assert slack.api.of("views.open") == []


def refused_form(slack: Slack, release_id: str, form: dict[str, Any], why: str) -> dict[str, Any]:
    """Submit; the form says why, the log says it, the release is as it was."""
    before, logged = slack.shown(release_id), len(slack.refusals())
    said = slack.send(form)
    assert said.status_code == 200
    shown: dict[str, Any] = said.json()
    assert shown["response_action"] in ("errors", "update")
    assert why.lower() in json.dumps(shown, ensure_ascii=False).lower()
    [refusal] = slack.refusals()[logged:]
    assert why.lower() in refusal.lower()
    assert slack.shown(release_id) == before
    return shown


def approval(slack: Slack, release_id: str, person: str) -> dict[str, Any]:
    """Return a click on Approve."""
    return slack.click(slack.link(person), slack.buttons(release_id)["airlock.approve"])


def filled(slack: Slack, release_id: str, person: str, **changes: Any) -> dict[str, Any]:
    """Return the form lena is shown, sent by somebody."""
    view = slack.view(release_id, "lena")
    form = forms.answer_form(view, "approve", view["yourSeats"])
    return slack.form(slack.link(person), form, **changes)


# requests that are not Slack's
def _tampered(body: bytes) -> tuple[bytes, dict[str, str]]:
    return body.replace(b"lena", b"luis").replace(b"LENA", b"LUIS"), signed(body)


def _without(name: str) -> Callable[[bytes], tuple[bytes, dict[str, str]]]:
    def drop(body: bytes) -> tuple[bytes, dict[str, str]]:
        return body, {key: value for key, value in signed(body).items() if key != name}

    return drop


def _with(**headers: str) -> Callable[[bytes], tuple[bytes, dict[str, str]]]:
    spelled = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda body: (body, signed(body) | spelled)


STAMP, SIGNATURE = "X_Slack_Request_Timestamp", "X_Slack_Signature"
FORGERIES: dict[str, Callable[[bytes], tuple[bytes, dict[str, str]]]] = {
    "without a signature": lambda body: (body, {}),
    "signed with another secret": lambda body: (body, signed(body, "7" * 32)),
    "tampered with": _tampered,
    "a byte longer": lambda body: (body + b" ", signed(body)),
    "six minutes old": lambda body: (body, signed(body, age=360)),
    "301 seconds old": lambda body: (body, signed(body, age=301.9)),
    "from the future": lambda body: (body, signed(body, age=-302)),
    "without a timestamp": _without("X-Slack-Request-Timestamp"),
    "without the signature alone": _without("X-Slack-Signature"),
    "a timestamp that is a word": _with(**{STAMP: "now"}),
    "an empty timestamp": _with(**{STAMP: ""}),
    "an endless timestamp": _with(**{STAMP: "9" * 5000}),
    "an empty signature": _with(**{SIGNATURE: ""}),
    "a signature in another alphabet": _with(**{SIGNATURE: "v0=é"}),
    "a body that is no text": lambda body: (b"payload=\xff\xfe", signed(body)),
    "no body": lambda body: (b"", signed(body)),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_slack_has_not_signed_is_401(slack: Slack, release_id: str, forgery: str) -> None:
    before = slack.shown(release_id)
    payload = urlencode({"payload": json.dumps(approval(slack, release_id, "lena"))}).encode()
    body, headers = FORGERIES[forgery](payload)
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    said = slack.post(body, raw)  # type: ignore[arg-type]
    assert said.status_code == 401, said.text
    assert said.headers["content-type"] == "application/problem+json"
    assert said.json()["detail"] == "this address takes what Slack has signed, and nothing else"
    assert slack.refusals()[-1] == "a request: it is not signed by Slack"
    assert slack.shown(release_id) == before
    assert slack.api.calls == []


def test_a_login_to_airflow_opens_nothing_here(slack: Slack) -> None:
    body = b"command=/airlock&text=pending"
    for headers in ({"Authorization": "Bearer lena"}, {"Cookie": "_token=lena"}):
        assert slack.post(body, headers).status_code == 401
    assert slack.doors.rest("lena").get("../../slack/interactions").status_code == 405


def test_a_body_without_end_is_413(slack: Slack) -> None:
    body = b"payload=" + b"x" * MAX_BODY
    assert slack.post(body).status_code == 413
    large = b"command=/airlock&text=help&filler=" + b"x" * (MAX_BODY // 2)
    assert slack.post(large).status_code != 413


def test_genuine_bytes_that_say_nothing_are_422(slack: Slack) -> None:
    assert slack.post(b"payload={").status_code == 422
    assert slack.post(b"[]", kind="application/json").status_code == 422
    assert slack.post(b"\xc3\xa9" * 10).status_code == 403


# for somebody else
@pytest.mark.parametrize(
    "foreign",
    [
        {"team": {"id": "T0THEIRS"}},
        {"api_app_id": "A0THEIRS"},
        {"enterprise": {"id": "E0THEIRS"}},
        {"team": {"id": TEAM, "enterprise_id": "E0THEIRS"}},
        {"team": None},
        {"api_app_id": None},
    ],
)
def test_another_app_or_workspace_gets_nothing(
    slack: Slack, release_id: str, foreign: dict[str, Any]
) -> None:
    before = slack.shown(release_id)
    assert slack.send({**approval(slack, release_id, "lena"), **foreign}).status_code == 403
    form = {**filled(slack, release_id, "lena"), **foreign}
    assert "another workspace" in slack.send(form).text
    assert slack.api.calls == []
    assert all("another workspace" in one for one in slack.refusals()[-2:])
    assert slack.shown(release_id) == before


def test_a_command_or_an_event_of_another_workspace_gets_nothing(slack: Slack) -> None:
    account = slack.link("lena")
    assert "another workspace" in slack.command(account, "pending", team_id="T0X")["text"]
    assert "another workspace" in slack.command(account, "pending", enterprise_id="E0X")["text"]
    assert "another workspace" in slack.command(account, "link ABC", api_app_id="A0X")["text"]
    assert slack.event("app_home_opened", account, team_id="T0X").status_code == 403
    assert slack.api.of("views.publish") == []


# who it is
def test_an_account_nobody_has_linked_is_told_how_to(slack: Slack, release_id: str) -> None:
    click = slack.click("U0STRANGER", slack.buttons(release_id)["airlock.approve"])
    refused_click(slack, release_id, click, "not linked")
    form = {**filled(slack, release_id, "lena"), "user": {"id": "U0STRANGER", "team_id": TEAM}}
    shown = refused_form(slack, release_id, form, "not linked")
    assert "/airlock link CODE" in json.dumps(shown)


def test_a_name_or_an_address_links_nobody(slack: Slack, release_id: str) -> None:
    user = {"id": "U0X", "name": "lena", "username": "lena", "email": "lena@x", "team_id": TEAM}
    form = {**filled(slack, release_id, "lena"), "user": user}
    refused_form(slack, release_id, form, "not linked")


@pytest.mark.parametrize(
    ("person", "why"),
    [
        ("vera", "you hold viewer"),
        ("carla", "you hold compliance_officer"),
        ("admin", "you hold admin"),
        ("ana", "nobody judges own work"),
    ],
)
def test_who_may_not_answer_gets_no_form(
    slack: Slack, release_id: str, person: str, why: str
) -> None:
    refused_click(slack, release_id, approval(slack, release_id, person), why)


@pytest.mark.parametrize(
    ("person", "why"),
    [("vera", "vera holds viewer"), ("admin", "admin holds"), ("ana", "nobody judges own work")],
)
def test_somebody_elses_form_is_answered_as_whoever_sends_it(
    slack: Slack, release_id: str, person: str, why: str
) -> None:
    refused_form(slack, release_id, filled(slack, release_id, person), why)


def test_a_form_cannot_say_who_answers(slack: Slack, release_id: str) -> None:
    form = filled(slack, release_id, "vera")
    carried = json.loads(form["view"]["private_metadata"])
    form["view"]["private_metadata"] = json.dumps({**carried, "person": "lena"})
    refused_form(slack, release_id, form, "not one of Airlock's")


def test_a_seat_that_is_not_ones_own_is_refused(slack: Slack, release_id: str) -> None:
    form = filled(slack, release_id, "lena", seat="luis")
    refused_form(slack, release_id, form, "may not answer for luis")


def test_nobody_answers_twice(slack: Slack, release_id: str) -> None:
    click = approval(slack, release_id, "lena")
    first = filled(slack, release_id, "lena")
    assert slack.send(first).json()["response_action"] == "update"
    slack.fresh()
    again = {**first, "view": {**first["view"], "id": "V-other"}}
    refused_form(slack, release_id, again, "already answered")
    refused_click(slack, release_id, click, "level 1")


def test_somebody_deactivated_in_airflow_is_out_at_once(slack: Slack, release_id: str) -> None:
    store = slack.doors.world.store
    click, form = approval(slack, release_id, "luis"), filled(slack, release_id, "luis")
    lead = frozenset({"algorithm_lead"})
    recognition.keep_person(store, Person("luis", "Luis", lead, active=False))
    try:  # the link has ended with the account
        refused_form(slack, release_id, form, "not linked")
        refused_click(slack, release_id, click, "not linked")
    finally:
        recognition.keep_person(store, Person("luis", "Luis", lead))
        slack.accounts.pop("luis")
        slack.link("luis")


KINDS = {
    "a bot": {"is_bot": True},
    "a guest": {"is_restricted": True},
    "deactivated": {"deleted": True},
    "another organisation": {"team_id": "T0THEIRS"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_bots_guests_and_strangers_are_refused_though_linked(
    slack: Slack, release_id: str, kind: str
) -> None:
    form = filled(slack, release_id, "lena")
    account = slack.link("lena")
    slack.api.users[account] = KINDS[kind]
    refused_form(slack, release_id, form, kind)
    refused_click(slack, release_id, approval(slack, release_id, "lena"), kind)  # known by now
    assert kind in slack.command(account, "pending")["text"]


def test_a_guest_cannot_link_an_account(slack: Slack) -> None:
    slack.api.users["U0GUEST"] = {"is_ultra_restricted": True}
    code = slack.code("otto") if "otto" not in slack.accounts else "WHATEVER"
    assert "a guest" in slack.command("U0GUEST", f"link {code}")["text"]
    with slack.doors.world.store.begin() as unit:
        assert unit.link(TEAM, "U0GUEST") is None


def test_an_account_of_a_connected_workspace_is_refused(slack: Slack, release_id: str) -> None:
    theirs = {"id": slack.link("lena"), "team_id": "T0THEIRS"}
    click = {**approval(slack, release_id, "lena"), "user": theirs}
    refused_click(slack, release_id, click, "another organisation")
    form = {**filled(slack, release_id, "lena"), "user": theirs}
    refused_form(slack, release_id, form, "another organisation")


# what is answered
def test_a_message_of_an_earlier_round_answers_nothing(slack: Slack, release_id: str) -> None:
    click, form = approval(slack, release_id, "lena"), filled(slack, release_id, "lena")
    void(slack, release_id)
    refused_click(slack, release_id, click, "round 1")
    refused_form(slack, release_id, form, "round 2")
    assert repaired(slack, release_id)


def test_a_message_of_a_level_that_is_over_answers_nothing(slack: Slack, release_id: str) -> None:
    click = slack.click(slack.link("luis"), slack.buttons(release_id)["airlock.reject"])
    form = filled(slack, release_id, "luis")
    slack.doors.world.vote(release_id, "lena", Decision.APPROVE)
    refused_form(slack, release_id, form, "level 1 is not open")
    refused_click(slack, release_id, click, "at level 2")


def test_a_message_of_a_release_that_is_over_answers_nothing(slack: Slack, release_id: str) -> None:
    click, form = approval(slack, release_id, "lena"), filled(slack, release_id, "lena")
    slack.doors.world.vote(release_id, "luis", Decision.REJECT)
    refused_click(slack, release_id, click, "REJECTED")
    assert repaired(slack, release_id)
    refused_form(slack, release_id, form, "REJECTED")


def test_another_digest_than_what_is_there_answers_nothing(slack: Slack, release_id: str) -> None:
    form = filled(slack, release_id, "lena")
    carried = json.loads(form["view"]["private_metadata"])
    other = {**carried, "digest": f"sha256:{'0' * 64}"}
    form["view"]["private_metadata"] = json.dumps(other)
    refused_form(slack, release_id, form, "round 1")


def test_where_slack_may_not_answer_no_form_opens_and_none_counts(strict: Slack) -> None:
    release_id = fresh(strict.doors)
    assert "airlock.approve" not in strict.buttons(release_id)
    view = strict.view(release_id, "lena")
    value = json.dumps(card.carried(view))
    click = strict.click(strict.link("lena"), "airlock.approve", value)
    refused_click(strict, release_id, click, "not answered in Slack")
    form = strict.form(strict.link("lena"), forms.answer_form(view, "approve", view["yourSeats"]))
    refused_form(strict, release_id, form, "takes no answer")


def test_high_risk_needs_the_confirmation(slack: Slack, release_id: str) -> None:
    form = filled(slack, release_id, "lena", sure=False)
    shown = refused_form(slack, release_id, form, "confirmation")
    assert list(shown["errors"]) == ["sure"]


@pytest.mark.parametrize(
    "reason", ["", "  ", "no", "x" * 2001, "a\x00b and more", "\ud800 oh well"]
)
def test_a_reason_that_is_none_is_mended_in_the_form(
    slack: Slack, release_id: str, reason: str
) -> None:
    shown = refused_form(
        slack, release_id, filled(slack, release_id, "lena", reason=reason), "reason"
    )
    assert list(shown["errors"]) == ["reason"]


# what we do not know
def test_unknown_buttons_and_forms_are_refused(slack: Slack, release_id: str) -> None:
    value = slack.buttons(release_id)["airlock.approve"]["value"]
    for action in ("airlock.promote", "", "airlock.approve ", "x" * 500):
        slack.fresh()
        click = slack.click(slack.link("lena"), action, value)
        refused_click(slack, release_id, click, "not one of Airlock's")
    for callback in ("airlock.promote", "", None):
        slack.fresh()
        form = filled(slack, release_id, "lena")
        form["view"]["callback_id"] = callback
        before = slack.shown(release_id)
        assert "not one of Airlock's" in slack.send(form).text
        assert "not known" in slack.refusals()[-1]
        assert slack.shown(release_id) == before


def test_two_buttons_at_once_are_none(slack: Slack, release_id: str) -> None:
    click = approval(slack, release_id, "lena")
    twice = {**click, "actions": click["actions"] * 2}
    refused_click(slack, release_id, twice, "not one of Airlock's")


@pytest.mark.parametrize("value", ["", "{}", "rel-1", '{"release":"rel-1"}', "[" * 5000])
def test_a_button_somebody_made_up_is_refused(slack: Slack, release_id: str, value: str) -> None:
    click = slack.click(slack.link("lena"), "airlock.approve", value)
    refused_click(slack, release_id, click, "not one of Airlock's")


def test_a_kind_of_request_we_do_not_know_does_nothing(slack: Slack) -> None:
    for kind in ("shortcut", "message_action", "", None, 5):
        said = slack.send({"type": kind, **slack.whole(slack.link("lena"))})
        assert (said.status_code, said.content) == (200, b"")
        assert "nothing of that kind" in slack.refusals()[-1]


def test_the_words_of_people_reach_nobody_as_a_mention_or_a_link(
    slack: Slack, release_id: str
) -> None:
    nasty = "<!channel> <@U0LUIS> <https://evil.example|the page> & *bold* `code`"
    view = slack.open_form("lena", release_id)
    said = slack.send(slack.form(slack.link("lena"), view, reason=nasty))
    assert said.json()["response_action"] == "update"
    shown = json.dumps(slack.command(slack.link("carla"), f"show {release_id}"))
    for mark in ("<!channel>", "<https://evil"):
        assert not _in_mrkdwn(shown, mark)
        assert not _in_mrkdwn(said.text, mark)
    slack.send(slack.click(slack.link("carla"), "airlock.approve", '{"release":"<!channel>"}'))
    assert "<" not in slack.api.wait("chat.postEphemeral")["text"]


def _in_mrkdwn(shown: str, mark: str) -> bool:
    """Say whether a mark would be read as one: in mrkdwn, or in the text for phones."""
    found = json.loads(shown)
    texts = [one["text"] for one in _parts(found) if one.get("type") == "mrkdwn"]
    return any(mark in one for one in [*texts, str(found.get("text", ""))])


def _parts(one: Any) -> Iterator[dict[str, Any]]:
    if isinstance(one, dict):
        yield one
        one = list(one.values())
    for below in one if isinstance(one, list) else ():
        yield from _parts(below)


def test_a_replay_within_five_minutes_is_harmless(slack: Slack, release_id: str) -> None:
    form = filled(slack, release_id, "lena")
    body = urlencode({"payload": json.dumps(form)}).encode()
    headers = signed(body)
    first, again = slack.post(body, headers), slack.post(body, headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert len(releases.outcome(slack.doors.world.store, release_id).votes) == 1
    slack.doors.world.vote(release_id, "carla", Decision.REJECT)
    assert slack.post(body, headers).status_code == 200
    assert releases.outcome(slack.doors.world.store, release_id).state is State.REJECTED


def test_codes_cannot_be_tried_out(slack: Slack) -> None:
    said = [slack.command("U0GUESSER", f"link ABCD{n}FGH")["text"] for n in range(7)]
    assert all("not accepted" in one or "wait" in one.lower() for one in said)
    with slack.doors.world.store.begin() as unit:
        assert unit.tries(TEAM, "U0GUESSER", "2000") <= 5


def test_a_flood_of_refusals_does_not_flood_the_log(slack: Slack) -> None:
    before = len(slack.refusals())
    for _ in range(slack_audit.MOST + 10):
        assert slack.post(b"x=1", {}).status_code == 401
    assert len(slack.refusals()) - before == slack_audit.MOST
    later = Received(at=datetime.now(UTC) + timedelta(minutes=1), digest="")
    genuine = {"type": "view_closed", **slack.whole(slack.link("lena"))}
    assert slack.desk.handle(genuine, later).status == 200
    assert slack.refusals()[-1] == "more: 10 more refusals within a minute"
    slack.desk.handle(genuine, later)
    assert len(slack.refusals()) - before == slack_audit.MOST + 1


def void(slack: Slack, release_id: str) -> None:
    digest = f"sha256:{'d' * 64}"
    by = Actor.system("test", Channel.SYSTEM)
    decide.void(slack.doors.world.store, release_id, by, "new data", data_digest=digest)


def repaired(slack: Slack, release_id: str) -> bool:
    """Say whether the message of a release is going to be drawn again."""
    said: list[str] = []
    with slack.doors.world.store.begin() as unit:
        while due := unit.claim(100, chat=True):
            said += [one.key for one in due]
            for one in due:
                unit.settle(one)
    return any(key.startswith(f"{release_id}/chat/repair-") for key in said)
