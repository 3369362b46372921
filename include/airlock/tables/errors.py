"""What can be wrong with a table, and how it is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airlock.domain.errors import Refused

_NAMED = 5


class DataUnusable(Refused):
    """The source has no rows, lacks a column, or cannot be read one way by everybody."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and the way out."""

    text: str
    way_out: str


def refusal(name: str, problems: Sequence[Problem]) -> DataUnusable:
    """Return one error that names all of *problems* (the first five), with their ways out."""
    texts = [problem.text for problem in problems[:_NAMED]]
    if len(problems) > _NAMED:
        texts.append(f"{len(problems) - _NAMED} more")
    steps = dict.fromkeys(problem.way_out for problem in problems[:_NAMED])
    return DataUnusable(f"data {name}: {'; '.join(texts)}", next_step="; ".join(steps))
