"""Runs, and what they have measured: candidates, evidence, and the results of gates.

The stream of a run tells of everything that was kept for it. Runs from before there were such
streams are marked; of those only what a release has taken over is told, in the release's stream.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airlock.domain.digest import digest_bytes
from airlock.domain.log_chains import Finding
from airlock.domain.proposals import RunEvent, run_stream
from airlock.ports import Keyring
from airlock.services.log_store import LogWork
from airlock.services.replays.comparing import Json, Page, Replay, Row, Step, contents
from airlock.services.replays.configuration import Digested

#: Runs read at a time.
_AT_ONCE = 500
#: What belongs to a run, by its origin.
_OF_RUN = ("candidate", "run_evidence", "gate_result")
#: How a run from before is marked.
_BEFORE = "before"
#: Words after which a release has the results of another run.
_RESULTS = ("ReleaseRequested", "ReleaseVoided", "GatesJudged")


def origins(page: Page) -> dict[str, Step]:
    """Return every run that some releases have asked for, with the event that did."""
    return {
        step.data["origin"]: step
        for name in page.rows
        for step in page.told(name, "ReleaseRequested", "ReleaseVoided")
    }


@dataclass
class _Told:
    """What the streams of some runs tell: table -> key -> row."""

    origins: set[str] = field(default_factory=set)
    rows: dict[str, dict[Any, dict[str, Any]]] = field(default_factory=dict)

    def add(self, content: Row) -> None:
        """Take one event of a run."""
        data, what = content["data"], content["what"]
        origin = data["origin"]
        self.origins.add(origin)
        if what == RunEvent.STARTED:
            self._of("run")[origin,] = dict(data)
        elif what == RunEvent.CANDIDATE:
            row = {"origin": origin, "document": Digested(data["digest"])}
            self._of("candidate")[origin,] = row
        elif what == RunEvent.EVIDENCE:
            row = {"origin": origin, "kind": data["kind"], "digest": data["digest"]}
            self._of("run_evidence")[origin, data["kind"]] = row
        elif what == RunEvent.RESULT:
            self._of("gate_result")[origin, data["key"]] = {
                "origin": origin,
                "key": data["key"],
                "document": Digested(data["document"]),
                "attestation": Hashed(data["attestation"]),
            }

    def _of(self, table: str) -> dict[Any, dict[str, Any]]:
        return self.rows.setdefault(table, {})


class Runs(Replay):
    """Every column of runs, and of what was kept for them."""

    table = "run"
    _KEYS: Mapping[str, tuple[str, ...]] = {
        "run": ("origin",),
        "candidate": ("origin",),
        "run_evidence": ("origin", "kind"),
        "gate_result": ("origin", "key"),
    }

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare every run, some hundreds at a time."""
        stream, told = "", _Told()
        for content in contents(unit.told_with(set(RunEvent))):
            if content["stream"] != stream and len(told.origins) >= _AT_ONCE:
                yield from self._compare(unit, told)
                told = _Told()
            stream = content["stream"]
            if stream == run_stream(str(content["data"].get("origin"))):
                told.add(content)
        yield from self._compare(unit, told)
        yield from self._untold(unit)

    def _compare(self, unit: LogWork, told: _Told) -> Iterator[Finding]:
        for table, columns in self._KEYS.items():
            part = _Part(self.keyring, table)
            rows = unit.rows(table, "origin", sorted(told.origins))
            wanted = told.rows.get(table, {})
            yield from part.compare(wanted, rows, _keyed(columns))

    def _untold(self, unit: LogWork) -> Iterator[Finding]:
        """Say which rows are of no run, and which runs no stream tells of."""
        for table in _OF_RUN:
            for row in unit.strays(table, "origin", "run"):
                yield _Part(self.keyring, table).finding(row["origin"], "belongs to no run")
        for rows in unit.pages("run"):
            fresh = {run_stream(row["origin"]): row for row in rows if row["source"] != _BEFORE}
            known = {row["stream"] for row in unit.rows("audit_stream", "stream", list(fresh))}
            for stream in sorted(fresh.keys() - known):
                why = "is there, but the log tells of no such row"
                yield self.finding(fresh[stream]["origin"], why)


def _keyed(columns: tuple[str, ...]) -> Callable[[Row], tuple[Any, ...]]:
    return lambda row: tuple(row[column] for column in columns)


class _Part(Replay):
    """One of the tables of runs."""

    def __init__(self, keyring: Keyring, table: str) -> None:
        super().__init__(keyring)
        self.table = table


