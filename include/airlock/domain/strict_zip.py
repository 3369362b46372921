"""Going through lists that belong together, row by row, on Python 3.9 as on any other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


def together(*columns: Sequence[Any]) -> Iterator[Any]:
    """Yield the first of each, the second of each, and so on.

    Raises:
        ValueError: if they are not equally long.
    """
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise ValueError(f"lists that belong together have {lengths} entries")
    return zip(*columns)
