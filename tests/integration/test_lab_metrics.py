"""Our metrics against scikit-learn's, also as weighted and resampled; the bootstrap's promise."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from sklearn import metrics as oracle

from airlock.adapters.jobs.statistics import bootstrap, metrics
from airlock.domain.metrics import DIRECTIONS

pytestmark = pytest.mark.integration

DRAW = numpy.random.default_rng(5)
N = 500
CLASSES = (DRAW.random(N) < 0.3).astype(int)
#: Rounded, so that there are many ties.
CHANCES = numpy.clip(CLASSES * 0.2 + DRAW.random(N) * 0.8, 0, 1).round(2)
COUNTS = DRAW.poisson(3, N).astype(float)
GUESSES = COUNTS * 0.5 + DRAW.random(N)

ORACLES: dict[str, Any] = {
    "roc_auc": lambda y, p, w: oracle.roc_auc_score(y, p, sample_weight=w),
    "average_precision": lambda y, p, w: oracle.average_precision_score(y, p, sample_weight=w),
    "accuracy": lambda y, p, w: oracle.accuracy_score(y, p > 0.5, sample_weight=w),
    "f1": lambda y, p, w: oracle.f1_score(y, p > 0.5, sample_weight=w),
    "log_loss": lambda y, p, w: oracle.log_loss(y, p, sample_weight=w),
    "brier": lambda y, p, w: oracle.brier_score_loss(y, p, sample_weight=w),
    "rmse": lambda y, p, w: oracle.root_mean_squared_error(y, p, sample_weight=w),
    "mae": lambda y, p, w: oracle.mean_absolute_error(y, p, sample_weight=w),
    "r2": lambda y, p, w: oracle.r2_score(y, p, sample_weight=w),
}


def test_every_metric_a_policy_may_name_is_measured() -> None:
    assert {*metrics.CLASSIFICATION, *metrics.REGRESSION} == set(DIRECTIONS) == set(ORACLES)


@pytest.mark.parametrize("name", sorted(ORACLES))
@pytest.mark.parametrize("weighting", ["ones", "resample"])
def test_a_metric_agrees_with_scikit_learn(name: str, weighting: str) -> None:
    classes = name in metrics.CLASSIFICATION
    truth, predicted = (CLASSES, CHANCES) if classes else (COUNTS, GUESSES)
    drawn = numpy.random.default_rng(3).integers(0, N, N)
    resample = numpy.bincount(drawn, minlength=N).astype(float)
    weights = numpy.ones(N) if weighting == "ones" else resample
    ours = metrics.prepare(name, truth, predicted)(weights)
    assert ours == pytest.approx(ORACLES[name](truth, predicted, weights), rel=1e-9)


def test_the_bootstrap_is_a_function_of_its_seed() -> None:
    pair = [metrics.prepare("mae", COUNTS, guesses) for guesses in (GUESSES, GUESSES + 1)]
    measures = [bootstrap.difference(*pair)]
    first, again, other = (bootstrap.samples(measures, N, 50, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_one_sided_bounds_hold_as_often_as_they_promise() -> None:
    """A champion equal in truth: the lower 90 % bound lies above zero in about 10 % of trials."""
    draw, above, trials = numpy.random.default_rng(11), 0, 300
    for seed in range(trials):
        truth = draw.normal(size=400)
        new, old = (truth + draw.normal(size=400) for _ in range(2))
        pair = [metrics.prepare("mae", truth, one) for one in (new, old)]
        samples = bootstrap.samples([bootstrap.difference(*pair)], 400, 200, seed)
        low, high = bootstrap.bounds(samples[:, 0], 0.9)
        assert low < high
        above += low > 0
    assert 0.05 < above / trials < 0.16
