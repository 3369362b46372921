"""The arithmetic behind the statistical gates: bounds, tests of many slices, rows needed.

Rules:
* One-sided throughout: *confidence* is that of one bound alone.
* Everything is recomputed from counts, differences and standard errors that the evidence keeps.
* Counts are judged by exact or score methods, because a Wald interval of a rare event is too short:
  with no discordant row among 100 it has no width at all.

Methods: Wilson (1927); Tango, Statistics in Medicine 17 (1998) 891; Hanley and McNeil, Radiology
143 (1982) 29; Holm (1979); Benjamini and Hochberg (1995).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

#: How many candidates of one line the error budget of a comparison is shared by, unless told.
ATTEMPTS = 5
#: The confidence where none is asked for.
CONFIDENCE = 0.95
#: The chance that a candidate equal to the champion passes, when rows are planned.
POWER = 0.8
#: Share of false warnings among the slices warned about.
WARN_RATE = 0.10
#: A slice smaller than this has no standard error worth the name.
FEWEST_ROWS = 30
#: A ranking needs so many rows of each class before its normal approximation means anything.
FEWEST_OF_A_CLASS = 20

_NORMAL = NormalDist()
_HALVINGS = 60


def z_of(confidence: float) -> float:
    """Return the normal quantile of a one-sided confidence."""
    return _NORMAL.inv_cdf(confidence)


def shared(confidence: float, attempts: int) -> float:
    """Return the confidence each attempt must have so that all of them together keep the error."""
    return 1 - (1 - confidence) / attempts


def wilson(hits: float, n: int, confidence: float) -> tuple[float, float]:
    """Return the score bounds of a share."""
    z = z_of(confidence)
    share, spread = hits / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(max(0.0, share * (1 - share) * spread + spread * spread / 4)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def tango(better: int, worse: int, n: int, confidence: float) -> tuple[float, float]:
    """Return the score bounds of a difference of two shares on the same *n* rows.

    *better* and *worse* count the rows only the one and only the other gets right.
    """
    z, difference = z_of(confidence), (better - worse) / n

    def beyond(at: float, sign: int) -> bool:
        gap = sign * (better - worse - n * at)
        return gap > z * math.sqrt(_variance(better, worse, n, at))

    low = _edge(lambda at: beyond(at, 1), -1.0, difference)
    high = -_edge(lambda at: beyond(-at, -1), -1.0, -difference)
    return low, high


def _variance(better: int, worse: int, n: int, at: float) -> float:
    """Return the variance of better minus worse if the true difference is *at* (Tango's q)."""
    slope = (2 * n - better + worse) * at - better - worse
    free = -worse * at * (1 - at)
    root = math.sqrt(max(0.0, slope * slope - 8 * n * free))
    share = (root - slope) / (4 * n)
    return max(0.0, n * (2 * share + at * (1 - at)))


def _edge(outside: Callable[[float], bool], low: float, high: float) -> float:
    """Return where *outside* stops being true between *low* and *high*."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if outside(middle) else (low, middle)
    return low


def sign_test(worse: int, better: int) -> float:
    """Return how likely so many worse rows are, if worse and better are as likely; exact."""
    total = worse + better
    return float(sum(math.comb(total, k) for k in range(worse, total + 1)) / 2**total)


def normal_test(improvement: float, error: float) -> float:
    """Return how likely so low an improvement is if there is no change."""
    if error > 0:
        return _NORMAL.cdf(improvement / error)
    return 1.0 if improvement >= 0 else 0.0


def holm(chances: Sequence[float], alpha: float) -> frozenset[int]:
    """Return the indices of the rejected tests; the chance of any false one is at most *alpha*."""
    rejected: set[int] = set()
    for rank, index in enumerate(_rising(chances)):
        if chances[index] > alpha / (len(chances) - rank):
            break
        rejected.add(index)
    return frozenset(rejected)


def benjamini_hochberg(chances: Sequence[float], rate: float) -> frozenset[int]:
    """Return the indices of the rejected tests; at most the share *rate* of them is false."""
    order = _rising(chances)
    last = max(
        (r for r, i in enumerate(order, 1) if chances[i] <= rate * r / len(chances)), default=0
    )
    return frozenset(order[:last])


def _rising(chances: Sequence[float]) -> list[int]:
    return sorted(range(len(chances)), key=chances.__getitem__)


def rows_needed(deviation: float, margin: float, confidence: float, power: float = POWER) -> int:
    """Return the rows on which an equal candidate clears *margin* with the chance *power*.

    *deviation* is that of the paired difference per row: its standard error times sqrt(n).
    """
    return max(1, math.ceil(((z_of(confidence) + z_of(power)) * deviation / margin) ** 2))


def rows_planned(deviation: float, margin: float, confidence: float) -> int:
    """Return the rows to plan for: those needed, rounded up to two digits."""
    needed = rows_needed(deviation, margin, confidence)
    step: int = 10 ** max(0, len(str(needed)) - 2)
    return math.ceil(needed / step) * step


def auc_deviation(auc: float, positive: float, correlation: float) -> float:
    """Return the deviation per row of the difference of two AUCs on the same rows.

    By Hanley and McNeil, for a share *positive* of positive rows, without their terms in 1/n.
    """
    above, below = auc / (2 - auc) - auc**2, 2 * auc**2 / (1 + auc) - auc**2
    variance = (positive * above + (1 - positive) * below) / (positive * (1 - positive))
    return math.sqrt(2 * (1 - correlation) * variance)
