"""What people wrote, where the log holds only a commitment to it.

A commitment is `commitment:sha256:<hex>` over a random salt and the text. `texts.json` has salt and
text of those that were not erased; an erased one is shown as "erased", and nothing else changes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from airlock_evidence.archive import Failed, canonical

TEXTS = "texts.json"
ERASED = "erased"
_COMMITMENT = re.compile(r"commitment:sha256:[0-9a-f]{64}")

#: commitment -> (salt, text)
Texts = Mapping[str, tuple[bytes, str]]


def document(texts: Texts) -> bytes:
    """Return the file of texts."""
    return canonical(
        {name: {"salt": salt.hex(), "text": text} for name, (salt, text) in texts.items()}
    )


def read(files: Mapping[str, bytes]) -> dict[str, tuple[bytes, str]]:
    """Return the texts of a bundle, each checked against its commitment.

    Raises:
        Failed: if they cannot be read, or one is not what was committed to.
    """
    try:
        found = {
            str(name): (bytes.fromhex(one["salt"]), str(one["text"]))
            for name, one in json.loads(files[TEXTS]).items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(TEXTS, "is missing or cannot be read") from error
    for name, (salt, text) in found.items():
        digest = hashlib.sha256(salt + text.encode()).hexdigest()
        if name != f"commitment:sha256:{digest}":
            raise Failed(TEXTS, f"the text of {name} is not the one that was committed to")
    if document(found) != files[TEXTS]:
        raise Failed(TEXTS, "is not spelled as Airlock writes it")
    return found


def commitments(value: Any) -> set[str]:
    """Return every commitment in some data."""
    if isinstance(value, str):
        return {value} if _COMMITMENT.fullmatch(value) else set()
    parts: Iterable[Any] = ()
    if isinstance(value, dict):
        parts = value.values()
    elif isinstance(value, (list, tuple)):
        parts = value
    return {one for part in parts for one in commitments(part)}


def said(value: Any, texts: Texts) -> Any:
    """Return data with every commitment replaced by its text."""
    if isinstance(value, str) and _COMMITMENT.fullmatch(value):
        return texts[value][1] if value in texts else ERASED
    if isinstance(value, dict):
        return {key: said(part, texts) for key, part in value.items()}
    if isinstance(value, list):
        return [said(part, texts) for part in value]
    return value
