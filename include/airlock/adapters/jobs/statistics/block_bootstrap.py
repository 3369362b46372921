"""The block bootstrap of a ratio of two percentiles that were measured in turns.

Times of neighbouring calls resemble each other: a busy second slows a hundred of them. Drawing
single calls would take that for a hundred independent facts. So whole blocks of neighbouring pairs
are drawn (Künsch 1989; circular, Politis and Romano 1992), the same ones for both models, because
they were timed in turns and a busy second slows both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

METHOD = "circular block bootstrap of pairs, percentile bounds"
BLOCK = 50
RESAMPLES = 1000
CONFIDENCE = 0.95


def ratios(ours: Array, reference: Array, share: float, seed: int) -> Array:
    """Return the ratio of the *share* quantiles, ours to the reference's, in each resample."""
    import numpy

    n, draw = len(ours), numpy.random.default_rng(seed)
    steps, quotients = numpy.arange(BLOCK), numpy.empty(RESAMPLES)
    for number in range(RESAMPLES):
        starts = draw.integers(0, n, -(-n // BLOCK))
        chosen = ((starts[:, None] + steps) % n).ravel()[:n]
        pair = numpy.quantile(ours[chosen], share), numpy.quantile(reference[chosen], share)
        quotients[number] = pair[0] / pair[1]
    return quotients


def compare(ours: Array, reference: Array, seed: int) -> dict[str, Any]:
    """Return the ratio of the 95th percentiles with its two one-sided bounds."""
    import numpy

    low, high = numpy.quantile(ratios(ours, reference, 0.95, seed), [1 - CONFIDENCE, CONFIDENCE])
    return {
        "percentile": 95,
        "ratio": float(numpy.quantile(ours, 0.95) / numpy.quantile(reference, 0.95)),
        "low": float(low),
        "high": float(high),
        "confidence": CONFIDENCE,
        "n": len(ours),
        "block": BLOCK,
        "resamples": RESAMPLES,
        "seed": seed,
        "method": METHOD,
    }
