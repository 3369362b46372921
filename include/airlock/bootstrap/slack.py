"""What the process `airlock slack` works with: the chat, and how things look in Slack."""

from __future__ import annotations

from airlock.adapters.slack.views import card, home, notices
from airlock.bootstrap import Airlock
from airlock.domain.errors import Invalid
from airlock.services.notifications.slack import Drawing, Speaker, Where

DRAWING = Drawing(
    card=card.card,
    moved=notices.moved,
    reminder=notices.reminder,
    escalation=notices.escalation,
    spoken=notices.spoken,
    home=home.home,
)


def speaker(airlock: Airlock) -> Speaker:
    """Put together what speaks in Slack.

    Raises:
        Invalid: if the settings do not say with which token and where.
    """
    slack, chat = airlock.settings.slack, airlock.chat
    if slack is None or chat is None or not slack.channel:
        raise Invalid(
            "AIRLOCK_SLACK_BOT_TOKEN and AIRLOCK_SLACK_CHANNEL are not both set, so nothing can be "
            "said in Slack",
            next_step="docs/howto/slack.md leads from an empty workspace to both; without Slack "
            "this process is not needed.",
        )
    where = Where(
        channel=slack.channel,
        team=slack.team_id,
        public_url=airlock.settings.public_url,
        alert_mail=airlock.settings.alert_mail or "",
    )
    return Speaker(airlock.store, airlock.keyring, chat, DRAWING, where)
