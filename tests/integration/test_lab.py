"""The lab on good input: what each stage answers, and that the answers are reproducible."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import NamedTuple

import numpy
import pandas
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from airlock.adapters.jobs import (
    Champion,
    Compare,
    EvaluateRequest,
    EvaluateResult,
    Lab,
    LabData,
    LatencyRequest,
    TrainResult,
    ValidateRequest,
)
from airlock.adapters.jobs.programs import evaluate
from airlock.domain.digest import file_digest, folder_manifest, manifest_digest
from tests.integration.lab_kit import LIMITS, pinned, rows, script, trained

pytestmark = pytest.mark.integration

WEAK = """
    from sklearn.linear_model import LogisticRegression

    def train(rows, target, seed):
        return LogisticRegression().fit(rows[["two"]], rows[target])
"""


class Story(NamedTuple):
    """A candidate, a weaker champion, and both measured."""

    lab: Lab
    data: LabData
    candidate: TrainResult
    champion: TrainResult
    result: EvaluateResult


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("story")
    data = pinned(folder, rows(2000))
    lab = Lab(folder / "lab")
    candidate, champion = trained(folder, data), trained(folder, data, WEAK)
    result = lab.evaluate(
        EvaluateRequest(
            name="demo",
            data=data,
            candidate=candidate.model,
            champion=Champion(champion.model, "3"),
            compare=(Compare("average_precision"), Compare("log_loss", 0.9)),
            limits=LIMITS,
            resamples=500,
        )
    )
    return Story(lab, data, candidate, champion, result)


def test_training_names_what_it_made(story: Story) -> None:
    made = story.candidate
    assert made.features == ("one", "two")
    assert made.rows == 1500
    assert made.params["C"] == "1.0"
    assert made.metrics["roc_auc"] > 0.8
    assert made.artifact_digest == manifest_digest(folder_manifest(made.model))


def test_the_model_is_in_safe_formats_only(story: Story) -> None:
    facts = story.lab.formats(story.candidate.model)
    assert facts["unknown"] == []
    assert facts["manifestDigest"] == story.candidate.artifact_digest
    assert (facts["loaderModule"], facts["code"]) == ("mlflow.sklearn", None)
    assert facts["serializationFormat"] == "skops"
    assert {item["format"] for item in facts["files"]} == {
        "skops",
        "mlmodel",
        "json",
        "conda-env",
        "python-env",
        "requirements",
    }


def test_the_input_example_is_nobodys_row(story: Story) -> None:
    example = json.loads((story.candidate.model / "input_example.json").read_text())
    table = pandas.read_parquet(story.data.path)
    same = (table["one"] == example["data"][0][0]) & (table["two"] == example["data"][0][1])
    assert not same.any()


def test_both_models_are_measured_on_the_same_later_rows(story: Story) -> None:
    found = story.result.evaluation
    kept = pandas.read_parquet(story.result.predictions)
    assert found["rows"] == len(kept) == 500
    assert kept["row"].tolist() == list(range(1500, 2000))
    assert found["predictionsDigest"] == file_digest(story.result.predictions)
    for who in ("candidate", "champion"):
        expected = roc_auc_score(kept["truth"], kept[who])
        assert found[who]["metrics"]["roc_auc"] == pytest.approx(expected, abs=1e-12)
    assert found["champion"]["version"] == "3"
    assert found["champion"]["artifactDigest"] == story.champion.artifact_digest


def test_the_comparison_can_be_computed_again_from_the_predictions(story: Story) -> None:
    line, other = story.result.comparison["comparisons"]
    kept = pandas.read_parquet(story.result.predictions)
    draw, n, found = numpy.random.default_rng(line["seed"]), line["n"], []
    truth, new, old = (kept[name].to_numpy() for name in ("truth", "candidate", "champion"))
    for _ in range(line["resamples"]):
        rows_drawn = draw.integers(0, n, n)
        found.append(
            average_precision_score(truth[rows_drawn], new[rows_drawn])
            - average_precision_score(truth[rows_drawn], old[rows_drawn])
        )
    low, high = numpy.quantile(found, [0.05, 0.95])
    assert (line["low"], line["high"]) == pytest.approx((low, high), abs=1e-9)
    assert line["low"] < line["difference"] < line["high"]
    assert line["low"] > 0.2  # the champion guesses
    assert (other["direction"], other["confidence"]) == ("lower", 0.9)
    assert other["high"] < 0


def test_a_first_release_has_no_champion(story: Story) -> None:
    result = story.lab.evaluate(
        EvaluateRequest(
            name="demo",
            data=story.data,
            candidate=story.candidate.model,
            compare=(Compare("roc_auc"),),
            limits=LIMITS,
        )
    )
    assert result.evaluation["champion"] is None
    assert (result.comparison["champion"], result.comparison["comparisons"]) == (None, [])
    assert result.comparison["rowsDigest"] == result.evaluation["rowsDigest"]
    assert result.evaluation["candidate"] == story.result.evaluation["candidate"]
    again = evaluate.recompute(result.predictions, result.evaluation, result.comparison)
    assert again == (result.evaluation, result.comparison)
    assert result.evaluation["rowsDigest"] == story.result.evaluation["rowsDigest"]


def test_another_split_is_another_rows_digest(story: Story) -> None:
    data = dataclasses.replace(story.data, holdout=0.2)
    request = EvaluateRequest(
        name="demo", data=data, candidate=story.candidate.model, limits=LIMITS
    )
    found = story.lab.evaluate(request).evaluation
    assert found["rows"] == 400
    assert found["rowsDigest"] != story.result.evaluation["rowsDigest"]


def test_latency_counts_every_call_after_the_warm_up(story: Story) -> None:
    request = LatencyRequest(
        name="demo", data=story.data, model=story.candidate.model, limits=LIMITS, n=200, warmup=10
    )
    facts = story.lab.latency(request).facts
    assert (facts["n"], facts["warmup"], facts["rowsPerCall"]) == (200, 10, 1)
    assert 0 < facts["p50Ms"] <= facts["p95Ms"] <= facts["p99Ms"]


def test_an_expectation_that_is_not_met_is_named_with_what_was_found(story: Story) -> None:
    suite = """
        import great_expectations.expectations as gxe

        def expectations():
            return [
                gxe.ExpectColumnValuesToBeInSet(column="label", value_set=[0]),
                gxe.ExpectColumnValuesToNotBeNull(column="one"),
                gxe.ExpectColumnMeanToBeBetween(column="absent", max_value=1),
            ]
    """
    folder = story.data.path.parents[2]
    request = ValidateRequest(
        name="demo", data=story.data, suite=script(folder, suite, "suite.py"), limits=LIMITS
    )
    result = story.lab.validate(request)
    facts = result.facts
    assert (facts["success"], facts["evaluated"], facts["successful"]) == (False, 3, 1)
    (label,), (absent,) = facts["failed"], facts["raised"]
    assert (label["expectation"], label["column"]) == ("expect_column_values_to_be_in_set", "label")
    assert "of 2000 otherwise, such as [1" in label["detail"]
    assert absent["column"] == "absent"
    assert "absent" in absent["why"]
    assert facts["dataDigest"] == story.data.digest
    assert facts["docsDigest"] == manifest_digest(folder_manifest(result.docs))
    assert (result.docs / "index.html").is_file()


def test_rows_keep_their_side_when_rows_are_appended(tmp_path: Path) -> None:
    from airlock.adapters.jobs.shared import pinned_rows as children_rows

    table = rows(1000).drop(columns=["day"])
    asked = {"name": "demo", "data": {"target": "label", "task": "classification"}}
    asked["data"] |= {"timeColumn": None, "holdout": 0.25, "seed": 7}  # type: ignore[operator]
    early = children_rows.split(asked, table.iloc[:600])
    late = children_rows.split(asked, table)
    assert set(early.test.index) == {row for row in late.test.index if row < 600}
    assert 200 < len(late.test) < 300
