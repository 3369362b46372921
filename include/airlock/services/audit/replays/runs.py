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
from airlock.domain.evidence.proposals import RunEvent, run_stream
from airlock.domain.log.stream_chains import Finding
from airlock.ports import Keyring
from airlock.services.audit.log_store import LogWork
from airlock.services.audit.replays.comparing import Json, Page, Replay, Row, Step, contents
from airlock.services.audit.replays.configuration import Digested

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
        for step in page.steps_with(name, "ReleaseRequested", "ReleaseVoided")
    }


@dataclass
class _RunRows:
    """The rows expected from the streams of some runs: table -> key -> row."""

    origins: set[str] = field(default_factory=set)
    rows: dict[str, dict[Any, dict[str, Any]]] = field(default_factory=dict)

    def add(self, content: Row) -> None:
        """Take one event of a run."""
        data, event_type = content["data"], content["what"]
        origin = data["origin"]
        self.origins.add(origin)
        if event_type == RunEvent.STARTED:
            self._of("run")[origin,] = dict(data)
        elif event_type == RunEvent.CANDIDATE:
            row = {"origin": origin, "document": Digested(data["digest"])}
            self._of("candidate")[origin,] = row
        elif event_type == RunEvent.EVIDENCE:
            row = {"origin": origin, "kind": data["kind"], "digest": data["digest"]}
            self._of("run_evidence")[origin, data["kind"]] = row
        elif event_type == RunEvent.RESULT:
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
        stream, run_rows = "", _RunRows()
        for content in contents(unit.told_with(set(RunEvent))):
            if content["stream"] != stream and len(run_rows.origins) >= _AT_ONCE:
                yield from self._compare(unit, run_rows)
                run_rows = _RunRows()
            stream = content["stream"]
            if stream == run_stream(str(content["data"].get("origin"))):
                run_rows.add(content)
        yield from self._compare(unit, run_rows)
        yield from self._untold(unit)

    def _compare(self, unit: LogWork, run_rows: _RunRows) -> Iterator[Finding]:
        for table, columns in self._KEYS.items():
            part = _Part(self.keyring, table)
            rows = unit.rows(table, "origin", sorted(run_rows.origins))
            expected = run_rows.rows.get(table, {})
            yield from part.compare(expected, rows, _keyed(columns))

    def _untold(self, unit: LogWork) -> Iterator[Finding]:
        """Report rows that belong to no run, and runs that have no stream."""
        for table in _OF_RUN:
            for row in unit.strays(table, "origin", "run"):
                yield _Part(self.keyring, table).finding(row["origin"], "belongs to no run")
        for rows in unit.pages("run"):
            fresh = {run_stream(row["origin"]): row for row in rows if row["source"] != _BEFORE}
            streams = {row["stream"] for row in unit.rows("audit_stream", "stream", list(fresh))}
            for stream in sorted(fresh.keys() - streams):
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
        steps = origins(page)
        rows = {row["origin"]: row for row in unit.rows(self.table, "origin", list(steps))}
        for origin, step in steps.items():
            row = rows.get(origin)
            if row is None:
                yield self.finding(origin, "the log tells of it, but it is gone")
                continue
            try:
                document = json.loads(row["document"])
                actual = {name: document.get(name) for name in _expected(step)}
            except (AttributeError, TypeError, ValueError):
                yield self.finding(origin, "document is no candidate")
                continue
            yield from self.row(origin, _expected(step), actual)


def _expected(step: Step) -> Row:
    subject = {**step.data["subject"]}
    subject.pop("policy_digest")
    if (
        step.event_type == "ReleaseVoided"
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
                inside = json.loads(body)["kind"] if kind is not None else None
            except (KeyError, TypeError, ValueError):
                inside = "unreadable"
            if inside != kind:
                why = f"kept as {kind} of {origin}, its bytes say {inside}"
                yield Finding(f"table run_evidence, row {origin}/{kind}: {why}")


class RunEvidence(Replay):
    """What the gates of a release have judged is what its run has measured."""

    table = "run_evidence"

    def page(self, unit: LogWork, page: Page) -> Iterator[Finding]:
        """Compare what belongs to some releases."""
        results_by_run = _results_by_run(page)
        stored: dict[str, set[str]] = {}
        for row in unit.rows(self.table, "origin", list(results_by_run)):
            stored.setdefault(row["origin"], set()).add(row["digest"])
        for origin, results in results_by_run.items():
            expected = {digest for result in results.values() for digest in result["evidence"]}
            for gone in sorted(expected - stored.get(origin, set())):
                yield self.finding(origin, f"the gates have judged {gone}, but it is gone")


class GateResults(Replay):
    """Every result of a run that a release was opened for; what was signed says the same."""

    table = "gate_result"

    def page(self, unit: LogWork, page: Page) -> Iterator[Finding]:
        """Compare what belongs to some releases."""
        results_by_run = _results_by_run(page)
        expected = {
            (origin, key): {
                "origin": origin,
                "key": key,
                "document": Json(result),
                "attestation": _Signed(result),
            }
            for origin, results in results_by_run.items()
            for key, result in results.items()
        }
        rows = unit.rows(self.table, "origin", list(results_by_run))
        yield from self.compare(expected, rows, lambda row: (row["origin"], row["key"]))


class _Signed:
    """An envelope in which this result was signed, or none. Who may sign is asked at each vote."""

    def __init__(self, result: Row) -> None:
        self._result = result

    def matches(self, value: Any) -> bool:
        """Return whether the attestation is about this result."""
        if value == "":
            return True
        try:
            payload = json.loads(base64.b64decode(json.loads(value)["payload"], validate=True))
            predicate = payload["predicate"]
            about = (predicate["key"], predicate["verdict"], predicate["evidence"])
        except (KeyError, TypeError, ValueError):
            return False
        result = self._result
        return bool(about == (result["key"], result["verdict"], sorted(result["evidence"])))

    def __str__(self) -> str:
        return f"signed as {self._result['verdict']}"


def _results_by_run(page: Page) -> dict[str, dict[str, Row]]:
    """Return the results by key of each run that some releases were opened for."""
    results_by_run: dict[str, dict[str, Row]] = {}
    for name in page.rows:
        origin, fresh = "", False
        for step in page.steps_with(name, *_RESULTS):
            if step.event_type == "GatesJudged":
                if fresh:
                    results = step.data["results"]
                    results_by_run[origin] = {result["key"]: result for result in results}
                fresh = False
            else:
                fresh, origin = origin != step.data["origin"], step.data["origin"]
    return results_by_run
