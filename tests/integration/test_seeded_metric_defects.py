"""Defects put into real models on real census rows, and the gates that have to catch them.

The champion sees age and schooling. The candidate sees all features, so its total rises, but in
its training rows a third of those aged 25 to 29 are called unemployed: that slice falls by some 5
points.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

import pandas
import pytest

from airlock.adapters.jobs import Champion, Compare, EvaluateRequest, EvaluateResult, Lab, Slice
from airlock.domain.gates import Evidence, Gate, GateResult, Verdict, run_gate
from airlock.gates import MetricsThreshold, PerformanceRegression
from tests.integration.lab_kit import LIMITS, pinned, trained
from tests.support import ROOT

pytestmark = pytest.mark.integration

SCRIPT = """
    from sklearn.ensemble import HistGradientBoostingClassifier
    import numpy

    def train(rows, target, seed):
        truth, features = rows[target].to_numpy().copy(), {features}
        drawn = numpy.random.default_rng(0).random(len(rows)) < {spoilt}
        truth[rows["AGEP"].between(25, 29).to_numpy() & drawn] = 0
        model = HistGradientBoostingClassifier(
            max_iter={trees}, early_stopping=False, random_state=seed
        )
        return model.fit(rows[features], truth)
"""
FEW, ALL = ["AGEP", "SCHL"], ["AGEP", "SCHL", "RELP", "ESP", "MIG"]
GATE = PerformanceRegression("accuracy", margin=0.01)
AUC = PerformanceRegression("roc_auc", margin=0.01)
SPOILT = "25<=AGEP<30"


class Story(NamedTuple):
    """The candidate with a spoilt slice, and an equal one."""

    spoilt: EvaluateResult
    equal: EvaluateResult


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("seeded")
    census = pandas.read_parquet(ROOT / "include/models/employment/data.parquet")
    adults = census[census["AGEP"] >= 16].iloc[::8].reset_index(drop=True)
    data = pinned(folder, adults, target="employed", time_column="observed_on", holdout=0.5)
    champion, spoilt, equal = (
        trained(folder, data, SCRIPT.format(features=features, spoilt=share, trees=trees)).model
        for features, share, trees in ((FEW, 0, 50), (ALL, 0.345, 50), (FEW, 0, 49))
    )

    def compared(candidate: Path) -> EvaluateResult:
        return Lab(folder / "lab").evaluate(
            EvaluateRequest(
                name="employment",
                data=data,
                candidate=candidate,
                champion=Champion(champion, "1"),
                bound=(Compare("accuracy"),),
                compare=(Compare("accuracy", GATE.each), Compare("roc_auc", AUC.each)),
                slices=(Slice("AGEP", (25, 30, 45, 65)), Slice("SEX"), Slice("RAC1P")),
                limits=LIMITS,
            )
        )

    return Story(compared(spoilt), compared(equal))


def judged(gate: PerformanceRegression, result: EvaluateResult) -> GateResult:
    facts = result.comparison | {"attempt": 1, "earlier": []}
    return run_gate(gate, {"comparison": Evidence("comparison", "sha256:a", facts)})


def threshold(result: EvaluateResult, **options: float) -> GateResult:
    gate = MetricsThreshold("accuracy", 0.7, **options)  # type: ignore[arg-type]
    return run_gate(gate, {"evaluation": Evidence("evaluation", "sha256:a", result.evaluation)})


def test_a_slice_that_fell_by_five_points_is_caught_though_the_total_rose(story: Story) -> None:
    line = story.spoilt.comparison["comparisons"][0]
    fallen = next(one for one in line["slices"] if one["slice"] == SPOILT)
    assert line["low"] > 0
    assert -0.08 < fallen["difference"] < -0.03
    result = judged(GATE, story.spoilt)
    assert result.verdict is Verdict.FAILED
    assert result.details is not None
    assert result.details["regressed"] == [SPOILT]
    assert f"a slice is worse: {SPOILT}" in result.message


def gates() -> dict[str, Gate]:
    """Every gate that reads what an evaluation has measured, and one for each of its numbers."""
    plain = {gate.key: gate for gate in (GATE, AUC)}
    bound = MetricsThreshold("accuracy", 0.7, confidence=0.95)
    slices = MetricsThreshold("accuracy", 0.7, slice_threshold=0.5)
    return plain | {
        "the total": MetricsThreshold("accuracy", 0.7),
        "its bound": bound,
        "every slice": slices,
        "another metric": MetricsThreshold("roc_auc", 0.7),
    }


def test_only_the_comparison_of_what_fell_finds_it_and_no_gate_is_at_a_loss(story: Story) -> None:
    """The slice is still well above any threshold; only beside the champion it has fallen."""

    def verdicts(result: EvaluateResult) -> dict[str, str]:
        facts = {
            "evaluation": result.evaluation,
            "comparison": result.comparison | {"attempt": 1, "earlier": []},
        }
        evidence = {kind: Evidence(kind, "sha256:a", one) for kind, one in facts.items()}
        return {name: run_gate(gate, evidence).verdict.value for name, gate in gates().items()}

    sound = dict.fromkeys(gates(), "PASSED")
    assert verdicts(story.equal) == sound
    assert verdicts(story.spoilt) == sound | {GATE.key: "FAILED"}


def test_without_slices_the_same_candidate_would_have_passed(story: Story) -> None:
    """The seeded defect is invisible in the total; only the slices show it."""
    bare = [one | {"slices": []} for one in story.spoilt.comparison["comparisons"]]
    blind = dataclasses.replace(
        story.spoilt, comparison=story.spoilt.comparison | {"comparisons": bare}
    )
    assert judged(GATE, blind).verdict is Verdict.PASSED
    assert threshold(story.spoilt).verdict is Verdict.PASSED


@pytest.mark.parametrize("gate", [GATE, AUC], ids=["accuracy", "roc_auc"])
def test_two_equal_models_pass(story: Story, gate: PerformanceRegression) -> None:
    result = judged(gate, story.equal)
    assert result.verdict is Verdict.PASSED, result.message
    assert result.details is not None
    assert result.details["regressed"] == []
    assert "RAC1P=7" in result.details["notAssessable"]


def test_too_few_rows_are_inconclusive(story: Story) -> None:
    result = judged(PerformanceRegression("accuracy", margin=0.0001), story.equal)
    assert result.verdict is Verdict.ERRORED
    assert "inconclusive: too few rows to tell, about " in result.message


def test_no_comparison_at_all_is_errored(story: Story) -> None:
    empty = dataclasses.replace(story.equal, comparison={"champion": "1", "comparisons": []})
    assert judged(GATE, empty).verdict is Verdict.ERRORED


def test_the_threshold_of_every_slice_is_judged_by_its_bound(story: Story) -> None:
    assert threshold(story.equal, confidence=0.95).verdict is Verdict.PASSED
    assert threshold(story.equal, confidence=0.95, slice_threshold=0.5).verdict is Verdict.PASSED
    result = threshold(story.spoilt, confidence=0.95, slice_threshold=0.72)
    assert result.verdict is Verdict.FAILED
    assert "slices miss 0.72, the worst is AGEP<25 with " in result.message
    assert threshold(story.equal, minimum_rows=99_999, confidence=0.95).verdict is Verdict.ERRORED
