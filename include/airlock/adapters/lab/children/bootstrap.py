"""The paired percentile bootstrap of a difference between two models on the same rows.

Each resample draws rows with replacement, as counts per row, and measures both models on them:
what the two share cancels, which is the whole point of pairing. All metrics see the same
resamples. The interval runs from the (1-c) to the c quantile: each bound alone is a one-sided
bound of confidence c, which is what a non-inferiority test needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]
    Weighted = Callable[[Array], float]

METHOD = "paired percentile bootstrap"


def differences(pairs: list[tuple[Weighted, Weighted]], n: int, resamples: int, seed: int) -> Array:
    """Return candidate minus champion: one row per resample, one column per pair."""
    import numpy

    draw = numpy.random.default_rng(seed)
    found = numpy.empty((resamples, len(pairs)))
    for row in range(resamples):
        weights = numpy.bincount(draw.integers(0, n, n), minlength=n).astype(float)
        found[row] = [candidate(weights) - champion(weights) for candidate, champion in pairs]
    return found


def bounds(samples: Array, confidence: float) -> tuple[float, float]:
    """Return the two one-sided bounds of *samples*."""
    import numpy

    low, high = numpy.quantile(samples, [1 - confidence, confidence])
    return float(low), float(high)
