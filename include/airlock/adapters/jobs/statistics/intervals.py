"""Bounds of metrics and of their differences, over all held-out rows and per slice.

Rules:
* Everything comes from the table of predictions (predictions.parquet): truth, what each model says,
  and the slice of each row. So an auditor who has that file computes every number again.
* roc_auc by DeLong, accuracy by score intervals (Wilson; Tango for the paired difference), a mean
  over rows by Wald, every other metric by percentile bootstrap. The method is part of the facts.
* A slice too small for a standard error gets its count and nothing else. Whether a slice counts is
  for the gates to say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airlock.adapters.jobs.errors import EvaluationFailed, MetricNotFinite
from airlock.adapters.jobs.statistics import bootstrap, metrics
from airlock.adapters.jobs.statistics.delong import delong
from airlock.adapters.jobs.statistics.slices import SLICE
from airlock.domain.hypothesis_tests import FEWEST_ROWS, tango, wilson, z_of
from airlock.domain.metrics import direction

if TYPE_CHECKING:
    import numpy
    import pandas

    Array = numpy.ndarray[Any, Any]

#: How a metric is bounded: alone, and as a difference of two models.
METHODS = {
    "roc_auc": ("DeLong", "paired DeLong"),
    "accuracy": ("Wilson score interval", "Tango score interval"),
    **dict.fromkeys(("log_loss", "brier", "mae"), ("Wald", "paired Wald")),
}
_BOOTSTRAP = (bootstrap.METHOD, f"paired {bootstrap.METHOD}")


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """What is measured how, the same for every metric; *name* is for messages."""

    task: str
    resamples: int
    seed: int
    name: str


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the rows: the whole, or a slice. `predicted` has one array per model."""

    label: str
    rows: Array
    truth: Array
    predicted: tuple[Array, ...]

    @property
    def n(self) -> int:
        """How many rows."""
        return len(self.truth)


def alone(table: pandas.DataFrame, specs: list[dict[str, Any]], how: How) -> list[dict[str, Any]]:
    """Return the bounds of the candidate's own metrics."""
    return [_line(list(_parts(table, ("candidate",))), item, how) for item in specs]


def compared(
    table: pandas.DataFrame, specs: list[dict[str, Any]], how: How
) -> list[dict[str, Any]]:
    """Return the bounds of candidate minus champion; none without a champion."""
    if "champion" not in table.columns:
        return []
    parts = list(_parts(table, ("candidate", "champion")))
    return [_line(parts, item, how) for item in specs]


def check(specs: list[dict[str, Any]], how: How) -> None:
    """Refuse a metric the task does not have."""
    available = metrics.names(how.task)
    for item in specs:
        if item["metric"] not in available:
            raise EvaluationFailed(
                f"comparison of {how.name}: {item['metric']!r} is no metric of {how.task}; "
                f"known: {', '.join(available)}"
            )


def _parts(table: pandas.DataFrame, sides: tuple[str, ...]) -> Iterator[Part]:
    """Yield all rows, then each slice in the order of columns and labels."""
    import numpy

    truth = table["truth"].to_numpy()
    predicted = [table[side].to_numpy() for side in sides]
    yield Part("", numpy.arange(len(truth)), truth, tuple(predicted))
    for column in (name for name in table.columns if name.startswith(SLICE)):
        for label, indices in sorted(table.groupby(column, sort=False).indices.items()):
            rows = numpy.asarray(indices)
            yield Part(str(label), rows, truth[rows], tuple(values[rows] for values in predicted))


def _line(parts: list[Part], item: dict[str, Any], how: How) -> dict[str, Any]:
    """Return one metric over all rows, with its slices."""
    metric, confidence = item["metric"], item["confidence"]
    drawn = {} if metric in METHODS else _drawn(metric, parts, how)
    whole, *rest = (
        {"n": part.n, **_class(part, how), **_estimate(part, metric, confidence, drawn)}
        for part in parts
    )
    if any(value is None for value in whole.values()):
        raise MetricNotFinite(
            f"{metric} of {how.name} has no finite bounds on {parts[0].n} held-out rows"
        )
    pair = len(parts[0].predicted) == 2
    return {
        "metric": metric,
        "direction": direction(metric),
        **whole,
        "confidence": confidence,
        "method": METHODS.get(metric, _BOOTSTRAP)[pair],
        "resamples": how.resamples if drawn else 0,
        "seed": how.seed,
        "slices": [
            {"slice": part.label, **estimate}
            for part, estimate in zip(parts[1:], rest, strict=True)
        ],
    }


