"""What is wrong with a file, as a value that explains itself: found, expected, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Longest piece of a hostile file that is shown.
_MOST_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file of a model is not accepted."""

    file: str
    actual: str
    expected: str
    next_step: str

    def sentence(self) -> str:
        """Return it as one sentence."""
        return f"{self.file}: found {self.actual}, expected {self.expected}"

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "file": self.file,
            "found": self.actual,
            "expected": self.expected,
            "nextStep": self.next_step,
        }


class NotPlain(Exception):
    """The bytes are not what they should be. Caught where a file gets its format."""

    def __init__(self, actual: str, expected: str, next_step: str = "") -> None:
        super().__init__(actual)
        self.actual, self.expected = show(actual), expected
        self.next_step = next_step or "Save the model again in this format with the library's own "
        if not next_step:
            self.next_step += "save function, and add nothing to the file."


def show(text: object) -> str:
    """Return something of a hostile file as bounded, printable text."""
    plain = "".join(
        c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(text)[:_MOST_CHARACTERS]
    )
    return plain + ("..." if len(str(text)) > _MOST_CHARACTERS else "")
