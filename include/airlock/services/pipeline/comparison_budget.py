"""How many candidates have tried to beat the same champion on the same rows.

Rules:
* Everybody who tries often enough passes by luck, so every candidate measured counts, whatever
  became of it; the same bytes measured again are the same attempt.
* A champion that changed starts anew: what was measured against another one does not count.
* So do fresh rows: at least half of the held-out rows have to be new. By their days, if the rows
  have any; without a time column earlier rows stay on their side of the split, so there have to be
  twice as many.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.ports import Store


def numbered(
    store: Store, recipe: Recipe, origin: str, artifact: str, comparison: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the facts of a comparison with the number of the attempt and the runs before it."""
    with store.begin() as work:
        compared = work.compared(recipe.name, recipe.environment)
    earlier = {
        candidate.artifact_digest: candidate.origin
        for candidate, facts in compared
        if comparison["champion"] is not None
        and facts.get("champion") == comparison["champion"]
        and candidate.origin != origin
        and candidate.artifact_digest != artifact
        and _on_these_rows(comparison, facts)
    }
    return {**comparison, "attempt": 1 + len(earlier), "earlier": sorted(earlier.values())}


def _on_these_rows(own: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether more than half of the *own* rows were held out there too, or may have been."""
    if own.get("rowsDigest") == other.get("rowsDigest"):
        return True
    here, there = own.get("period"), other.get("period")
    if here and there:
        first, last = _days(here)
        their_first, their_last = _days(there)
        shared = min(last, their_last) - max(first, their_first) + 1
        return 2 * shared > last - first + 1
    return bool(2 * other.get("rows", own["rows"]) > own["rows"])


def _days(period: Mapping[str, str]) -> tuple[int, int]:
    return (
        date.fromisoformat(period["from"]).toordinal(),
        date.fromisoformat(period["to"]).toordinal(),
    )
