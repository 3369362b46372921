"""What people wrote, where the log holds only a commitment to it.

A commitment is `commitment:sha256:<hex>` over a random salt and the text. `texts.json` has salt and
text of those that were not erased. An erased one is shown as "erased"; an entry of the log says so,
and nothing else changes. Texts are the reason of an event and the findings an approval demands.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airlock_evidence.archive import Failed, canonical

TEXTS = "texts.json"
ERASED = "erased"
#: The word of the entry that says which texts were erased.
ERASURE = "PersonalTextErased"
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
        texts = {
            str(name): (bytes.fromhex(entry["salt"]), str(entry["text"]))
            for name, entry in json.loads(files[TEXTS]).items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failed(TEXTS, "is missing or cannot be read") from error
    for name, (salt, text) in texts.items():
        digest = hashlib.sha256(salt + text.encode()).hexdigest()
        if name != f"commitment:sha256:{digest}":
            raise Failed(TEXTS, f"the text of {name} is not the one that was committed to")
    if document(texts) != files[TEXTS]:
        raise Failed(TEXTS, "is not spelled as Airlock writes it")
    return texts


def commitments(content: Mapping[str, Any]) -> set[str]:
    """Return the commitments in the body of an entry: its reason, and the findings it demands."""
    names: set[str] = set()

    def note(text: Any) -> Any:
        if isinstance(text, str) and _COMMITMENT.fullmatch(text):
            names.add(text)
        return text

    _swapped(content, note)
    return names


def resolve(content: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    """Return the body of an entry with every commitment replaced by its text."""

    def swap(text: Any) -> Any:
        if isinstance(text, str) and _COMMITMENT.fullmatch(text):
            return texts[text][1] if text in texts else ERASED
        return text

    return _swapped(content, swap)


def erased(contents: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the commitments whose texts an entry says were erased."""
    return {
        str(commitment)
        for content in contents
        if content["what"] == ERASURE
        for commitment in content["data"]["commitments"]
    }


def _swapped(content: Mapping[str, Any], swap: Callable[[Any], Any]) -> dict[str, Any]:
    body = {**content, "why": swap(content.get("why", ""))}
    conditions = (content.get("data") or {}).get("conditions") or {}
    if conditions.get("findings"):
        findings = [
            {**finding, "text": swap(finding["text"])} for finding in conditions["findings"]
        ]
        body["data"] = {**content["data"], "conditions": {**conditions, "findings": findings}}
    return body
