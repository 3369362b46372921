"""What every answer to Slack needs: whose account it is, what Slack says of it, background work.

Rules:
* Whose account it is, and with which roles, is read from Airlock's own database for every request.
* Bots, guests, people of other organisations and deactivated accounts are refused. Slack itself is
  asked, and its word counts for a minute; where it does not answer in time, nobody is let in.
* Whatever asks Slack's Web API runs in the background, so that Slack is answered in time whether
  or not its Web API is up. What is whispered may not arrive; it is never the only record.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from typing import Any

from airlock.domain.errors import AirlockError, Forbidden, Refused, Unreachable
from airlock.domain.people.actors import Actor, Channel
from airlock.entrypoints.context import Platform
from airlock.entrypoints.slack.payloads import Sender
from airlock.ports.chat import Chat, Profile, Received
from airlock.services.notifications.slack_audit import Origin, Refusals
from airlock.services.notifications.views import view_of
from airlock.services.people import recognition

#: How long Slack's word about an account counts, and how long it is waited for.
KEPT_S = 60.0
PATIENCE_S = 1.5
#: Web API calls at once; each ends after its own time-out.
CALLS = 8

log = logging.getLogger("airlock.slack")


class Unlinked(Forbidden):
    """This account belongs to nobody Airlock knows."""

    def __init__(self) -> None:
        super().__init__(
            "this Slack account is not linked to anybody in Airflow",
            next_step="Log in to Airflow, open Releases, then Slack, and type here the command "
            "that is shown there: /airlock link CODE",
        )


class Backroom:
    """See the module."""

    def __init__(self, airlock: Platform, chat: Chat, team: str, public_url: str) -> None:
        self.airlock, self.chat, self.team, self.url = airlock, chat, team, public_url
        self.refusals = Refusals(airlock.store)
        self._pool = ThreadPoolExecutor(CALLS, thread_name_prefix="airlock-slack")
        self._profiles: dict[str, tuple[Profile, float]] = {}
        self._lock = threading.Lock()

    def later(self, do: Callable[[], object]) -> Future[None]:
        """Do something in the background; what goes wrong there is logged."""
        return self._pool.submit(_safely, do)

    def whisper(self, sender: Sender, message: str) -> None:
        """Tell one account something in the background, if there is a channel to say it in."""
        plain = message.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        if sender.channel and sender.account:
            self.later(lambda: self.chat.whisper(sender.channel, sender.account, plain))

    def view(self, release_id: str, actor: Actor) -> dict[str, Any]:
        """Return a release as somebody sees it, for a form or a message."""
        airlock = self.airlock
        return view_of(airlock.store, airlock.keyring, release_id, self.url, self.team, actor)

    # whose account it is
    def actor(self, sender: Sender) -> Actor:
        """Return the owner of the account, with the roles held now, who may see releases.

        Raises:
            Forbidden: if it is not linked, or its owner may not use Airflow any more.
        """
        actor = self.owner(sender)
        if actor is None:
            raise Unlinked
        recognition.require(self.airlock.store, self.airlock.rulebook, actor, "release:read")
        return actor

    def owner(self, sender: Sender) -> Actor | None:
        """Return the owner of the account; None if it is not linked.

        Raises:
            Forbidden: if its owner may not use Airflow any more.
        """
        with self.airlock.store.begin() as unit:
            link = unit.link(sender.team, sender.account)
            if link is None:
                return None
            person = {candidate.id: candidate for candidate in unit.people()}.get(link.person)
        if person is None or not person.active:
            raise Forbidden(
                f"{link.person} may not use Airflow any more",
                next_step="Ask an administrator of Airflow.",
            )
        return person.acting(Channel.SLACK)

    def person_of(self, account: str) -> str | None:
        """Return the person of another account of ours, if it is linked."""
        with self.airlock.store.begin() as unit:
            link = unit.link(self.team, account)
        return link.person if link else None

    # what Slack says of an account
    def check_home(self, sender: Sender) -> None:
        """Refuse an account of another workspace, as far as the request says so.

        Raises:
            Forbidden: if it is one.
        """
        if sender.home and not sender.enterprise and sender.home != self.team:
            raise _stranger()

    def check_known(self, sender: Sender) -> None:
        """Refuse an account that Slack has said is none of ours; ask nothing.

        Raises:
            Forbidden: naming what it is.
        """
        self.check_home(sender)
        profile = self._cached_profile(sender.account)
        if profile is not None:
            self._check(profile)

    def check_account(self, sender: Sender) -> None:
        """Refuse an account that is none of ours; ask Slack if it has not said so lately.

        Raises:
            Forbidden: naming what it is.
            Unreachable: if Slack did not say in time.
        """
        self.check_home(sender)
        profile = self._cached_profile(sender.account)
        self._check(profile if profile is not None else self._fetch_profile(sender.account))

    def learn(self, account: str) -> None:
        """Ask Slack about an account, so that its word is there when it is needed."""
        if self._cached_profile(account) is None:
            self._ask(account)

    def _check(self, profile: Profile) -> None:
        kinds = {"a bot": profile.bot, "a guest": profile.guest, "deactivated": profile.deleted}
        for kind, wrong in kinds.items():
            if wrong:
                raise Forbidden(
                    f"this Slack account is {kind}, so it cannot act here",
                    next_step="Answer on the Releases page in Airflow.",
                )
        if profile.team != self.team:
            raise _stranger()

    def _cached_profile(self, account: str) -> Profile | None:
        with self._lock:
            entry = self._profiles.get(account)
            if entry is None or time.monotonic() - entry[1] > KEPT_S:
                return None
            return entry[0]

    def _fetch_profile(self, account: str) -> Profile:
        asking = self._pool.submit(self._ask, account)
        try:
            return asking.result(PATIENCE_S)
        except (TookTooLong, Unreachable) as error:
            raise Unreachable(
                "Slack did not say in time whose account this is, so nothing was done",
                next_step="Try again in a moment, or answer on the Releases page in Airflow.",
            ) from error
        except Refused as error:
            raise Forbidden(
                "Slack does not know this account, or does not tell us about it",
                next_step="Whoever runs Airlock can check with `airlock slack check`.",
            ) from error

    def _ask(self, account: str) -> Profile:
        profile = self.chat.profile(account)
        with self._lock:
            if len(self._profiles) > 10_000:
                self._profiles.clear()
            self._profiles[account] = (profile, time.monotonic())
        return profile

    # the record
    def origin(self, sender: Sender, received: Received, form: str = "") -> Origin:
        """Return where a request came from, as the log keeps it."""
        return Origin(
            team=sender.team,
            account=sender.account,
            received=received,
            form=form,
            trigger=sender.trigger,
        )

    def refused(self, received: Received, about: str, why: str, sender: Sender | None) -> None:
        """Write a refusal into the log; what goes wrong there is said in the process's own log."""
        actor: Actor | None = None
        with contextlib.suppress(AirlockError):
            actor = self.owner(sender) if sender else None
        origin = self.origin(sender, received) if sender else None
        try:
            if self.refusals.write(received.at, about, why, origin, actor):
                log.warning("refused %s: %s", about, why)
        except AirlockError as error:
            log.error("a refusal could not be written into the log: %s", error.message)

    def catch_up(self, received: Received) -> None:
        """Say of refusals that were too many for the log how many there were."""
        with contextlib.suppress(AirlockError):  # whatever comes next will meet the same
            self.refusals.catch_up(received.at)


def _stranger() -> Forbidden:
    return Forbidden(
        "this Slack account belongs to another organisation, so it cannot act here",
        next_step="Answer on the Releases page in Airflow.",
    )


def _safely(do: Callable[[], object]) -> None:
    try:
        do()
    except AirlockError as error:
        log.warning("Slack: %s %s", error.message, error.next_step)
    except Exception:
        log.exception("something broke while talking to Slack")
