"""The outbox: what people, Airflow and MLflow are told.

What is said of a release is written twice, once for its run and once for the chat, so that one of
both cannot say something else unseen. When a message is due, how often it was tried and whether it
has arrived is the delivery's own note, and not compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from airlock.domain.approval.release import Release, State
from airlock.domain.log.stream_chains import Finding
from airlock.ports import CHAT, Keyring
from airlock.services import outbox_messages
from airlock.services.audit.log_store import LogWork
from airlock.services.audit.replays.comparing import Json, Page, Replay, Row

#: Kinds of messages that say nothing but which release they are about.
_BARE = frozenset({"wake", "settle", "note"})
#: Permits looked up at a time.
_AT_ONCE = 500


class Messages(Replay):
    """Kind, key, lane and payload."""

    table = "outbox"

    def __init__(self, keyring: Keyring) -> None:
        """Begin with none."""
        super().__init__(keyring)
        self._halves: dict[str, tuple[str, Any]] = {}
        self._permits: dict[str, Row] = {}
        self._notices: dict[str, tuple[str, Row]] = {}

    def page(self, unit: LogWork, page: Page) -> Iterator[Finding]:
        """Check that the notes about the open releases exist."""
        releases = (page.release(name) for name in page.rows)
        keys = [
            _note_key(release) for release in releases if release is not None and _waits(release)
        ]
        stored_keys = {row["key"] for row in unit.rows(self.table, "key", keys)} if keys else set()
        for key in keys:
            if key not in stored_keys:
                yield self.finding(key, "the log tells of it, but it is gone")

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare every message with its key, and with what was written beside it."""
        for row in unit.every(self.table):
            try:
                yield from self._message(row)
            except (KeyError, TypeError, ValueError):
                yield self.finding(row["key"], f"payload is {row['payload']}, which says nothing")
            if len(self._permits) + len(self._notices) >= _AT_ONCE:
                yield from self._granted(unit)
                yield from self._enrolled(unit)
        yield from self._granted(unit)
        yield from self._enrolled(unit)
        for about, (key, _) in self._halves.items():
            if f"/{CHAT}/" in key and "/repair-" not in about:
                yield self.finding(key, "the same is not said to the run")

    def _message(self, row: Row) -> Iterator[Finding]:
        payload = json.loads(row["payload"])
        if row["key"].startswith("rel-"):
            yield from self._of_release(row, payload)
            return
        first, _, rest = row["key"].partition("/")
        name, expected = rest.partition("/")[0], dict[str, Any]({"lane": ""})
        if first in ("duties", "enrolment") and name.startswith("enr-"):
            self._notices[row["key"]] = (name, row)
        elif first == "duties":
            expected |= {"kind": "duties", "payload": Json({"person": name})}
        elif first == "mail":
            expected["kind"] = "mail"
        yield from self.row(row["key"], expected, row)

    def _of_release(self, row: Row, payload: Any) -> Iterator[Finding]:
        first, _, rest = row["key"].partition("/")
        kind, _, suffix = rest.partition("/")
        expected: dict[str, Any] = {"kind": kind, "lane": first if kind == CHAT else ""}
        if kind in _BARE or suffix.startswith("redraw-"):
            expected["payload"] = Json({"release": first})
        elif kind == "permit":
            self._permits[suffix] = row
        elif payload["release"] != first:
            yield self.finding(row["key"], f"payload is about {payload['release']}")
        yield from self.row(row["key"], expected, row)
        if kind in ("note", "notify", CHAT) and not suffix.startswith("redraw-"):
            yield from self._other(f"{first}/{suffix}", row["key"], payload)

    def _other(self, about: str, key: str, payload: Any) -> Iterator[Finding]:
        """Compare what was said to the run with what was said in the chat."""
        other = self._halves.pop(about, None)
        if other is None:
            self._halves[about] = (key, payload)
        elif other[1] != payload:
            yield self.finding(key, f"payload says something else than {other[0]}")

    def _granted(self, unit: LogWork) -> Iterator[Finding]:
        """Compare permits with the grants they are for."""
        waiting, self._permits = self._permits, {}
        grants = {row["id"]: row for row in unit.rows("release_grant", "id", list(waiting))}
        for name, row in waiting.items():
            grant = grants.get(name)
            if grant is None or not row["key"].startswith(f"{grant['release']}/"):
                yield self.finding(row["key"], "there is no such grant")
                continue
            payload = Json({"release": grant["release"], "purpose": grant["purpose"]})
            yield from self.row(row["key"], {"payload": payload}, row)

    def _enrolled(self, unit: LogWork) -> Iterator[Finding]:
        """Compare the notices of enrolments with the register, which is compared with the log."""
        waiting, self._notices = self._notices, {}
        names = sorted({name for name, _ in waiting.values()})
        register = {row["id"]: row for row in unit.rows("enrolment", "id", names)}
        for key, (name, row) in waiting.items():
            enrolment, payload = register.get(name), json.loads(row["payload"])
            kind = "duties" if key.startswith("duties/") else "people"
            text = str(payload.get("text", enrolment and enrolment["suspended_why"]))
            is_notice = key.endswith(("/suspended", "/ended"))
            if (
                enrolment is None
                or not is_notice
                or (payload["person"], row["kind"]) != (enrolment["person"], kind)
            ):
                yield self.finding(key, f"payload is {row['payload']}, the register has another")
            elif kind == "people" and not text.startswith(enrolment["suspended_why"] or "-"):
                yield self.finding(key, f"payload says {text}, the register has another reason")


def _waits(release: Release) -> bool:
    """Say whether a release was brought where it waits by the deciding process."""
    first = (release.level, release.round) == (1, 1)
    return release.state is State.APPROVED or (
        release.state is State.AWAITING_APPROVAL and not first
    )


def _note_key(release: Release) -> str:
    return f"{release.id}/note/{outbox_messages.place(release)}"
