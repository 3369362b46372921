"""Answering in Slack on a whole platform: its own door, its own process, a workspace's clicks."""

from __future__ import annotations

from airlock.domain.people.actors import Actor, Channel
from airlock.services.people import slack_links
from tests.airflow.harness import RunningPlatform
from tests.airflow.releases import Releases
from tests.slack.kit import ACCOUNTS, buttons, wording

REASON = "looked at the numbers and at the evidence"


def link(platform: RunningPlatform, user: str) -> None:
    """Type the code into Slack that *user* was shown in Airflow, unless that was done before."""
    store = Releases(platform).decider
    if slack_links.of(store, user) is None:
        known = platform.airflow.as_user(user).get("/airlock/api/v1/me")  # as who opens the page
        assert known.status_code == 200
        actor = Actor(user, user, frozenset(), Channel.PAGE)
        code = slack_links.offer(store, actor).code
        assert user in platform.slack.command(user, f"link {code}")
    found = slack_links.of(store, user)
    assert found is not None
    assert found.account == ACCOUNTS[user]


def approve(platform: RunningPlatform, release: str, user: str) -> str:
    """Press Approve, fill in the form, send it; return the message's time stamp."""
    slack = platform.slack
    link(platform, user)
    card = slack.await_message(release, seconds=60)
    form = slack.open_form(card["ts"], user, "airlock.approve")
    assert release in form["private_metadata"]
    assert slack.submit(user, reason=REASON) == {}
    assert "You approved" in wording(slack.form())
    return str(card["ts"])


def await_released(platform: RunningPlatform, card: str, user: str) -> None:
    """Wait until the same message tells of the promotion, and nobody can answer it any more."""
    slack = platform.slack

    def told() -> bool:
        return "Released" in wording(slack.message(card))

    slack.await_(told, "the message to tell of the promotion", 60)
    seen = slack.message(card)
    for words in (user, ", in Slack", REASON):
        assert words in wording(seen)
    assert [one for one in buttons(seen) if one.get("value")] == []
    assert slack.thread(card), "a changed message notifies nobody, so it is said below it"
