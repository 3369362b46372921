"""Names as people see them: two user names that look the same are one name.

Rules:
* Compared are skeletons: NFKC, case folded, without white space and without what cannot be seen,
  each letter of another alphabet as the ASCII letter it looks like, `0` as `o`, `1` and `i` as
  `l`, `rn` as `m`, every dash as `-`.
* A name with white space or with a character that cannot be seen is nobody's name.
* A name like that of somebody known is refused; whoever was known first keeps it.

Standard library only; the table is in `airlock.domain.people.confusables`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from functools import lru_cache

from airlock.domain.errors import Forbidden
from airlock.domain.people.confusables import TABLE

_LIKE = {int(code, 16): ascii_ for ascii_, codes in TABLE.items() for code in codes.split()}
_STEPS = 10
_ASCII = {"0": "o", "1": "l", "i": "l", "|": "l"}
#: Fillers and blanks that Unicode calls letters, marks or symbols though nothing is drawn.
_BLANK = {*range(0xFE00, 0xFE10), *range(0x180B, 0x1810), 0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5}
_BLANK |= {0x2800, 0x3164, 0xFFA0, *range(0xE0000, 0xE1000)}


def unseen(name: str) -> tuple[str, ...]:
    """Return the characters of a name that nobody can see, white space included, as `U+200B`."""
    return tuple(dict.fromkeys(_code(c) for c in name if _is_unseen(c)))


def _is_unseen(character: str) -> bool:
    category = unicodedata.category(character)
    return category in ("Cf", "Cc", "Cs", "Co", "Cn") or _is_empty(character)


def _is_empty(character: str) -> bool:
    return character.isspace() or ord(character) in _BLANK


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"


def spelled(name: str) -> str:
    """Return a name in which every character that could deceive stands as its code point."""
    plain = (c if c.isascii() and c.isprintable() else f"<{_code(c)}>" for c in name)
    return repr("".join(plain))


@lru_cache(maxsize=65_536)
def skeleton(name: str) -> str:
    """Return the visual form of a name: equal for names that look alike."""
    shape = name
    for _ in range(_STEPS):  # what one step makes may be what another step changes
        shape, before = _simpler(shape), shape
        if shape == before:
            break
    return shape


def _simpler(name: str) -> str:
    letters = name
    for form in ("NFC", "NFD", "NFKC"):  # a letter as a whole, then without its accents
        letters = unicodedata.normalize(form, letters).translate(_LIKE)
    folded = unicodedata.normalize("NFKC", letters.casefold())
    glyphs = (_drawn(c) for c in folded if not _is_unseen(c))
    return "".join(glyphs).replace("rn", "m")


def _drawn(character: str) -> str:
    if unicodedata.category(character) == "Pd":
        return "-"
    return _ASCII.get(character, character)


def look_alike(name: str, names: Collection[str]) -> str | None:
    """Return the other name among *names* that this one looks like, if there is one."""
    if name in names:
        names = [candidate for candidate in names if candidate != name]
    shape = skeleton(name)
    return next((candidate for candidate in sorted(names) if skeleton(candidate) == shape), None)


class LookAlike(Forbidden):
    """A user name that people would take for another one."""


def check_name(name: str, names: Collection[str]) -> None:
    """Refuse a name that looks like another, or has invisible characters.

    Raises:
        LookAlike: naming both, or the characters that cannot be seen.
    """
    rename = "Have the account renamed in Airflow, or use the other one."
    if hidden := unseen(name):
        like = next(
            (candidate for candidate in sorted(names) if skeleton(candidate) == skeleton(name)),
            None,
        )
        also = f", so it looks like {spelled(like)}" if like else ""
        raise LookAlike(
            f"the user name {spelled(name)} has characters nobody can see "
            f"({', '.join(hidden)}){also}: it is refused as a person",
            next_step=rename,
        )
    if other := look_alike(name, names):
        raise LookAlike(
            f"the user name {spelled(name)} looks like {spelled(other)}, who is known: it is "
            "refused as a person",
            next_step=rename,
        )
