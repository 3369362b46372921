"""fairness on real census rows: what fairlearn measures, what intervals promise, what is refused.

The model does not see sex or race, and still selects groups at different rates.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy
import pandas
import pytest
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference

from airlock.adapters.evidence.folder import EvidenceFolder
from airlock.adapters.jobs import Lab, LabData
from airlock.adapters.jobs.collection_context import Scene
from airlock.adapters.jobs.collectors import COLLECTORS
from airlock.adapters.jobs.programs import fairness
from airlock.adapters.jobs.shared.model_loading import load_model
from airlock.domain.errors import Refused
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.gates import UNCOLLECTED, Evidence, GateResult, Verdict, run_gate
from airlock.gates import Fairness
from airlock.ports import Candidate
from airlock.services.pipeline.training_runtime import Case
from airlock.testing import pipeline_document
from tests.integration.lab_kit import pinned, trained
from tests.support import ROOT

pytestmark = pytest.mark.integration

SCRIPT = """
    from sklearn.ensemble import HistGradientBoostingClassifier

    def train(rows, target, seed):
        features = ["AGEP", "SCHL", "RELP"]
        model = HistGradientBoostingClassifier(max_iter=40, early_stopping=False)
        return model.fit(rows[features], rows[target])
"""


class Story(NamedTuple):
    """A trained model, its rows, and the facts."""

    data: LabData
    model: Path
    facts: dict[str, Any]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("fairness")
    census = pandas.read_parquet(ROOT / "include/models/employment/data.parquet")
    rows = census.iloc[::10].reset_index(drop=True)
    data = pinned(folder, rows, target="employed", time_column="observed_on", holdout=0.5)
    model = trained(folder, data, SCRIPT).model
    attributes = [{"column": name, "edges": []} for name in ("SEX", "DIS", "RAC1P")]
    scene = scene_of(Lab(folder / "lab"), data, model, protectedAttributes=attributes)
    return Story(data, model, COLLECTORS["fairness"](scene).facts)


def scene_of(lab: Lab, data: LabData, model: Path, **declared: Any) -> Scene:
    """A candidate of a pipeline that has the gate."""
    document = pipeline_document()
    document["spec"]["data"] = {"task": "classification", **declared}
    document["spec"]["gates"] = [{"gate": "fairness", "equalizedOdds": 0.1}]
    document["spec"]["stages"] = [
        {"name": "evaluate", "timeoutMinutes": 5, "resources": {"memoryMb": 2048, "cpu": 1}}
    ]
    candidate = Candidate(
        origin="demo/run", model="demo", version="1", run_id="r", location="", started_at="",
        artifact_digest="", data_digest="", code_commit="", pipeline_digest="", requester="ana",
        environment="production", raised_to=None,
    )  # fmt: skip
    return Scene(
        lab=lab,
        case=Case(recipe=Recipe(document), candidate=candidate),
        root=ROOT,
        keys=ROOT,
        model_of=lambda version, digest: model,
        rows_of=lambda recipe, digest: data,
        evidence_file=EvidenceFolder(ROOT).get,
    )


def judged(facts: dict[str, Any], **limits: float) -> GateResult:
    return run_gate(Fairness(**limits), {"fairness": Evidence("fairness", "sha256:a", facts)})  # type: ignore[arg-type]


def attribute(story: Story, name: str) -> dict[str, Any]:
    found = (one for one in story.facts["attributes"] if one["attribute"] == name)
    return next(found)


def test_the_values_are_fairlearns_on_the_held_out_rows(story: Story) -> None:
    rows = pandas.read_parquet(story.data.path).sort_values("observed_on", kind="stable")
    test = rows.iloc[len(rows) - story.facts["rows"] :]
    model = load_model(story.model, "demo")
    chosen = model.predict_proba(test[["AGEP", "SCHL", "RELP"]])[:, 1] > 0.5
    given = (test["employed"], chosen.astype(int))
    found = attribute(story, "SEX")["differences"]
    for name, oracle in (
        ("demographicParity", demographic_parity_difference),
        ("equalizedOdds", equalized_odds_difference),
    ):
        assert found[name]["value"] == pytest.approx(oracle(*given, sensitive_features=test["SEX"]))
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]
    men = next(one for one in attribute(story, "SEX")["groups"] if one["group"] == "SEX=1")
    assert men["n"] == int((test["SEX"] == 1).sum())
    assert men["selectionRate"]["value"] == pytest.approx(chosen[test["SEX"] == 1].mean())


def test_small_groups_are_counted_and_not_judged(story: Story) -> None:
    groups = {one["group"]: one for one in attribute(story, "RAC1P")["groups"]}
    small = [one for one in groups.values() if one["n"] < 100]
    assert small
    assert all(one["accuracy"] is None for one in small)


def test_a_limit_that_is_kept_passes_one_that_is_not_fails_and_one_between_errs(
    story: Story,
) -> None:
    low, high = (
        max(one["differences"]["demographicParity"][end] for one in story.facts["attributes"])
        for end in ("low", "high")
    )
    assert 0 < low < high < 1
    passed = judged(story.facts, demographic_parity=high + 0.001)
    assert passed.verdict is Verdict.PASSED
    assert "not assessable" in passed.message
    failed = judged(story.facts, demographic_parity=low - 0.001)
    assert failed.verdict is Verdict.FAILED
    assert "demographicParity of " in failed.message
    assert judged(story.facts, demographic_parity=(low + high) / 2).verdict is Verdict.ERRORED


def test_the_counts_drawn_are_the_rows_drawn() -> None:
    """The spread of a rate over drawn counts is that over drawn rows: sqrt(p (1 - p) / n)."""
    draw = numpy.random.default_rng(3)
    truth, chosen = draw.random(2000) < 0.5, draw.random(2000) < 0.4
    request = {"confidence": 0.95, "minimumRows": 100, "resamples": 4000, "data": {"seed": 1}}
    found = fairness.measure(truth, chosen, numpy.repeat(["a", "b"], 1000), request)
    rate = found["groups"][0]["selectionRate"]
    spread = numpy.sqrt(rate["value"] * (1 - rate["value"]) / 1000)
    assert (rate["high"] - rate["low"]) / (2 * 1.645) == pytest.approx(spread, rel=0.1)


def test_equal_groups_are_rarely_beyond_a_limit_of_nothing() -> None:
    """Eight equal groups: the largest of 28 differences is certain in at most 5 % of trials."""
    draw, beyond, trials = numpy.random.default_rng(7), 0, 100
    request = {"confidence": 0.95, "minimumRows": 100, "resamples": 1000, "data": {"seed": 1}}
    labels = numpy.repeat(list("abcdefgh"), 200)
    for _ in range(trials):
        truth, chosen = draw.random(1600) < 0.5, draw.random(1600) < 0.5
        enough = numpy.array([fairness.counts(truth, chosen, labels == one) for one in "abcdefgh"])
        drawn = draw.multinomial(1600, enough.ravel() / 1600, size=request["resamples"])
        samples = fairness.rates(drawn.reshape(-1, 8, 4))
        low, high = fairness.farthest(samples[:, [0]], 0.95)
        assert low < high
        beyond += low > 0
    assert beyond <= 12


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({}, "declares no protected attribute"),
        (
            {"task": "regression", "protectedAttributes": [{"column": "SEX", "edges": []}]},
            "predicts a number",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_and_errored(
    declared: dict[str, Any], said: str
) -> None:
    lab, rows = (
        Lab(Path("never-used")),
        LabData(path=ROOT, digest="", target="y", task="regression"),
    )
    scene = scene_of(lab, rows, ROOT, **declared)
    with pytest.raises(Refused, match=said) as caught:
        COLLECTORS["fairness"](scene)
    result = judged({UNCOLLECTED: caught.value.message}, equalized_odds=0.1)
    assert result.verdict is Verdict.ERRORED
    assert said in result.message


def test_a_large_group_nobody_selects_counts_however_few_of_its_answers_are_one() -> None:
    """Half of two groups are selected and nobody of 2,000 in the third, 12 of them positive."""
    draw = numpy.random.default_rng(1)
    group = numpy.repeat(["a", "b", "c"], [3000, 3000, 2000])
    truth = draw.random(8000) < 0.5
    truth[6000:] = False
    truth[6000:6012] = True
    chosen = numpy.where(group == "c", False, draw.random(8000) < 0.5)
    request = {"data": {"seed": 0}, "resamples": 200, "minimumRows": 100, "confidence": 0.95}
    measured = fairness.measure(truth, chosen, group, request)
    facts = {"rows": 8000, "confidence": 0.95, "minimumRows": 100}
    facts |= {"attributes": [{"attribute": "g", **measured}]}
    evidence = {"fairness": Evidence("fairness", "sha256:" + "0" * 64, facts)}
    assert run_gate(Fairness(demographic_parity=0.1), evidence).verdict is Verdict.FAILED
    odds = run_gate(Fairness(equalized_odds=0.2), evidence)
    assert odds.verdict is Verdict.ERRORED
    assert "25.0% of 8,000 held-out rows are in groups nobody can assess" in odds.message
