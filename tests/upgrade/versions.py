"""Reading pins, and what a newer resolution makes of them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s\\;]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Move:
    """A package the new environment has in another version, or that is held back in it."""

    name: str
    pinned: str
    tried: str
    newest: str

    def __str__(self) -> str:
        held = f" (held back: {self.newest} exists)" if self.newest != self.tried else ""
        return f"{self.name} {self.pinned} -> {self.tried}{held}"


def lifted(project: str) -> list[str]:
    """Return every requirement of a pyproject.toml, an exact pin as "at least"."""
    told = tomllib.loads(project)
    groups = [
        told["project"]["dependencies"],
        *told["project"].get("optional-dependencies", {}).values(),
        *told.get("dependency-groups", {}).values(),
    ]
    return list(dict.fromkeys(_lift(one) for group in groups for one in group))


def _lift(requirement: str) -> str:
    name, *rest = re.split(r"(?===)", requirement, maxsplit=1)
    return name + rest[0].replace("==", ">=", 1) if rest else requirement


def named(requirements: Iterable[str]) -> list[str]:
    """Return the names of what is required, each once."""
    return list(dict.fromkeys(canonicalize_name(Requirement(one).name) for one in requirements))


def versions(lock: str) -> dict[str, str]:
    """Return the version of each package a requirements file pins."""
    return {canonicalize_name(name): version for name, version in _PIN.findall(lock)}


def moves(
    names: Iterable[str],
    pinned: Mapping[str, str],
    tried: Mapping[str, str],
    newest: Mapping[str, str],
) -> list[Move]:
    """Return which of these packages are tried in another version, or are held back."""
    return list(_moves(names, pinned, tried, newest))


def _moves(
    names: Iterable[str],
    pinned: Mapping[str, str],
    tried: Mapping[str, str],
    newest: Mapping[str, str],
) -> Iterator[Move]:
    for name in names:
        now, new = pinned.get(name, "nothing"), tried.get(name, "nothing")
        last = newest.get(name, new)
        held = new != "nothing" and Version(last) > Version(new)
        if now != new or held:
            yield Move(name, now, new, last if held else new)
