"""The variance of AUCs measured on the same rows: DeLong's, by midranks in O(n log n).

DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988) 837; the fast algorithm is that of Sun and
Xu, IEEE Signal Processing Letters 21 (2014) 1389. A second implementation agrees
(tests/integration/test_lab_intervals.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]


def delong(truth: Array, scores: list[Array]) -> tuple[Array, Array]:
    """Return the AUC of each of *scores* and the covariance of them all.

    Raises:
        ValueError: if a class has fewer than two rows.
    """
    import numpy

    positive = truth == 1
    hits, misses = int(positive.sum()), int((~positive).sum())
    if min(hits, misses) < 2:
        raise ValueError(f"{hits} positive and {misses} negative rows have no variance")
    above = numpy.empty((len(scores), hits))
    below = numpy.empty((len(scores), misses))
    for row, score in enumerate(scores):
        rank = midranks(score)
        # The share of the other class that each row is ranked above; a tie counts one half.
        above[row] = (rank[positive] - midranks(score[positive])) / misses
        below[row] = 1 - (rank[~positive] - midranks(score[~positive])) / hits
    covariance = numpy.cov(above) / hits + numpy.cov(below) / misses
    return above.mean(axis=1), numpy.atleast_2d(covariance)


def midranks(values: Array) -> Array:
    """Return the rank of each value from 1; equal values share the middle one."""
    import numpy

    order = numpy.argsort(values, kind="stable")
    ranked = values[order]
    starts = numpy.flatnonzero(numpy.r_[True, ranked[1:] != ranked[:-1]])
    ends = numpy.r_[starts[1:], len(ranked)]
    ranks = numpy.empty(len(ranked))
    ranks[order] = numpy.repeat((starts + 1 + ends) / 2, ends - starts)
    return ranks
