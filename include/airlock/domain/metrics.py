"""Which way is better, for every metric a policy may name."""

from __future__ import annotations

from typing import Literal

Direction = Literal["higher", "lower"]

#: Metric name -> the direction in which it improves.
DIRECTIONS: dict[str, Direction] = {
    "roc_auc": "higher",
    "average_precision": "higher",
    "accuracy": "higher",
    "f1": "higher",
    "r2": "higher",
    "log_loss": "lower",
    "brier": "lower",
    "rmse": "lower",
    "mae": "lower",
}


def direction(metric: str) -> Direction:
    """Return the direction in which *metric* improves.

    Raises:
        ValueError: if Airlock does not know the metric.
    """
    try:
        return DIRECTIONS[metric]
    except KeyError:
        names = ", ".join(sorted(DIRECTIONS))
        raise ValueError(f"unknown metric {metric!r}; known: {names}") from None
