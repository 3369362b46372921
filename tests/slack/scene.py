"""Airlock and a Slack workspace, without Airflow: the real app, the real speaker, a real database.

Releases are opened as a finished run leaves them. What people do, they do in the emulator; over
HTTP its signed requests reach the app behind uvicorn, by Socket Mode they come through the one
connection. The deciding role, the speaker and the door are those of production.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.requests import Request

from airlock.adapters.slack import socket
from airlock.adapters.slack.web import SlackWeb
from airlock.bootstrap.slack import DRAWING
from airlock.domain.errors import Unauthenticated, Unreachable
from airlock.entrypoints.http.app import create_app
from airlock.entrypoints.http.authentication import Identity
from airlock.entrypoints.slack.dispatcher import Desk
from airlock.services.notifications.slack import Speaker, Where
from airlock.services.people import slack_links
from airlock.services.queries import releases
from airlock.testing import PEOPLE, RULEBOOK, World
from airlock_platform.databases.postgres import free_port
from tests.integration.door_kit import FakePlatform
from tests.slack.conftest import Stores
from tests.slack.kit import ACCOUNTS, TEAM, Workspace, wording, workspace
from tests.slack.shim import APP_TOKEN

PAGE = "https://airlock.test"
#: Whose accounts are linked from the start.
LINKED = tuple(name for name in PEOPLE if name not in ("sam", "vera"))


def rulebook() -> dict[str, Any]:
    """Return the test rule book; here the high tier, too, is answered in Slack."""
    document = copy.deepcopy(dict(RULEBOOK))
    document["approval"]["spec"]["tiers"]["high"]["slackMayAnswer"] = True
    return document


@dataclass
class Scene:
    """What the tests act in."""

    slack: Workspace
    world: World
    desk: Desk
    speaker: Speaker

    def link(self, *names: str) -> None:
        """Link people's accounts as they do it themselves, with a code."""
        for name in names:
            code = slack_links.offer(self.world.store, self.world.actor(name)).code
            slack_links.redeem(self.world.store, TEAM, ACCOUNTS[name], code)

    def card(self, release: str) -> dict[str, Any]:
        """Wait for the message about a release that asks, and return it."""
        return self.slack.await_message(release)

    def await_card(self, ts: str, *words: str) -> dict[str, Any]:
        """Wait until a message says all of this, and return it."""
        deadline = time.monotonic() + 30
        while missing := [word for word in words if word not in wording(self.slack.message(ts))]:
            text = wording(self.slack.message(ts))
            assert time.monotonic() < deadline, f"the card does not say {missing}, it says: {text}"
            time.sleep(0.02)
        return self.slack.message(ts)

    def state(self, release: str) -> str:
        return releases.outcome(self.world.store, release).state.value

    def level(self, release: str) -> int:
        return releases.outcome(self.world.store, release).level


@contextmanager
def scene(stores: Stores, *, over_socket: bool = False) -> Iterator[Scene]:
    """Run all of it for as long as the block lasts."""
    door = 0 if over_socket else free_port()
    with workspace(door) as slack:
        world = World(stores.decider, worker=stores.worker, rulebook=rulebook())
        settings = slack.settings(socket=over_socket)
        chat = SlackWeb(settings.bot_token, settings.api_url)
        platform = FakePlatform(world.store, world.keys, world.keys, world.rulebook)
        desk = Desk(platform, settings, chat, PAGE)
        where = Where(channel=settings.channel, team=TEAM, public_url=PAGE)
        speaker = Speaker(world.store, world.keys, chat, DRAWING, where)
        play = Scene(slack, world, desk, speaker)
        play.link(*LINKED)
        stop = threading.Event()
        receiving = _listening(slack, desk, stop) if over_socket else _serving(platform, desk, door)
        with receiving, _speaking(speaker, stop):
            yield play


@contextmanager
def _speaking(speaker: Speaker, stop: threading.Event) -> Iterator[None]:
    def speak() -> None:
        while not stop.wait(0.02):
            with suppress(Unreachable):
                speaker.run()

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def _serving(platform: FakePlatform, desk: Desk, port: int) -> Iterator[None]:
    def nobody(_request: Request) -> Identity:
        raise Unauthenticated("nobody is logged in")

    app = FastAPI()
    app.mount("/airlock", create_app(platform, nobody, lambda: desk))
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def _listening(slack: Workspace, desk: Desk, stop: threading.Event) -> Iterator[None]:
    listener = threading.Thread(
        target=socket.listen, args=(APP_TOKEN, slack.shim.url, desk.handle, stop)
    )
    listener.start()
    try:
        slack.await_(slack.connected, "the connection")
        yield
    finally:
        stop.set()
        listener.join(20)
        assert not listener.is_alive(), "the listener did not end when it was told to"
