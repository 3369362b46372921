"""What a gate checks of its inputs before it believes them.

A verdict of PASSED from evidence that contradicts itself, or whose names are gone, would be a
verdict about nothing. Every check raises ValueError, which makes the gate ERRORED.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text(value: Any, label: str) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{label} is {value!r}")
    return value


def names(items: Any, key: str, label: str) -> list[str]:
    """Return the name of each item; all are texts, and none comes twice."""
    every = [text(item[key], label) for item in items]
    if len(set(every)) != len(every):
        raise ValueError(f"{label} comes twice in {', '.join(every)}")
    return every


def count(value: Any, label: str) -> int:
    """Return a whole number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{label} is {value!r}")
    return value


def flag(value: Any, label: str) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{label} is {value!r}")
    return value


def first_release(facts: Mapping[str, Any], *compared: Any) -> bool:
    """Say whether nothing serves yet; evidence that compares with something says otherwise."""
    if facts["champion"] is not None:
        text(facts["champion"], "the champion's version")
        return False
    if any(compared):
        raise ValueError("there is no champion, and yet something was compared with one")
    return True


def everything_followed(facts: Mapping[str, Any]) -> None:
    """Insist that all code was found; evidence of before 2026-12-01 says nothing about it."""
    if unclear := facts.get("unclear"):
        raise ValueError(f"the code is not all known: {text(unclear[0], 'what is unclear')}")
