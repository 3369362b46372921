"""What `airlock slack check` looks at, and what it says of it.

The checks are pure judgement; `look` asks Slack, the settings and Airlock's own database. What
cannot be looked at becomes a line of its own; nothing stops the lines after it, but what only a
token can tell is left out without one.

`wrong` comes with what to do; `unknown` could not be looked at; `note` is right but worth knowing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from airlock import bootstrap
from airlock.adapters.slack.api_probe import SCOPES, Bot, Place, SlackProbe
from airlock.adapters.sql_store import SqlStore
from airlock.config.load import load_rulebook
from airlock.config.settings import Settings, SlackSettings
from airlock.domain.approval.policy import Rulebook, Tier
from airlock.domain.clock import stamp
from airlock.domain.errors import AirlockError, Refused, Unreachable
from airlock.domain.people.actors import Person
from airlock.entrypoints.cli.platform.lifecycle import current_platform
from airlock.ports.chat import Closed

#: Seconds between our clock and Slack's: over the first it is said, over the second nothing works.
CLOCK_S, CLOCK_LIMIT_S = 60, 300
_MANIFEST = "Put deploy/slack/manifest.yaml into the app again, then install it anew."
_TOKEN = "Copy the Bot User OAuth Token of OAuth & Permissions anew."  # noqa: S105 - advice
_REFUSALS = {
    "invalid_auth": f"The token is not Slack's. {_TOKEN}",
    "not_authed": f"The token is not Slack's. {_TOKEN}",
    "token_revoked": f"The token was revoked. Install the app to the workspace again. {_TOKEN}",
    "token_expired": "The app rotates its tokens. Make it anew with token_rotation_enabled: false.",
    "account_inactive": "The app was removed from the workspace. Install it again.",
    "not_allowed_token_type": "It is another kind of token: the bot's begins with xoxb-.",
    "missing_scope": _MANIFEST,
    "channel_not_found": "Take the id from the end of the channel's details; invite the bot into a "
    "private channel with /invite @Airlock.",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """One line of the answer."""

    name: str
    state: Literal["ok", "wrong", "unknown", "note"]
    detail: str
    next_step: str = ""


def refused(name: str, error: Closed) -> Checked:
    """Say that Slack refused a question."""
    step = _REFUSALS.get(error.code, "Look the word up in Slack's documentation of that method.")
    return Checked(name, "wrong", error.message, step)


def of_settings(slack: SlackSettings) -> list[Checked]:
    """Check which settings are missing."""
    needed = (
        ("team", slack.team_id, "TEAM_ID"),
        ("app", slack.app_id, "APP_ID"),
        ("channel", slack.channel, "CHANNEL"),
    )
    checks = [
        Checked(name, "wrong", "not set", f"Set AIRLOCK_SLACK_{variable}; docs/howto/slack.md.")
        for name, value, variable in needed
        if not value
    ]
    return [*checks, _receiving(slack)]


def _receiving(slack: SlackSettings) -> Checked:
    ways = ["HTTP"] * bool(slack.signing_secret) + ["Socket Mode"] * bool(slack.app_token)
    if not ways:
        step = "Set AIRLOCK_SLACK_SIGNING_SECRET (HTTP) or AIRLOCK_SLACK_APP_TOKEN (Socket Mode)."
        return Checked("receiving", "wrong", "nothing Slack sends would be taken", step)
    if len(slack.signing_secret) > 1:
        step = "Take the old one away once Slack uses the new one."
        return Checked("receiving", "note", f"by {' and '.join(ways)}; two secrets count", step)
    return Checked("receiving", "ok", f"by {' and '.join(ways)}")


def of_bot(slack: SlackSettings, bot: Bot) -> list[Checked]:
    """Judge what Slack says of the token."""
    checks = [Checked("token", "ok", f"of the bot {bot.user} in {bot.team_name}")]
    if slack.team_id:
        checks.append(_same("team", slack.team_id, bot.team, "TEAM_ID"))
    return [*checks, _scopes(bot.scopes), _clock(bot.ahead)]


def of_app(slack: SlackSettings, app: str) -> Checked:
    """Judge which app the bot is of."""
    if not app:
        return Checked("app", "unknown", "Slack does not say which app the bot belongs to")
    return _same("app", slack.app_id, app, "APP_ID")


def _same(name: str, ours: str, actual: str, variable: str) -> Checked:
    if ours == actual:
        return Checked(name, "ok", ours)
    step = f"Set AIRLOCK_SLACK_{variable}={actual}, or use the token of {ours}."
    return Checked(name, "wrong", f"expected {ours}; the token belongs to {actual}", step)


def _scopes(granted: frozenset[str] | None) -> Checked:
    if granted is None:
        return Checked("scopes", "unknown", "Slack's answer does not name them")
    if missing := [scope for scope in SCOPES if scope not in granted]:
        names = "; ".join(f"{scope} ({SCOPES[scope]})" for scope in missing)
        return Checked("scopes", "wrong", f"missing: {names}", _MANIFEST)
    if more := sorted(granted - SCOPES.keys()):
        step = "Take them from the app: Airlock does not use them."
        return Checked("scopes", "note", f"more than needed: {', '.join(more)}", step)
    return Checked("scopes", "ok", f"all {len(SCOPES)}")


def _clock(ahead: float | None) -> Checked:
    if ahead is None:
        return Checked("clock", "unknown", "Slack's answer has no date")
    detail = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} Slack's"
    if abs(ahead) < CLOCK_S:
        return Checked("clock", "ok", f"within {CLOCK_S} s of Slack's")
    step = "Set this machine's clock (NTP)."
    if abs(ahead) > CLOCK_LIMIT_S:
        detail, step = (
            f"{detail}: every click is refused",
            f"{step} The limit is {CLOCK_LIMIT_S} s.",
        )
    return Checked("clock", "wrong", detail, step)


def of_channel(channel: str, place: Place) -> Checked:
    """Judge the channel."""
    name = f"#{place.name} ({channel})"
    if place.archived:
        step = "Unarchive it, or let AIRLOCK_SLACK_CHANNEL name another one."
        return Checked("channel", "wrong", f"{name} is archived", step)
    if not place.member:
        step = "Type /invite @Airlock in that channel."
        return Checked("channel", "wrong", f"the bot is not in {name}", step)
    if place.shared:
        step = "Choose a channel of your own if they are not to read about releases."
        return Checked("channel", "note", f"{name} is shared with another organisation", step)
    return Checked("channel", "ok", name)


def of_address(settings: Settings, slack: SlackSettings) -> Checked:
    """Judge where links in messages lead and, by HTTP, where Slack sends its requests."""
    parts = urlsplit(settings.public_url)
    step = "Set AIRLOCK_PUBLIC_URL to the address people's browsers use, https://..."
    if _is_here(parts.hostname or ""):
        detail = f"{settings.public_url} leads to each reader's own machine"
        only_links = not slack.signing_secret and bool(slack.app_token)
        return Checked("address", "note" if only_links else "wrong", detail, step)
    if parts.scheme != "https":
        detail = f"{settings.public_url} is not https; Slack sends nothing there"
        return Checked("address", "wrong" if slack.signing_secret else "note", detail, step)
    return Checked("address", "ok", settings.public_url)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def of_policy(book: Rulebook) -> Checked:
    """Say at which tiers an answer from Slack counts."""
    may = [tier.value for tier in Tier if book.slack_may_answer(tier)]
    if not may:
        step = "Say slackMayAnswer: true at a tier of the ApprovalPolicy if it may."
        return Checked("policy", "note", "no tier takes an answer from Slack: links only", step)
    rest = [tier.value for tier in Tier if tier.value not in may]
    others = f"; {', '.join(rest)}: the button leads to the page" if rest else ""
    return Checked("policy", "ok", f"answers count at {', '.join(may)}{others}")


def of_links(book: Rulebook, people: Iterable[Person], linked: Collection[str]) -> Checked:
    """Say which approvers have a linked account."""
    approvers = [person for person in people if person.active and person.roles & book.voting_roles]
    without = sorted(person.name for person in approvers if person.id not in linked)
    detail = f"{len(approvers) - len(without)} of {len(approvers)} approvers have linked an account"
    step = "Each links the own one: page Slack in Airflow, or `airlock user link-slack`."
    if not without and approvers:
        return Checked("links", "ok", detail)
    if len(without) == len(approvers):
        return Checked("links", "wrong", f"{detail}: nobody can answer in Slack", step)
    return Checked("links", "note", f"{detail}; without: {', '.join(without)}", step)


def of_mail(settings: Settings) -> Checked:
    """Say whether somebody hears it when Slack takes no messages."""
    if settings.alert_mail:
        return Checked("mail", "ok", f"{settings.alert_mail}, through Airflow's smtp_default")
    step = "Set AIRLOCK_ALERT_MAIL, and the connection smtp_default in Airflow."
    return Checked("mail", "note", "nobody hears by e-mail that Slack takes no messages", step)


def as_documents(lines: Iterable[Checked]) -> list[Mapping[str, Any]]:
    """Return the lines for programs."""
    return [
        {
            "name": check.name,
            "state": check.state,
            "found": check.detail,
            "nextStep": check.next_step,
        }
        for check in lines
    ]


def look(*, socket: bool) -> list[Checked]:
    """Look at everything; *socket*: at Socket Mode too, which uses up one of few questions.

    Raises:
        Refused: if nothing of Slack is set.
    """
    settings, checks = bootstrap.settings(), list[Checked]()
    if settings.slack is None:
        raise Refused(
            "Slack is not configured: nothing that begins with AIRLOCK_SLACK_ is set here",
            next_step="docs/howto/slack.md leads from an empty workspace to the first approval.",
        )
    if settings.slack_connection:
        try:
            settings = bootstrap.connected(settings)
            checks.append(Checked("connection", "ok", f"{settings.slack_connection} of Airflow"))
        except AirlockError as error:
            checks.append(_failed("connection", error))
    slack = settings.slack or SlackSettings()
    checks += [*of_settings(slack), *_of_slack(slack, socket)]
    checks.append(of_address(settings, slack))
    return [*checks, *_of_ours(settings, slack.team_id), of_mail(settings)]


def _of_slack(slack: SlackSettings, socket: bool) -> list[Checked]:
    if not slack.bot_token:
        step = "Set AIRLOCK_SLACK_BOT_TOKEN, or AIRLOCK_SLACK_CONNECTION."
        return [Checked("token", "wrong", "not set", step)]
    probe = SlackProbe(slack.bot_token, slack.api_url)
    try:
        bot = probe.bot()
    except (Closed, Unreachable) as error:
        return [_failed("token", error)]
    checks, place = of_bot(slack, bot), slack.channel
    if slack.app_id:
        checks.append(_run_check("app", lambda: of_app(slack, probe.app(bot.bot))))
    if place:
        ask = lambda: of_channel(place, probe.channel(place))  # noqa: E731
        checks.append(_run_check("channel", ask))
    return [*checks, _of_socket(probe, slack.app_token)] if socket else checks


def _of_socket(probe: SlackProbe, app_token: str) -> Checked:
    step = "Make one with the scope connections:write: Basic Information, App-Level Tokens."
    if not app_token:
        return Checked("socket", "wrong", "there is no app token", step)
    try:
        probe.socket(app_token)
    except Closed as error:
        return Checked("socket", "wrong", error.message, f"{step} Turn Socket Mode on in the app.")
    except Unreachable as error:
        return _failed("socket", error)
    return Checked("socket", "ok", "Slack would open a Socket Mode connection")


def _run_check(name: str, ask: Callable[[], Checked]) -> Checked:
    try:
        return ask()
    except (Closed, Unreachable) as error:
        return _failed(name, error)


def _failed(name: str, error: AirlockError) -> Checked:
    if isinstance(error, Closed):
        return refused(name, error)
    if isinstance(error, Unreachable):
        return Checked(name, "unknown", error.message, error.next_step)
    return Checked(name, "wrong", error.message, error.next_step)


def _of_ours(settings: Settings, team: str) -> list[Checked]:
    """Ask the database, if there is one, and the policies."""
    checks: list[Checked] = []
    try:
        store = _store(settings)
        book = _book(settings, store)
        checks.append(of_policy(book))
        if store is None:
            return [*checks, Checked("links", "note", "not looked at: no database is set here")]
        with store.begin() as unit:
            people, links = unit.people(), unit.links()
    except AirlockError as error:
        return [*checks, _failed("links" if checks else "policy", error)]
    linked = {person for person, link in links.items() if link.team == team}
    return [*checks, of_links(book, people, linked)]


def _store(settings: Settings) -> SqlStore | None:
    """Return Airlock's database: the one that is set, or that of the platform on this machine."""
    url = settings.database_url
    if url is None:
        platform = current_platform()
        url = platform.server().url("airlock_decider") if platform.secrets.exist() else None
    return SqlStore(url, pooled=False) if url else None


def _book(settings: Settings, store: SqlStore | None) -> Rulebook:
    """Return the rule book in force: what was registered last, else what is on the disk."""
    if store is not None:
        with store.begin() as unit:
            document = unit.policy_at(stamp(unit.now()))
        if document is not None:
            return Rulebook.from_document(document)
    return Rulebook.from_document(load_rulebook(settings.config_dir).document)
