"""What was found in the model registry, as the log tells it: the stream `registry` is the memory.

Findings are a fold over events, so there is no table somebody could edit, and two who look at the
same time tell each finding once: whoever tells holds the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from airlock.domain.audit import Event
from airlock.domain.drift import Drift
from airlock.ports import Store, UnitOfWork
from airlock.services import telling

STREAM = "registry"
FOUND, MENDED = "DriftFound", "DriftMended"
SET_BACK, NOT_SET_BACK = "AliasSetBack", "AliasNotSetBack"
#: Events that are read; what was found before them is found, and told, again.
MEMORY = 5_000
#: New findings told at a time; somebody who makes thousands does not fill the log in a moment.
MOST = 100

Finding = Mapping[str, Any]


def fold(events: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return every finding of these events by its name, the open ones without `mended`."""
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        name = str(event["data"].get("id", ""))
        if event["what"] == FOUND:
            found[name] = {**event["data"], "why": event["why"], "found": event["at"]}
        elif name in found and event["what"] == MENDED:
            found[name]["mended"] = event["at"]
        elif name in found:
            found[name]["setBack"] = event["why"] or "done"
    return found


def opened(unit: UnitOfWork) -> dict[str, dict[str, Any]]:
    """Return what is not as released, as far as was told."""
    told = fold(entry.content for entry in unit.entries(STREAM, MEMORY))
    return {name: one for name, one in told.items() if "mended" not in one}


def tell(
    store: Store,
    drifts: Sequence[Drift],
    scope: Callable[[Finding], bool],
    attempts: Mapping[str, Sequence[Mapping[str, Any]]],
) -> tuple[tuple[Drift, ...], int]:
    """Tell what is new, and what of the open findings in *scope* is no more; return both."""
    now_there = {one.id for one in drifts}
    with store.begin() as unit:
        unit.hold(STREAM)
        known = opened(unit)
        new = tuple(one for one in drifts if one.id not in known)[:MOST]
        over = [one for name, one in known.items() if name not in now_there and scope(one)]
        for drift in new:
            _found(unit, drift, attempts.get(drift.model, ()))
        for one in over:
            data = {"id": one["id"], "kind": one["kind"], "thing": one["thing"]}
            unit.log(STREAM, _event(MENDED, one["thing"], data, one["new"], one["old"]))
        if new or over:
            unit.commit()
    return new, len(over)


def tell_set_back(store: Store, drift: Drift, refusal: str = "") -> None:
    """Tell that an alias was set back, or, once for a finding, why the guard refused it."""
    with store.begin() as unit:
        unit.hold(STREAM)
        if refusal and opened(unit).get(drift.id, {}).get("setBack") == refusal:
            return
        what = NOT_SET_BACK if refusal else SET_BACK
        data = {"id": drift.id}
        unit.log(STREAM, _event(what, drift.subject, data, drift.new, drift.old, refusal))
        unit.commit()


def _found(unit: UnitOfWork, drift: Drift, attempts: Sequence[Mapping[str, Any]]) -> None:
    data = drift.to_document() | {"attempts": [dict(one) for one in attempts]}
    del data["why"]
    entry = unit.log(STREAM, _event(FOUND, drift.subject, data, drift.old, drift.new, drift.why))
    if drift.release:  # whoever watches the release's run hears of it
        text = f"{drift.release}: ALARM: {drift.why}. Was {drift.old}, is {drift.new}."
        what = f"{drift.id}-{entry.seq}"
        unit.post_all(telling.aloud(drift.release, what, about="alarm", text=text))


def _event(
    what: str, thing: str, data: Mapping[str, Any], old: Any, new: Any, why: str = ""
) -> Event:
    return Event(
        type=what,
        actor_id="system:detector",
        roles=(),
        channel="system",
        resource=f"registry/{thing}",
        old={"value": old},
        new={"value": new},
        why=why,
        policy="",
        data=data,
    )
