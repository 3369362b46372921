"""Registered policies and pipelines."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from airlock.domain.digest import digest_json
from airlock.domain.log.stream_chains import Finding
from airlock.services.audit.log_store import LogWork
from airlock.services.audit.replays.comparing import UNTOLD, Replay, Row, contents, since


@dataclass(frozen=True, slots=True)
class Digested:
    """Any spelling of the JSON document with a digest."""

    digest: str

    def matches(self, value: Any) -> bool:
        """Say whether *value* has the digest."""
        try:
            return digest_json(json.loads(value)) == self.digest
        except (TypeError, ValueError):
            return False

    def __str__(self) -> str:
        return f"a document with digest {self.digest}"


class Configuration(Replay):
    """Every column; the digest is computed again."""

    table = "configuration"

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare every document."""
        expected: dict[Hashable, Row] = {}
        for content in contents(unit.told_with({"Registered"})):
            digest, data = content["new"]["digest"], content["data"]
            kind = data.get("kind") or content["resource"].partition("/")[0]
            expected.setdefault(
                (kind, digest),
                {
                    "kind": kind,
                    "digest": digest,
                    "document": Digested(digest),
                    "registered_at": data.get("registeredAt") or since(content["at"]),
                    "changed_by": data.get("changedBy", UNTOLD),
                },
            )
        rows = unit.every(self.table)
        yield from self.compare(expected, rows, lambda row: (row["kind"], row["digest"]))
