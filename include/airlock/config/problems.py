"""What is wrong in a configuration: where, what was expected, what was found, what was meant.

Every reader of configuration reports through `Problem`, so that the command line, Airflow's
import-error box and an editor all show the same sentence. Values that may be secret never get
here: the settings describe them instead of showing them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from airlock.domain.errors import Invalid

#: A place in a document: keys and list positions from the top.
Place = tuple[str | int, ...]

_LONGEST_SHOWN = 60
_MOST_SHOWN = 50


@dataclass(frozen=True)
class Problem:
    """One thing wrong at one place. `line` 0 means the file as a whole."""

    file: str
    line: int
    path: str
    expected: str
    actual: str
    nearest: str = ""

    def __str__(self) -> str:
        where = ", ".join(part for part in (self._line(), self.path) if part)
        hint = f' Did you mean "{self.nearest}"?' if self.nearest else ""
        sentence = f"expected {self.expected}; found {self.actual}.{hint}"
        return f"{where}: {sentence}" if where else sentence

    def _line(self) -> str:
        return f"line {self.line}" if self.line else ""

    def as_dict(self) -> dict[str, Any]:
        """Return the problem as plain data for `--json`."""
        return {
            "file": self.file,
            "line": self.line,
            "path": self.path,
            "expected": self.expected,
            "found": self.actual,
            "nearest": self.nearest,
        }


class ConfigurationError(Invalid):
    """One or more files are refused. Says everything that is wrong with them at once."""

    def __init__(self, problems: Iterable[Problem], *, next_step: str = "") -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line)))
        advice = "Mend the file, then run `airlock policy check`."
        super().__init__(_text(self.problems), next_step=next_step or advice)

    @property
    def files(self) -> tuple[str, ...]:
        """The refused files, each once."""
        return tuple(dict.fromkeys(problem.file for problem in self.problems))


def _text(problems: Sequence[Problem]) -> str:
    blocks = []
    for file, group in groupby(problems, key=lambda problem: problem.file):
        members = list(group)
        count = "1 problem" if len(members) == 1 else f"{len(members)} problems"
        lines = [f"  {problem}" for problem in members[:_MOST_SHOWN]]
        if len(members) > _MOST_SHOWN:
            lines.append(f"  and {len(members) - _MOST_SHOWN} more")
        blocks.append("\n".join([f"{file} is refused, {count}:", *lines]))
    return "\n".join(blocks)


def nearest(word: object, choices: Iterable[str]) -> str:
    """Return the choice spelled most like *word*, or an empty string if none is near."""
    spellings = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(str(word).casefold(), spellings, n=1, cutoff=0.6)
    return spellings[near[0]] if near else ""


def show(value: object) -> str:
    """Return a short, one-line spelling of a value, as its writer would recognise it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return f"a mapping with the keys {listed(value)}" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, str):
        text = value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}..."
        return f'the text "{text.encode("unicode_escape").decode()}"'
    return f"the number {value}"[:_LONGEST_SHOWN]


def listed(words: Iterable[object]) -> str:
    """Return words as an English list: `a, b, c`; long lists are cut."""
    every = [str(word) for word in words]
    cut = every if len(every) <= 20 else [*every[:20], f"and {len(every) - 20} more"]
    return ", ".join(cut) if cut else "none"


def dotted(place: Place) -> str:
    """Return a place as people write it: `spec.gates[1].margin`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")
