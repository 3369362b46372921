"""Judging a release's gates again from the stored evidence alone, and comparing.

Nothing is collected and nothing is kept: the same pure functions, the options of the registered
pipeline, the evidence as it lies there. What the log says was judged is what has to come out; an
older log has no results of a candidate that took a release over, then the run's own are compared.
"""

from __future__ import annotations

from typing import Any

from airlock.domain.approval.release import Release
from airlock.domain.gates import GateResult
from airlock.ports import Store, UnitOfWork
from airlock.services.approvals.requirements import judged_plainly

#: What has to be the same; a message is only how it is said.
COMPARED = ("gate", "verdict", "measured", "threshold", "n", "evidence")


def recompute(store: Store, release_id: str) -> dict[str, Any]:
    """Return every gate with the stored verdict, the verdict now, and the differences."""
    with store.begin() as unit:
        release = unit.get(release_id)
        document, _ = unit.registered("pipeline", release.subject.pipeline_digest)
        again = {
            result.key: result for result in judged_plainly(release, document, unit.facts(release))
        }
        stored = {result.key: result for result in _stored_results(unit, release)}
    rows = [
        _compared(key, stored.get(key), again.get(key)) for key in sorted(stored.keys() | again)
    ]
    same = bool(rows) and not any(row["differs"] for row in rows)
    return {"release": release_id, "same": same, "gates": rows}


def _stored_results(unit: UnitOfWork, release: Release) -> list[GateResult]:
    """Return the results as they were judged, before any waiver."""
    documents: list[dict[str, Any]] = []
    origin = ""
    for entry in unit.entries(release.id):
        event_type, data = entry.content["what"], entry.content["data"]
        if event_type == "GatesJudged":
            documents = data["results"]
        elif event_type in ("ReleaseRequested", "ReleaseVoided"):
            documents = documents if data["origin"] == origin else []
            origin = data["origin"]
    if not documents:
        return list(unit.results_of(release.origin))
    results = [GateResult.from_document(document) for document in documents]
    return [_before_waiver(result) for result in results]


def _before_waiver(result: GateResult) -> GateResult:
    was = (result.details or {}).get("waivedVerdict")
    return GateResult.from_document({**result.to_document(), "verdict": was}) if was else result


def _compared(key: str, stored: GateResult | None, again: GateResult | None) -> dict[str, Any]:
    old, new = (each.to_document() if each else {} for each in (stored, again))
    return {
        "key": key,
        "kept": old.get("verdict"),
        "again": new.get("verdict"),
        "measured": new.get("measured"),
        "message": new.get("message", ""),
        "differs": [name for name in COMPARED if old.get(name) != new.get(name)],
    }
