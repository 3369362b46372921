"""The numbers of an evaluation, computed again from the predictions that were kept with it.

A gate judged again believes what the evidence says was measured. Where the predictions are kept,
that can be computed anew: every metric, bound and slice of evaluation and comparison. It is done
on this machine, with a worker's settings, because bootstraps would keep an API server busy. Only
the attempt's number comes from the store and is taken as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airlock.domain.errors import NotFound

if TYPE_CHECKING:
    from airlock.bootstrap import Airlock

#: What a first release has in the place of a comparison.
_NO_CHAMPION: Mapping[str, Any] = {"champion": None, "comparisons": []}
#: Rounding of another machine's libraries is no change.
_ROUNDING = 1e-9


def of_release(airlock: Airlock, release_id: str) -> dict[str, Any]:
    """Return whether the numbers a release was judged by follow from its predictions.

    Raises:
        NotFound: if there is no such release, or nothing of it is kept.
        Refused: if the predictions were changed.
    """
    with airlock.store.begin() as unit:
        release = unit.get(release_id)
    return of_run(airlock, release.origin, release.subject.artifact_digest)


def of_run(airlock: Airlock, origin: str, artifact_digest: str) -> dict[str, Any]:
    """Return the same of what a run has measured about a candidate."""
    from airlock.adapters.jobs.programs.evaluate import recompute

    with airlock.store.begin() as unit:
        facts = {
            kind: evidence.facts
            for kind, evidence in unit.evidence_of(origin).items()
            if evidence.artifact_digest == artifact_digest
        }
    evaluation = facts.get("evaluation", {})
    digest = str(evaluation.get("predictionsDigest", ""))
    if not digest:
        raise NotFound(
            f"run {origin} has no evaluation whose predictions were kept",
            next_step="Leave --numbers out: the verdicts are compared all the same.",
        )
    comparison = facts.get("comparison", _NO_CHAMPION)
    again = recompute(airlock.files.get(digest), evaluation, comparison)
    differs = [*_changes("evaluation", evaluation, again[0])]
    differs += _changes("comparison", comparison, again[1])
    return {"predictions": digest, "same": not differs, "differs": differs}


def _changes(place: str, stored: Any, again: Any) -> Iterator[str]:
    """Yield where the numbers kept are not those found, and both."""
    if isinstance(stored, Mapping) and isinstance(again, Mapping) and set(stored) == set(again):
        for name in sorted(stored):
            yield from _changes(f"{place}.{name}", stored[name], again[name])
    elif isinstance(stored, list) and isinstance(again, list) and len(stored) == len(again):
        for number, (element, other) in enumerate(zip(stored, again, strict=True)):
            yield from _changes(f"{place}.{number}", element, other)
    elif not _same(stored, again):
        yield f"{place}: kept {stored}, found {again}"


def _same(stored: Any, again: Any) -> bool:
    if isinstance(stored, (int, float)) and isinstance(again, (int, float)):
        return math.isclose(stored, again, rel_tol=_ROUNDING, abs_tol=_ROUNDING)
    return bool(stored == again)