def _drawn(metric: str, parts: list[Part], how: How) -> dict[str, Any]:
    """Return the resampled values of each part that is large enough, by label."""
    large = [part for part in parts if not part.label or part.n >= FEWEST_ROWS]
    measures = [bootstrap.part(_measure(metric, part), part.rows) for part in large]
    samples = bootstrap.samples(measures, parts[0].n, how.resamples, how.seed)
    return {part.label: samples[:, column] for column, part in enumerate(large)}


def _measure(metric: str, part: Part) -> bootstrap.Weighted:
    return _both([metrics.prepare(metric, part.truth, predicted) for predicted in part.predicted])


def _both(measures: list[bootstrap.Weighted]) -> bootstrap.Weighted:
    return measures[0] if len(measures) == 1 else bootstrap.difference(*measures)


def _class(part: Part, how: How) -> dict[str, Any]:
    return {"positives": int((part.truth == 1).sum())} if how.task == "classification" else {}


def _estimate(part: Part, metric: str, confidence: float, drawn: dict[str, Any]) -> dict[str, Any]:
    """Return the value or the two values of a part, and the bounds; None where there are none."""
    keys = ["value"] if len(part.predicted) == 1 else ["candidate", "champion", "difference"]
    keys += ["se", "low", "high"]
    if part.label and part.n < FEWEST_ROWS:
        return dict.fromkeys(keys)
    values = _values(part, metric)
    estimate = values | _bounded(metric, part, drawn.get(part.label))(values[keys[-4]], confidence)
    return {key: _finite(value) for key, value in estimate.items()}


def _bounded(metric: str, part: Part, samples: Any) -> Callable[[float, float], dict[str, Any]]:
    """Return the function that bounds a value of this metric with a confidence."""
    if metric not in METHODS:
        return partial(_resampled, samples)
    exact = {"roc_auc": _delong, "accuracy": _counted}
    return partial(exact[metric], part) if metric in exact else partial(_averaged, part, metric)


def _values(part: Part, metric: str) -> dict[str, float]:
    """Return each model's value on a part, and the difference of two."""
    import numpy

    weights = numpy.ones(part.n)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        values = [
            float(metrics.prepare(metric, part.truth, predicted)(weights))
            for predicted in part.predicted
        ]
    if len(values) == 1:
        return {"value": values[0]}
    return {"candidate": values[0], "champion": values[1], "difference": values[0] - values[1]}


def _delong(part: Part, value: float, confidence: float) -> dict[str, Any]:
    try:
        _, covariance = delong(part.truth, list(part.predicted))
    except ValueError:  # a slice of one class has no ranking
        return {"se": None, "low": None, "high": None}
    weights = [1.0, -1.0][: len(part.predicted)]
    error = math.sqrt(max(0.0, float(weights @ covariance @ weights)))
    return _normal(value, error, confidence)


def _averaged(part: Part, metric: str, value: float, confidence: float) -> dict[str, Any]:
    """Bound a mean over rows, or the mean of the difference of two models in each row."""
    first, *other = (metrics.per_row(metric, part.truth, predicted) for predicted in part.predicted)
    rows = first - other[0] if other else first
    error = float(rows.std(ddof=1)) / math.sqrt(part.n) if part.n > 1 else math.nan
    return _normal(value, error, confidence)


def _normal(value: float, error: float, confidence: float) -> dict[str, Any]:
    half = z_of(confidence) * error
    return {"se": error, "low": value - half, "high": value + half}


def _counted(part: Part, value: float, confidence: float) -> dict[str, Any]:
    """Bound a share of right answers, or the difference of two by the rows they differ in."""
    n, right = part.n, [(predicted > 0.5) == (part.truth == 1) for predicted in part.predicted]
    if len(right) == 1:
        low, high = wilson(float(right[0].sum()), n, confidence)
        return {"se": math.sqrt(value * (1 - value) / n), "low": low, "high": high}
    better, worse = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    low, high = tango(better, worse, n, confidence)
    error = math.sqrt(max(0.0, better + worse - (better - worse) ** 2 / n)) / n
    return {"better": better, "worse": worse, "se": error, "low": low, "high": high}


def _resampled(samples: Any, value: float, confidence: float) -> dict[str, Any]:
    if samples is None or not all(map(math.isfinite, samples)):
        return {"se": None, "low": None, "high": None}
    low, high = bootstrap.bounds(samples, confidence)
    return {"se": float(samples.std(ddof=1)), "low": low, "high": high}


def _finite(value: Any) -> Any:
    return value if isinstance(value, int) or (value is not None and math.isfinite(value)) else None
