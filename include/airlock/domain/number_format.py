"""How numbers look to people, wherever they are shown: on the page, in a terminal, in a chat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: How a number that is not there looks.
NONE = "\N{EN DASH}"


def number(value: float | None) -> str:
    """Return a number as people read it: four significant digits, thousands apart."""
    if value is None:
        return NONE
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def change(metric: Mapping[str, Any]) -> tuple[str, str]:
    """Return (tone, words) for a candidate's metric against the champion's."""
    candidate, champion = metric["candidate"], metric["champion"]
    if candidate is None or champion is None:
        return "calm", NONE
    difference = candidate - champion
    if metric["direction"] is None:
        return "calm", f"{difference:+.4g}"
    if difference == 0:
        return "calm", "the same"
    better = (difference > 0) == (metric["direction"] == "higher")
    return (
        ("good", f"{difference:+.4g}, better") if better else ("bad", f"{difference:+.4g}, worse")
    )
