"""Bounds, differences and slices: against second implementations, and computed again from files."""

from __future__ import annotations

import json
from typing import Any

import numpy
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MLstatkit import Delong_test
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests

from airlock.adapters.jobs import Champion, Compare, EvaluateRequest, EvaluateResult, Lab, Slice
from airlock.adapters.jobs.errors import DataInvalid
from airlock.adapters.jobs.programs import evaluate
from airlock.adapters.jobs.statistics import intervals, metrics, slices
from airlock.adapters.jobs.statistics.delong import delong, midranks
from airlock.domain import hypothesis_tests
from tests.integration.lab_kit import LIMITS, pinned, rows, trained
from tests.support import sample

pytestmark = pytest.mark.integration

HOW = intervals.How(task="classification", resamples=200, seed=0, name="demo")


def scored(n: int, seed: int = 0, ties: int = 1) -> tuple[Any, Any, Any]:
    draw = numpy.random.default_rng(seed)
    truth = (draw.random(n) < 0.3).astype(int)
    one, two = (numpy.round(truth + draw.normal(size=n), ties) for _ in range(2))
    return truth, one, two


# -- DeLong ---------------------------------------------------------------------------------------


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30))
def test_midranks_are_scipys_average_ranks(values: list[int]) -> None:
    from scipy.stats import rankdata

    assert midranks(numpy.array(values)).tolist() == rankdata(values).tolist()


@pytest.mark.parametrize("ties", [8, 1, 0])
def test_delong_agrees_with_mlstatkit(ties: int) -> None:
    truth, one, two = scored(400, seed=ties, ties=ties)
    aucs, covariance = delong(truth, [one, two])
    z, _, _, _, first, second, told = Delong_test(truth, one, two)
    assert aucs == pytest.approx((first, second), abs=1e-12)
    assert aucs[0] == pytest.approx(roc_auc_score(truth, one), abs=1e-12)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert variance == pytest.approx(told["var_diff"], rel=1e-9)
    assert (aucs[1] - aucs[0]) / numpy.sqrt(variance) == pytest.approx(z, rel=1e-9)


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_equal_scores_have_no_difference_and_one_class_no_variance(seed: int) -> None:
    truth, one, _ = scored(60, seed)
    truth[:2], truth[2:4] = 1, 0
    _, covariance = delong(truth, [one, one])
    assert covariance[0, 0] == pytest.approx(covariance[0, 1])
    with pytest.raises(ValueError, match="have no variance"):
        delong(numpy.ones(60), [one, one])


# -- many tests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("level", sample([0.05, 0.1], 2))
def test_holm_and_the_false_discovery_rate_agree_with_statsmodels(level: float) -> None:
    draw = numpy.random.default_rng(4)
    for number in range(8):
        chances = list(draw.random(1 + number) ** 3)
        for ours, method in (
            (hypothesis_tests.holm, "holm"),
            (hypothesis_tests.benjamini_hochberg, "fdr_bh"),
        ):
            rejected = multipletests(chances, level, method)[0]
            assert ours(chances, level) == set(numpy.flatnonzero(rejected))


# -- slices ---------------------------------------------------------------------------------------


def label(values: list[Any], edges: tuple[float, ...] = ()) -> list[str]:
    table = pandas.DataFrame({"x": values})
    found = slices.labels(table, [{"column": "x", "edges": edges}], "demo")
    return list(found["x"])


def test_values_edges_and_missing_ones_are_slices() -> None:
    assert label([1, 2, 1]) == ["x=1", "x=2", "x=1"]
    assert label(["a", None]) == ["x=a", "x is missing"]
    assert label([1.0, None, 2.5]) == ["x=1", "x is missing", "x=2.5"]
    assert label([17, 18, 65, None], (18, 65)) == ["x<18", "18<=x<65", "x>=65", "x is missing"]
    assert label([True, False]) == ["x=True", "x=False"]


def test_many_numbers_are_cut_at_their_quartiles() -> None:
    found = label(list(range(100)))
    assert {one: found.count(one) for one in found} == {
        "x<24.75": 25, "24.75<=x<49.5": 25, "49.5<=x<74.25": 25, "x>=74.25": 25,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "edges", "said"),
    [
        ([str(one) for one in range(51)], (), "'x' has 51 values; 50 can be slices"),
        (["a", "b"], (1.0,), "'x' has edges to slice by but holds"),
    ],
)
def test_what_is_no_slice_is_refused(values: list[Any], edges: Any, said: str) -> None:
    with pytest.raises(DataInvalid, match=said):
        label(values, edges)
    with pytest.raises(DataInvalid, match="has no column 'y' to slice by"):
        slices.labels(pandas.DataFrame({"x": [1]}), [{"column": "y", "edges": ()}], "demo")


# -- lines ----------------------------------------------------------------------------------------


def table(n: int = 600) -> pandas.DataFrame:
    truth, one, two = scored(n)
    chance = [1 / (1 + numpy.exp(-score)) for score in (one, two)]
    found = {"truth": truth, "candidate": chance[0], "champion": chance[1]}
    group = numpy.where(numpy.arange(n) < 25, "tiny", numpy.where(numpy.arange(n) < 250, "a", "b"))
    return pandas.DataFrame(found | {"slice:g": group})