@dataclass(frozen=True, slots=True)
class Hashed:
    """A text with a digest."""

    digest: str

    def matches(self, value: Any) -> bool:
        """Say whether it is that text."""
        return isinstance(value, str) and digest_bytes(value.encode()) == self.digest

    def __str__(self) -> str:
        return f"a text with digest {self.digest}"


class Candidates(Replay):
    """What a release has taken over of its run's candidate."""

    table = "candidate"

    def page(self, unit: LogWork, page: Page) -> Iterator[Finding]:
        """Compare what belongs to some releases."""
        told = origins(page)
        rows = {row["origin"]: row for row in unit.rows(self.table, "origin", list(told))}
        for origin, step in told.items():
            row = rows.get(origin)
            if row is None:
                yield self.finding(origin, "the log tells of it, but it is gone")
                continue
            try:
                document = json.loads(row["document"])
                found = {name: document.get(name) for name in _wanted(step)}
            except (AttributeError, TypeError, ValueError):
                yield self.finding(origin, "document is no candidate")
                continue
            yield from self.row(origin, _wanted(step), found)


def _wanted(step: Step) -> Row:
    subject = {**step.data["subject"]}
    subject.pop("policy_digest")
    if (
        step.what == "ReleaseVoided"
    ):  # the bytes, the data or the pipeline are not the run's any more
        subject = {name: subject[name] for name in ("model", "version", "environment")}
    return {**subject, **{name: step.data[name] for name in ("origin", "location", "requester")}}


class Evidence(Replay):
    """Every digest is computed again."""

    table = "evidence"

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare all evidence with its digest, and with the kind it was kept as."""
        for digest, body, origin, kind in unit.measured():
            if digest_bytes(body) != digest:
                why = f"body has digest {digest_bytes(body)}, kept as {digest}"
                yield self.finding(digest, why)
                continue
            try:
                found = json.loads(body)["kind"] if kind is not None else None
            except (KeyError, TypeError, ValueError):
                found = "unreadable"
            if found != kind:
                why = f"kept as {kind} of {origin}, its bytes say {found}"
                yield Finding(f"table run_evidence, row {origin}/{kind}: {why}")


class RunEvidence(Replay):
    """What the gates of a release have judged is what its run has measured."""

    table = "run_evidence"

    def page(self, unit: LogWork, page: Page) -> Iterator[Finding]:
        """Compare what belongs to some releases."""
        told = _judged(page)
        kept: dict[str, set[str]] = {}
        for row in unit.rows(self.table, "origin", list(told)):
            kept.setdefault(row["origin"], set()).add(row["digest"])
        for origin, results in told.items():
            wanted = {one for result in results.values() for one in result["evidence"]}
            for gone in sorted(wanted - kept.get(origin, set())):
                yield self.finding(origin, f"the gates have judged {gone}, but it is gone")


class GateResults(Replay):
    """Every result of a run that a release was opened for; what was signed says the same."""

    table = "gate_result"

    def page(self, unit: LogWork, page: Page) -> Iterator[Finding]:
        """Compare what belongs to some releases."""
        told = _judged(page)
        wanted = {
            (origin, key): {
                "origin": origin,
                "key": key,
                "document": Json(result),
                "attestation": _Signed(result),
            }
            for origin, results in told.items()
            for key, result in results.items()
        }
        rows = unit.rows(self.table, "origin", list(told))
        yield from self.compare(wanted, rows, lambda row: (row["origin"], row["key"]))


class _Signed:
    """An envelope in which this result was signed, or none. Who may sign is asked at each vote."""

    def __init__(self, result: Row) -> None:
        self._result = result

    def matches(self, value: Any) -> bool:
        """Say whether it is about this result."""
        if value == "":
            return True
        try:
            payload = json.loads(base64.b64decode(json.loads(value)["payload"], validate=True))
            told = payload["predicate"]
            about = (told["key"], told["verdict"], told["evidence"])
        except (KeyError, TypeError, ValueError):
            return False
        mine = self._result
        return bool(about == (mine["key"], mine["verdict"], sorted(mine["evidence"])))

    def __str__(self) -> str:
        return f"signed as {self._result['verdict']}"


def _judged(page: Page) -> dict[str, dict[str, Row]]:
    """Return the results by key of each run that some releases were opened for."""
    found: dict[str, dict[str, Row]] = {}
    for name in page.rows:
        origin, fresh = "", False
        for step in page.told(name, *_RESULTS):
            if step.what == "GatesJudged":
                if fresh:
                    results = step.data["results"]
                    found[origin] = {result["key"]: result for result in results}
                fresh = False
            else:
                fresh, origin = origin != step.data["origin"], step.data["origin"]
    return found
