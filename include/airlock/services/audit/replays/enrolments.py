"""The register of approvers, the accounts it was made for, and names that were refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airlock.domain.log.stream_chains import Finding
from airlock.domain.people.enrolment import Standing
from airlock.services.audit.log_store import LogWork
from airlock.services.audit.replays.comparing import Replay, Row, contents

_WORDS = frozenset({"ApproverProposed", "ApproverConfirmed", "ApproverSuspended", "ApproverEnded"})


class Enrolments(Replay):
    """Every column."""

    table = "enrolment"

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare every enrolment."""
        expected: dict[Any, dict[str, Any]] = {}
        for content in contents(unit.told_with(_WORDS)):
            data, actor_id, why = content["data"], content["who"]["id"], content["why"]
            name, event_type = data["enrolment"], content["what"]
            if event_type == "ApproverProposed":
                expected[name] = _proposed(data, actor_id, why)
            elif name not in expected:
                continue
            elif event_type == "ApproverConfirmed":
                confirmed = {"confirmed_by": actor_id, "confirmed_why": why}
                confirmed |= {"confirmed_at": data["confirmedAt"], "state": Standing.ACTIVE.value}
                expected[name] |= confirmed
            elif event_type == "ApproverSuspended":
                suspended = {"suspended_at": data["suspendedAt"], "suspended_why": why}
                expected[name] |= {**suspended, "state": Standing.SUSPENDED.value}
            else:
                ended = {"ended_at": data["endedAt"], "ended_by": actor_id, "ended_why": why}
                expected[name] |= {**ended, "state": Standing.ENDED.value}
        yield from self.compare(expected, unit.every(self.table), lambda row: row["id"])


def _proposed(data: Row, actor_id: str, why: str) -> dict[str, Any]:
    later = ("confirmed_by", "confirmed_at", "confirmed_why", "suspended_at", "suspended_why")
    same = ("person", "role", "batch", "issuer", "subject", "marks")
    return {
        **dict.fromkeys((*later, "ended_at", "ended_by", "ended_why")),
        **{name: data[name] for name in same},
        "id": data["enrolment"],
        "state": Standing.PROPOSED.value,
        "proposed_by": actor_id,
        "proposed_at": data["proposedAt"],
        "proposed_why": why,
    }


class Accounts(Replay):
    """Every column of the accounts as they were seen last."""

    table = "account"

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare every account."""
        expected: dict[Any, Row] = {}
        for content in contents(unit.told_with({"AccountSeen", "AccountChanged"})):
            data = content["data"]
            same = {name: data[name] for name in ("person", "issuer", "subject", "marks")}
            expected[data["person"]] = {**same, "seen_at": data["seenAt"]}
        yield from self.compare(expected, unit.every(self.table), lambda row: row["person"])


class LookAlikes(Replay):
    """Every column of the user names that were refused as people."""

    table = "look_alike"
    _LONGEST = 300

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare every name."""
        expected: dict[Any, Row] = {}
        for content in contents(unit.told_with({"LookAlikeRefused"})):
            name = content["data"]["name"][: self._LONGEST]
            at = content["data"]["refusedAt"]
            expected.setdefault(name, {"name": name, "why": content["why"], "refused_at": at})
        yield from self.compare(expected, unit.every(self.table), lambda row: row["name"])
