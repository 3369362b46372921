"""What the card and the report show of slices: each group once, with both versions."""

from __future__ import annotations

from typing import Any

from airlock_evidence import facts
from airlock_evidence.dossier import Dossier
from airlock_evidence.told import ReleaseState


def dossier(**kinds: Any) -> Dossier:
    """A bundle of nothing but evidence."""
    about = "sha256:a"
    evidence = {
        kind: {"kind": kind, "artifactDigest": about, "facts": content}
        for kind, content in kinds.items()
    }
    nothing: Any = {}
    return Dossier(
        header={}, entries=[], context=[], contents=[], around=[], rights=nothing, policy={},
        pipeline={}, keys=nothing, texts={}, grants={}, evidence=evidence,
        release=ReleaseState(subject={"artifact_digest": about}),
    )  # fmt: skip


def line(**slices: Any) -> dict[str, Any]:
    return {"metric": "roc_auc", "slices": [{"slice": "SEX=1", "n": 200, **slices}]}


def test_without_slices_there_is_nothing_to_show() -> None:
    assert facts.slices(dossier()) == []
    assert facts.slices(dossier(evaluation={"bounds": []}, comparison={"comparisons": []})) == []


def test_a_group_is_shown_once_with_both_versions() -> None:
    bounds = {"bounds": [line(value=0.8)]}
    compared = {"comparisons": [line(candidate=0.8, champion=0.7)]}
    row = {"group": "SEX=1", "metric": "roc_auc", "rows": 200, "this version": 0.8}
    assert facts.slices(dossier(evaluation=bounds)) == [row]
    both = [{**row, "champion then": 0.7}]
    assert facts.slices(dossier(comparison=compared)) == both
    assert facts.slices(dossier(evaluation=bounds, comparison=compared)) == both
