"""Who there is, with which roles since when, and who may answer for whom."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from airlock.domain.log.stream_chains import Finding
from airlock.services.audit.log_store import LogWork
from airlock.services.audit.replays.comparing import Replay, Row, contents, numbered, since

RIGHTS = "RightsChanged"


class People(Replay):
    """Who there is, and whether active. Names are personal text, and told by Airflow alone."""

    table = "person"

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare everybody."""
        expected: dict[Hashable, Row] = {}
        for content in contents(unit.told_with({RIGHTS})):
            name = _person(content)
            expected[name] = {"id": name, "active": int(content["new"]["active"])}
        yield from self.compare(expected, unit.every(self.table), lambda row: row["id"])


class Roles(Replay):
    """Every role held or given up, with both times."""

    table = "role_grant"

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare every one, those of one person and role in their order."""
        roles: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for content in contents(unit.told_with({RIGHTS})):
            name, at = _person(content), content["data"].get("changedAt") or since(content["at"])
            old = set((content["old"] or {}).get("roles", ()))
            new = set(content["new"]["roles"])
            for role in new - old:
                row = {"person": name, "role": role, "granted_at": at, "revoked_at": None}
                roles.setdefault((name, role), []).append(row)
            for role in old - new:
                for row in roles.get((name, role), ())[-1:]:
                    row["revoked_at"] = at
        expected = {
            (*key, number): row for key, rows in roles.items() for number, row in enumerate(rows, 1)
        }
        yield from self.compare(expected, unit.every(self.table), numbered("person", "role"))


class Delegations(Replay):
    """Every column."""

    table = "delegation"

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare every one."""
        expected: dict[Hashable, dict[str, Any]] = {}
        for content in contents(unit.told_with({"Delegated", "DelegationEnded"})):
            name, data = content["resource"].removeprefix("delegation/"), content["data"]
            if content["what"] == "Delegated":
                same = {key: data[key] for key in ("giver", "taker", "start", "end")}
                expected[name] = {
                    "id": name,
                    **same,
                    "reason": content["why"],
                    "made_at": data.get("madeAt") or since(content["at"]),
                    "revoked_at": None,
                }
            elif name in expected:
                expected[name]["revoked_at"] = data.get("revokedAt") or since(content["at"])
        yield from self.compare(expected, unit.every(self.table), lambda row: row["id"])


def _person(content: Row) -> str:
    return str(content["resource"]).removeprefix("user/")
