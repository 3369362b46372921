"""Looking at everything `airlock slack check` judges: Slack, the settings, Airlock's own database.

What cannot be looked at becomes a line of its own; nothing stops the lines after it, but what only
a token can tell is left out without one.
"""

from __future__ import annotations

from collections.abc import Callable

from airlock import bootstrap
from airlock.adapters.slack_notifier.probe import SlackProbe
from airlock.adapters.sql_store import SqlStore
from airlock.config.load import load_rulebook
from airlock.config.settings import Settings, SlackSettings
from airlock.domain.clock import stamp
from airlock.domain.errors import AirlockError, Refused, Unreachable
from airlock.domain.policy import Rulebook
from airlock.entrypoints import slack_checks
from airlock.entrypoints.cli_platform import current_platform
from airlock.entrypoints.slack_checks import Checked
from airlock.ports.chat import Closed


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
    checks += [*slack_checks.of_settings(slack), *_of_slack(slack, socket)]
    checks.append(slack_checks.of_address(settings, slack))
    return [*checks, *_of_ours(settings, slack.team_id), slack_checks.of_mail(settings)]


def _of_slack(slack: SlackSettings, socket: bool) -> list[Checked]:
    if not slack.bot_token:
        step = "Set AIRLOCK_SLACK_BOT_TOKEN, or AIRLOCK_SLACK_CONNECTION."
        return [Checked("token", "wrong", "not set", step)]
    probe = SlackProbe(slack.bot_token, slack.api_url)
    try:
        bot = probe.bot()
    except (Closed, Unreachable) as error:
        return [_failed("token", error)]
    checks, place = slack_checks.of_bot(slack, bot), slack.channel
    if slack.app_id:
        checks.append(_run_check("app", lambda: slack_checks.of_app(slack, probe.app(bot.bot))))
    if place:
        ask = lambda: slack_checks.of_channel(place, probe.channel(place))  # noqa: E731
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
        return slack_checks.refused(name, error)
    if isinstance(error, Unreachable):
        return Checked(name, "unknown", error.message, error.next_step)
    return Checked(name, "wrong", error.message, error.next_step)


def _of_ours(settings: Settings, team: str) -> list[Checked]:
    """Ask the database, if there is one, and the policies."""
    checks: list[Checked] = []
    try:
        store = _store(settings)
        book = _book(settings, store)
        checks.append(slack_checks.of_policy(book))
        if store is None:
            return [*checks, Checked("links", "note", "not looked at: no database is set here")]
        with store.begin() as unit:
            people, links = unit.people(), unit.links()
    except AirlockError as error:
        return [*checks, _failed("links" if checks else "policy", error)]
    linked = {person for person, link in links.items() if link.team == team}
    return [*checks, slack_checks.of_links(book, people, linked)]


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