def plainly(metric: str, kept: pandas.DataFrame, pair: bool) -> tuple[float, float]:
    """The bounds by drawing rows again and measuring them."""
    draw, found = numpy.random.default_rng(9), []
    for _ in range(300):
        drawn = kept.iloc[draw.integers(0, len(kept), len(kept))]
        ones, truth = numpy.ones(len(kept)), drawn["truth"].to_numpy()
        values = [
            metrics.prepare(metric, truth, drawn[who].to_numpy())(ones)
            for who in ("candidate", "champion")
        ]
        found.append(values[0] - values[1] if pair else values[0])
    low, high = numpy.quantile(found, [0.05, 0.95])
    return float(low), float(high)


@pytest.mark.parametrize("metric", sample(metrics.CLASSIFICATION, 3))
def test_every_method_agrees_with_a_plain_bootstrap(metric: str) -> None:
    asked = [{"metric": metric, "confidence": 0.95}]
    kept = table()
    for found in (intervals.alone(kept, asked, HOW), intervals.compared(kept, asked, HOW)):
        line = found[0]
        value = line.get("difference", line.get("value"))
        assert line["low"] < value < line["high"]
        low, high = plainly(metric, kept, "champion" in line)
        assert (line["low"], line["high"]) == pytest.approx((low, high), abs=0.4 * line["se"])
        # A one-sided 95 % bound lies 1.645 standard errors away, give or take the resamples.
        assert (line["high"] - line["low"]) / (2 * 1.645 * line["se"]) == pytest.approx(1, abs=0.2)
        small, a, b = sorted(line["slices"], key=lambda one: one["n"])
        assert (small["slice"], small["n"], small["se"]) == ("tiny", 25, None)
        assert (a["n"], b["n"]) == (225, 350)
        assert a["se"] > line["se"]


def test_a_slice_is_measured_as_if_it_were_the_whole() -> None:
    asked = [{"metric": name, "confidence": 0.95} for name in ("roc_auc", "accuracy")]
    kept = table()
    part = kept[kept["slice:g"] == "a"].drop(columns="slice:g").reset_index(drop=True)
    for whole, alone in zip(
        intervals.compared(kept, asked, HOW), intervals.compared(part, asked, HOW), strict=True
    ):
        found = next(one for one in whole["slices"] if one["slice"] == "a")
        assert {key: alone[key] for key in found if key != "slice"} == {
            key: value for key, value in found.items() if key != "slice"
        }


def test_a_slice_of_one_class_has_no_ranking() -> None:
    kept = table().assign(truth=lambda one: one["truth"].where(one["slice:g"] != "a", 0))
    (line,) = intervals.compared(kept, [{"metric": "roc_auc", "confidence": 0.95}], HOW)
    found = next(one for one in line["slices"] if one["slice"] == "a")
    assert (found["difference"], found["se"], found["positives"]) == (None, None, 0)


# -- the whole way --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> EvaluateResult:
    folder = tmp_path_factory.mktemp("intervals")
    weak = """
        from sklearn.linear_model import LogisticRegression

        def train(rows, target, seed):
            return LogisticRegression().fit(rows[["one"]] * 0, rows[target])
    """
    data = pinned(folder, rows(1200).assign(side=lambda one: (one["two"] > 0).map(str)))
    features = """
        from sklearn.linear_model import LogisticRegression

        def train(rows, target, seed):
            return LogisticRegression().fit(rows[["one"]], rows[target])
    """
    candidate, champion = trained(folder, data, features), trained(folder, data, weak)
    return Lab(folder / "lab").evaluate(
        EvaluateRequest(
            name="demo",
            data=data,
            candidate=candidate.model,
            champion=Champion(champion.model, "3"),
            bound=(Compare("average_precision"), Compare("roc_auc", 0.9)),
            compare=(Compare("roc_auc", 0.99), Compare("f1")),
            slices=(Slice("side"), Slice("one", (-1.0, 1.0))),
            limits=LIMITS,
            resamples=200,
        )
    )


def test_the_facts_are_computed_again_from_the_predictions_alone(result: EvaluateResult) -> None:
    again = evaluate.recompute(result.predictions, result.evaluation, result.comparison)
    assert json.dumps(again, sort_keys=True) == json.dumps(
        (result.evaluation, result.comparison), sort_keys=True
    )


def test_a_changed_fact_is_found_by_computing_again(result: EvaluateResult) -> None:
    forged = json.loads(json.dumps(result.comparison))
    forged["comparisons"][0]["slices"][0]["difference"] += 0.01
    _, again = evaluate.recompute(result.predictions, result.evaluation, forged)
    assert again != forged
    assert again == result.comparison


def test_slices_need_not_be_features_and_every_row_is_in_one_of_each(
    result: EvaluateResult,
) -> None:
    (line, _) = result.comparison["comparisons"]
    assert (line["method"], line["confidence"]) == ("paired DeLong", 0.99)
    assert sum(one["n"] for one in line["slices"]) == 2 * line["n"] == 600
    names = [one["slice"] for one in line["slices"]]
    assert names == ["side=False", "side=True", "-1<=one<1", "one<-1", "one>=1"]
    kept = pandas.read_parquet(result.predictions)
    assert {"slice:side", "slice:one"} <= set(kept.columns)
    assert result.comparison["period"] == {"from": "2022-06-19", "to": "2023-04-14"}
    precision, auc = result.evaluation["bounds"]
    assert (precision["resamples"], auc["resamples"]) == (200, 0)
    assert auc["value"] == result.evaluation["candidate"]["metrics"]["roc_auc"]
