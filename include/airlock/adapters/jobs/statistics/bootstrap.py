"""The percentile bootstrap on rows, for one model's metric or the difference of two.

Each resample draws rows with replacement, as counts per row, and measures on them: what two models
share cancels, which is the whole point of pairing. All metrics see the same resamples. The interval
runs from the (1-c) to the c quantile: each bound alone is a one-sided bound of confidence c, which
is what a non-inferiority test needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]
    Weighted = Callable[[Array], float]

METHOD = "percentile bootstrap"


def samples(measures: Sequence[Weighted], n: int, resamples: int, seed: int) -> Array:
    """Return the measured values: one row per resample, one column per measure."""
    import numpy

    draw = numpy.random.default_rng(seed)
    values = numpy.empty((resamples, len(measures)))
    with numpy.errstate(divide="ignore", invalid="ignore"):
        for row in range(resamples):
            weights = numpy.bincount(draw.integers(0, n, n), minlength=n).astype(float)
            values[row] = [measure(weights) for measure in measures]
    return values


def difference(candidate: Weighted, champion: Weighted) -> Weighted:
    """Return one measure minus another on the same weights."""
    return lambda weights: candidate(weights) - champion(weights)


def part(measure: Weighted, rows: Array) -> Weighted:
    """Return a measure of some rows as one of the weights of all rows."""
    return lambda weights: measure(weights[rows])


def bounds(samples: Array, confidence: float) -> tuple[float, float]:
    """Return the two one-sided bounds of *samples*."""
    import numpy

    low, high = numpy.quantile(samples, [1 - confidence, confidence])
    return float(low), float(high)
