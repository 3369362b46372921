"""A page of rows as every door shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Rows:
    """A page of a list as JSON data; *next* leads to the page after it, empty at the end."""

    rows: list[dict[str, Any]]
    next: str = ""
