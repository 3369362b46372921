"""Whose account in the chat is whose, and who tried wrong codes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airlock.domain.log.stream_chains import Finding
from airlock.services.audit.log_store import LogWork
from airlock.services.audit.replays.comparing import Replay, Row, contents, numbered, since


class ChatLinks(Replay):
    """Every column, links that have ended among them."""

    table = "chat_link"

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare every link, those of one person in their order."""
        links: dict[str, list[dict[str, Any]]] = {}
        for content in contents(unit.told_with({"SlackLinked", "SlackUnlinked"})):
            data = content["data"]
            history = links.setdefault(data["person"], [])
            if content["what"] == "SlackLinked":
                same = {key: data[key] for key in ("person", "team", "account")}
                at = data.get("linkedAt") or since(content["at"])
                history.append({**same, "linked_at": at, "ended_at": None})
            elif history:
                history[-1]["ended_at"] = data.get("endedAt") or since(content["at"])
        expected = {
            (person, number): row
            for person, rows in links.items()
            for number, row in enumerate(rows, 1)
        }
        yield from self.compare(expected, unit.every(self.table), numbered("person"))


class ChatTries(Replay):
    """Every wrong code that counts against an account."""

    table = "chat_try"

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare them, those of one account in their order."""
        tries: dict[tuple[str, str], list[Row]] = {}
        for content in contents(unit.told_with({"SlackLinkRefused"})):
            data = content["data"]
            at = data.get("triedAt") or since(content["at"])
            row = {"team": data["team"], "account": data["account"], "at": at}
            tries.setdefault((data["team"], data["account"]), []).append(row)
        expected = {
            (*key, number): row for key, rows in tries.items() for number, row in enumerate(rows, 1)
        }
        yield from self.compare(expected, unit.every(self.table), numbered("team", "account"))
