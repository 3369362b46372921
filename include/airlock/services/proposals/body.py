"""The body of a proposal, read field by field: every type is checked where it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from airlock.domain.errors import Invalid

_WORD = re.compile(r"[a-z][a-z0-9-]{0,59}")


class Body:
    """JSON data of a stranger."""

    def __init__(self, kind: str, fields: Mapping[str, Any]) -> None:
        """*kind*: of the proposal, for the words of a refusal."""
        self._kind, self._fields = kind, fields

    def text(self, name: str, most: int = 600, *, empty: bool = False) -> str:
        """Return a text of at most *most* characters."""
        value = self._fields.get(name)
        if not isinstance(value, str) or len(value) > most or not (value or empty):
            raise self._wrong(name, f"a text of 1 to {most} characters")
        if "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise self._wrong(name, "a text without NUL or half characters")
        return value

    def optional(self, name: str, most: int = 600) -> str:
        """Return a text that may be missing; it is empty then."""
        return "" if self._fields.get(name) is None else self.text(name, most, empty=True)

    def word(self, name: str) -> str:
        """Return a word such as `data-profile`."""
        value = self.text(name, 60)
        if not _WORD.fullmatch(value):
            raise self._wrong(name, "a word of small letters, digits and hyphens")
        return value

    def number(self, name: str, most: int) -> int:
        """Return a whole number from 1 on."""
        value = self._fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise self._wrong(name, f"a number from 1 to {most}")
        return value

    def mapping(self, name: str) -> Mapping[str, Any]:
        """Return an object."""
        value = self._fields.get(name)
        if not isinstance(value, dict):
            raise self._wrong(name, "an object")
        return value

    def bodies(self, name: str, most: int = 50) -> Sequence[Body]:
        """Return a list of objects, which may be missing."""
        values = self._fields.get(name, [])
        if not isinstance(values, list) or len(values) > most:
            raise self._wrong(name, f"a list of at most {most} objects")
        if not all(isinstance(value, dict) for value in values):
            raise self._wrong(name, "a list of objects")
        return [Body(f"{self._kind}.{name}", value) for value in values]

    def texts(self, name: str, most: int = 1000) -> tuple[str, ...]:
        """Return a list of texts, which may be missing."""
        values = self._fields.get(name, [])
        if not isinstance(values, list) or len(values) > most:
            raise self._wrong(name, f"a list of at most {most} texts")
        return tuple(Body(self._kind, {name: value}).text(name) for value in values)

    def _wrong(self, name: str, expected: str) -> Invalid:
        excerpt = repr(self._fields.get(name))[:80]
        return Invalid(
            f"a proposal {self._kind}: {name} is {excerpt.encode('ascii', 'replace').decode()}, "
            f"expected {expected}"
        )
