"""Spoil a document: at a random place drop, repeat or replace something."""

from __future__ import annotations

import copy
from typing import Any


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    paths = [place] if place else []
    if isinstance(value, dict):
        return paths + [path for key in value for path in places(value[key], (*place, key))]
    if isinstance(value, list):
        return paths + [path for i, item in enumerate(value) for path in places(item, (*place, i))]
    return paths


JUNK: list[Any] = [0, -1, 2, 51, 1.5, True, False, "", "none", "admin", "viewer", [], {}, [[]]]
JUNK += [
    "release:vote",
    "champion",
    ["ana"],
    [{"role": "viewer"}],
    {"levels": []},
    "risk_committee",
]


def mutate(document: Any, place: tuple[Any, ...], deed: str, junk: Any) -> None:
    for part in place[:-1]:
        document = document[part]
    if deed == "drop":
        del document[place[-1]]
    elif deed == "repeat" and isinstance(document, list):
        document.append(copy.deepcopy(document[place[-1]]))
    else:
        document[place[-1]] = copy.deepcopy(junk)
