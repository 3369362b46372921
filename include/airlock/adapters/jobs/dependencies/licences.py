"""Which licence a distribution says it has, as alternatives of SPDX identifiers.

Rules, in this order, the first that can be read counts:
* `License-Expression`, as SPDX defines expressions.
* `License`, if it is an expression, or one of the common names below.
* The licence classifiers; of several all have to be allowed, because nobody says which applies.
* Else nothing is known, and the gate says so: a guess would be ours, not the author's.

An alternative is a list of identifiers that apply together: `MIT OR (Apache-2.0 AND ISC)` becomes
[[MIT], [Apache-2.0, ISC]]. `LicenseRef-BSD` and the like: a family was named, and not which of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

_LONGEST = 200
_NAMES = {
    "mit license": "MIT",
    "the mit license": "MIT",
    "expat license": "MIT",
    "apache 2.0": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license v2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "new bsd license": "BSD-3-Clause",
    "2-clause bsd": "BSD-2-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "isc license": "ISC",
    "psfl": "PSF-2.0",
    "mozilla public license 2.0": "MPL-2.0",
}
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "Artistic License": "LicenseRef-Artistic",
    "BSD License": "LicenseRef-BSD",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License (GPL)": "LicenseRef-GPL",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "GNU Library or Lesser General Public License (LGPL)": "LicenseRef-LGPL",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Zope Public License": "LicenseRef-ZPL",
    "zlib/libpng License": "Zlib",
}
#: Say that there is a licence, not which.
_EMPTY = ("OSI Approved", "DFSG approved")


def of(distribution: Mapping[str, Any]) -> tuple[str, list[list[str]]]:
    """Return the licence a distribution declares, and its alternatives; none: nobody knows."""
    expression, text = (
        str(distribution["expression"] or ""),
        str(distribution["license"] or "").strip(),
    )
    for licence in (expression, text, _NAMES.get(_plain(text), "")):
        alternatives = _alternatives(licence)
        if alternatives:
            return licence, alternatives
    named = [classifier.split(" :: ")[-1] for classifier in distribution["classifiers"]]
    recognised = [name for name in named if name not in _EMPTY]
    if recognised and all(name in _CLASSIFIERS for name in recognised):
        together = sorted({_CLASSIFIERS[name] for name in recognised})
        return " and ".join(recognised), [together]
    return (expression or text.partition("\n")[0] or "; ".join(named))[:_LONGEST], []


def _plain(text: str) -> str:
    return re.sub(r"[\s,]+", " ", text).strip().lower() if len(text) <= _LONGEST else ""


def _alternatives(text: str) -> list[list[str]]:
    """Return the disjunctive normal form of an expression; nothing if it is none."""
    from license_expression import ExpressionError

    if not text or len(text) > _LONGEST or "\n" in text:
        return []
    try:
        parsed = _spdx().parse(text, validate=True, strict=True)
    except (ExpressionError, ValueError, TypeError):
        return []
    if parsed is None:
        return []
    form = _spdx().dnf(parsed)
    choices = form.args if _operator(form) == "OR" else (form,)
    return sorted(
        sorted(str(symbol) for symbol in (choice.args if _operator(choice) == "AND" else (choice,)))
        for choice in choices
    )


def _operator(expression: Any) -> str:
    return str(getattr(expression, "operator", "") or "").strip()


@cache
def _spdx() -> Any:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()
