"""Read a lock: the pinned requirements pip installs from, one exact version of each package.

A line that does not pin is refused, because a lock that leaves a choice is none. Requirements for
another kind of machine or Python (their marker is false here) are counted and not audited.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from airlock.domain.errors import Refused


@dataclass(frozen=True, slots=True)
class Lock:
    """What is pinned, by normalised name, and how many lines are for other machines."""

    pins: dict[str, str]
    elsewhere: int


def read(path: Path) -> Lock:
    """Return the pins of a requirements file.

    Raises:
        Refused: if it is not there, or a line of it pins nothing.
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    if not path.is_file():
        raise Refused(f"there is no lock {path.name}", next_step="`make lock` writes it.")
    pins: dict[str, str] = {}
    elsewhere = 0
    for line in _logical_lines(path.read_text("utf-8")):
        try:
            requirement = Requirement(line.partition(" --hash")[0].strip())
        except InvalidRequirement as error:
            raise _unpinned(path, line) from error
        exact = [
            specifier.version
            for specifier in requirement.specifier
            if specifier.operator in ("==", "===")
        ]
        if requirement.url or len(exact) != 1 or len(requirement.specifier) != 1 or "*" in exact[0]:
            raise _unpinned(path, line)
        if requirement.marker is not None and not requirement.marker.evaluate():
            elsewhere += 1
            continue
        name = canonicalize_name(requirement.name)
        if pins.setdefault(name, exact[0]) != exact[0]:
            raise Refused(f"{path.name} pins {name} twice: {pins[name]} and {exact[0]}")
    return Lock(pins, elsewhere)


def _logical_lines(text: str) -> list[str]:
    """Return the requirements: continued lines joined, comments and the index options left out."""
    joined = text.replace("\\\r\n", " ").replace("\\\n", " ").splitlines()
    plain = (line.partition(" #")[0].strip() for line in joined)
    options = ("#", "--index-url", "--extra-index-url", "--no-binary", "--only-binary")
    return [line for line in plain if line and not line.startswith(options)]


def _unpinned(path: Path, line: str) -> Refused:
    return Refused(
        f"{path.name} is no lock: expected NAME==VERSION, found {line[:80]!r}",
        next_step="Write the lock with uv pip compile or pip-compile.",
    )
