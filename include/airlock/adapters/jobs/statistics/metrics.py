"""The metrics, each once: as a function of row weights.

With all weights 1 it is the ordinary metric, with the counts of a bootstrap resample it is the
metric of that resample, exactly. Sorting is done once per model, so that thousands of resamples
are cheap. The values agree with scikit-learn's (tests/integration/test_lab_metrics.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airlock.adapters.jobs.errors import MetricNotFinite

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]
    Weighted = Callable[[Array], float]

CLASSIFICATION = ("roc_auc", "average_precision", "accuracy", "f1", "log_loss", "brier")
REGRESSION = ("rmse", "mae", "r2")


def names(task: str) -> tuple[str, ...]:
    """Return the metrics of a task."""
    return CLASSIFICATION if task == "classification" else REGRESSION


def prepare(metric: str, truth: Array, predicted: Array) -> Weighted:
    """Return *metric* of these predictions as a function of row weights."""
    if metric in _PER_ROW:
        return _mean(_PER_ROW[metric](truth, predicted))
    weighted: Weighted = _METRICS[metric](truth, predicted)
    return weighted


def per_row(metric: str, truth: Array, predicted: Array) -> Array:
    """Return the values whose mean is *metric*, row by row; KeyError if it is no mean."""
    values: Array = _PER_ROW[metric](truth, predicted)
    return values


def measure(task: str, truth: Array, predicted: Array, label: str) -> dict[str, float]:
    """Return every metric of the task; one that is not finite is refused, not reported."""
    import numpy

    weights = numpy.ones(len(truth))
    with numpy.errstate(divide="ignore", invalid="ignore", over="ignore"):
        measured = {name: prepare(name, truth, predicted)(weights) for name in names(task)}
    for name, value in measured.items():
        if not math.isfinite(value):
            raise MetricNotFinite(f"{name} of {label} is {value} on {len(truth)} rows")
    return measured


def _groups(truth: Array, predicted: Array) -> tuple[Array, Array, Array]:
    """Return the order by falling score, where each distinct score starts, and truth in order."""
    import numpy

    order = numpy.argsort(-predicted, kind="stable")
    ranked = predicted[order]
    starts = numpy.flatnonzero(numpy.r_[True, ranked[1:] != ranked[:-1]])
    return order, starts, truth[order].astype(float)


def _hits(truth: Array, predicted: Array) -> Callable[[Array], tuple[Array, Array]]:
    """Return weights -> positives and negatives per distinct score, best score first."""
    import numpy

    order, starts, positive = _groups(truth, predicted)

    def at(weights: Array) -> tuple[Array, Array]:
        ranked = weights[order]
        both = numpy.add.reduceat(ranked, starts)
        hits = numpy.add.reduceat(ranked * positive, starts)
        return hits, both - hits

    return at


def _roc_auc(truth: Array, predicted: Array) -> Weighted:
    import numpy

    at = _hits(truth, predicted)

    def value(weights: Array) -> float:
        hits, misses = at(weights)
        above = numpy.cumsum(hits) - 0.5 * hits  # a tie counts one half
        return float(misses @ above / (hits.sum() * misses.sum()))

    return value


def _average_precision(truth: Array, predicted: Array) -> Weighted:
    import numpy

    at = _hits(truth, predicted)

    def value(weights: Array) -> float:
        hits, misses = at(weights)
        relevant = numpy.cumsum(hits)
        retrieved = relevant + numpy.cumsum(misses)
        precision = numpy.divide(
            relevant, retrieved, out=numpy.zeros_like(relevant), where=retrieved > 0
        )
        return float(hits @ precision / hits.sum())

    return value


def _mean(losses: Array) -> Weighted:
    return lambda weights: float(weights @ losses / weights.sum())


def _right(truth: Array, predicted: Array) -> Array:
    correct: Array = ((predicted > 0.5) == (truth == 1)).astype(float)
    return correct


def _f1(truth: Array, predicted: Array) -> Weighted:
    chosen, positive = (predicted > 0.5).astype(float), (truth == 1).astype(float)
    both = chosen * positive

    def value(weights: Array) -> float:
        size = float(weights @ chosen + weights @ positive)
        return 2 * float(weights @ both) / size if size else 0.0

    return value


def _surprise(truth: Array, predicted: Array) -> Array:
    import numpy

    edge = numpy.finfo(float).eps
    sure = numpy.clip(numpy.where(truth == 1, predicted, 1 - predicted), edge, 1 - edge)
    losses: Array = -numpy.log(sure)
    return losses


def _squares(truth: Array, predicted: Array) -> Array:
    squares: Array = (predicted - truth) ** 2
    return squares


def _rmse(truth: Array, predicted: Array) -> Weighted:
    mean = _mean(_squares(truth, predicted))
    return lambda weights: float(mean(weights) ** 0.5)


def _distances(truth: Array, predicted: Array) -> Array:
    distances: Array = abs(predicted - truth)
    return distances


def _r2(truth: Array, predicted: Array) -> Weighted:
    errors = (predicted - truth) ** 2

    def value(weights: Array) -> float:
        centre = weights @ truth / weights.sum()
        return 1 - float(weights @ errors / (weights @ (truth - centre) ** 2))

    return value


_METRICS: dict[str, Callable[[Any, Any], Any]] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "f1": _f1,
    "rmse": _rmse,
    "r2": _r2,
}
#: Metrics that are the mean of a number per row.
_PER_ROW: dict[str, Callable[[Any, Any], Any]] = {
    "accuracy": _right,
    "log_loss": _surprise,
    "brier": _squares,
    "mae": _distances,
}
