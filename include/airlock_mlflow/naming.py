"""Which aliases are protected, and which names only look like one.

Rules:
* An alias is compared after NFKC, case folding and dropping what cannot be seen.
* Only the exact spelling of a protected alias is that alias; whatever folds to one, or reads like
  one in ASCII (`champ1on`, `cham-pion`), is refused as a look-alike.
* No alias may hold anything but ASCII letters, digits, `-` and `_`: MLflow lets every letter of
  Unicode and a trailing line break through.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from airlock.domain.promotion.grant import PROTECTED

_PLAIN = re.compile(r"\A[A-Za-z0-9_-]+\Z")
#: Characters people take for one another in ASCII.
_CONFUSED = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "-": None, "_": None})
#: Tags of versions that only Airlock's own accounts write, and only when a version is created.
RESERVED_TAG = "airlock."


@dataclass(frozen=True, slots=True)
class Aliases:
    """The protected aliases of one server."""

    protected: frozenset[str] = PROTECTED

    def is_protected(self, alias: str) -> bool:
        """Say whether *alias* is a protected one, spelled exactly."""
        return alias in self.protected

    def looks_like(self, alias: str) -> str | None:
        """Return the protected alias that *alias* could be taken for, if it is another one."""
        if alias in self.protected:
            return None
        skeleton = _skeleton(alias)
        return next((name for name in sorted(self.protected) if _skeleton(name) == skeleton), None)

    def problem(self, alias: str) -> str:
        """Return why nobody may set this alias at all, or an empty string."""
        like = self.looks_like(alias)
        if like:
            return f"the alias {alias!r} looks like the protected {like!r}"
        if not _PLAIN.fullmatch(alias):
            return f"the alias {alias!r} has other characters than ASCII letters, digits, - and _"
        return ""


def is_reserved_tag(key: str) -> bool:
    """Say whether a tag's key is, or could be taken for, one of Airlock's own."""
    return _fold(key).startswith(RESERVED_TAG)


def _fold(text: str) -> str:
    visible = (
        c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c)[0] not in "CZ"
    )
    return "".join(visible).casefold()


def _skeleton(text: str) -> str:
    return _fold(text).translate(_CONFUSED)
