"""What was found in the model registry, as the log tells it: the stream `registry` is the memory.

Findings are a fold over events, so there is no table somebody could edit, and two who look at the
same time tell each finding once: whoever tells holds the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from airlock.domain.log.audit import Event
from airlock.domain.registry_drift import Drift
from airlock.ports import Store, UnitOfWork
from airlock.services import outbox_messages

STREAM = "registry"
DRIFT_FOUND, DRIFT_MENDED = "DriftFound", "DriftMended"
SET_BACK, NOT_SET_BACK = "AliasSetBack", "AliasNotSetBack"
#: Events that are read; what was found before them is found, and told, again.
MEMORY = 5_000
#: New findings told at a time; somebody who makes thousands does not fill the log in a moment.
MOST = 100

Finding = Mapping[str, Any]


def fold(events: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return every finding of these events by its name, the open ones without `mended`."""
    findings: dict[str, dict[str, Any]] = {}
    for event in events:
        name = str(event["data"].get("id", ""))
        if event["what"] == DRIFT_FOUND:
            findings[name] = {**event["data"], "why": event["why"], "found": event["at"]}
        elif name in findings and event["what"] == DRIFT_MENDED:
            findings[name]["mended"] = event["at"]
        elif name in findings:
            findings[name]["setBack"] = event["why"] or "done"
    return findings


def opened(unit: UnitOfWork) -> dict[str, dict[str, Any]]:
    """Return the open findings in the log, by their id."""
    findings = fold(entry.content for entry in unit.entries(STREAM, MEMORY))
    return {name: finding for name, finding in findings.items() if "mended" not in finding}


def tell(
    store: Store,
    drifts: Sequence[Drift],
    scope: Callable[[Finding], bool],
    attempts: Mapping[str, Sequence[Mapping[str, Any]]],
) -> tuple[tuple[Drift, ...], int]:
    """Log new drifts, and the open findings in *scope* that ended; return the new, and a count."""
    now_there = {drift.id for drift in drifts}
    with store.begin() as unit:
        unit.hold(STREAM)
        open_findings = opened(unit)
        new = tuple(drift for drift in drifts if drift.id not in open_findings)[:MOST]
        over = [
            finding
            for name, finding in open_findings.items()
            if name not in now_there and scope(finding)
        ]
        for drift in new:
            _log_drift(unit, drift, attempts.get(drift.model, ()))
        for finding in over:
            data = {"id": finding["id"], "kind": finding["kind"], "thing": finding["thing"]}
            unit.log(
                STREAM, _event(DRIFT_MENDED, finding["thing"], data, finding["new"], finding["old"])
            )
        if new or over:
            unit.commit()
    return new, len(over)


def tell_set_back(store: Store, drift: Drift, refusal: str = "") -> None:
    """Tell that an alias was set back, or, once for a finding, why the guard refused it."""
    with store.begin() as unit:
        unit.hold(STREAM)
        if refusal and opened(unit).get(drift.id, {}).get("setBack") == refusal:
            return
        event_type = NOT_SET_BACK if refusal else SET_BACK
        data = {"id": drift.id}
        unit.log(STREAM, _event(event_type, drift.subject, data, drift.new, drift.old, refusal))
        unit.commit()


def _log_drift(unit: UnitOfWork, drift: Drift, attempts: Sequence[Mapping[str, Any]]) -> None:
    data = drift.to_document() | {"attempts": [dict(attempt) for attempt in attempts]}
    del data["why"]
    entry = unit.log(
        STREAM, _event(DRIFT_FOUND, drift.subject, data, drift.old, drift.new, drift.why)
    )
    if drift.release:  # whoever watches the release's run hears of it
        text = f"{drift.release}: ALARM: {drift.why}. Was {drift.old}, is {drift.new}."
        suffix = f"{drift.id}-{entry.seq}"
        unit.post_all(outbox_messages.aloud(drift.release, suffix, about="alarm", text=text))


def _event(
    event_type: str, subject: str, data: Mapping[str, Any], old: Any, new: Any, why: str = ""
) -> Event:
    return Event(
        type=event_type,
        actor_id="system:detector",
        roles=(),
        channel="system",
        resource=f"registry/{subject}",
        old={"value": old},
        new={"value": new},
        why=why,
        policy="",
        data=data,
    )
