"""What people write stays out of the log: an entry holds a commitment, the text lies beside it.

Rules:
* A commitment is `SHA-256(salt || text)`, the salt 32 random bytes kept with the text. Both are
  erased together; without the salt nobody can even try out what the text may have been.
* Texts are: the reason (`why`) of an event by a person, and the findings an approval demands.
  Sentences of machines stay in the entry; they name ids and never repeat what a person wrote.
* Chains, tree and replay see commitments alone, so erasing a text breaks no proof.
* Entries written before this, with their texts inside, stay valid.

Ids of people stay: they are pseudonyms, and without them nothing could be proved.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from airlock.domain.log.stream_chains import Finding
from airlock.domain.log.tree import Leaf, Stored

T = TypeVar("T")
PREFIX = "commitment:sha256:"
SALT_BYTES = 32
#: How a text looks that is not there any more, and one that is not what was committed to.
ERASED, ALTERED = "erased", "(this text was changed: it does not match its commitment)"
#: The word of the entry that says which texts were erased.
ERASURE = "PersonalTextErased"

_SPELLED = re.compile(rf"{PREFIX}[0-9a-f]{{64}}")
_MARK = PREFIX.encode()
#: How an entry ends whose reason is a commitment: keys are sorted, and `why` is the last.
_LAST = re.compile(rb',"why":"(%b[0-9a-f]{64})"\}' % _MARK)
_LAST_BYTES = len(b',"why":""}') + len(_MARK) + 64

#: commitment -> (salt, text); an erased one is not in it.
Texts = Mapping[str, tuple[bytes, str]]
#: commitments -> commitment -> (stream, person)
Owners = Callable[[Iterable[str]], Mapping[str, tuple[str, str]]]


class Commitment(str):
    """Stands for a text. Made by the store alone: a text that is spelled like one is a text."""

    __slots__ = ()


def commit(salt: bytes, text: str) -> Commitment:
    """Return the commitment to a text."""
    return Commitment(PREFIX + hashlib.sha256(salt + text.encode()).hexdigest())


def is_commitment(text: str) -> bool:
    """Say whether *text* is spelled as a commitment."""
    return text.startswith(PREFIX) and _SPELLED.fullmatch(text) is not None


def mark_commitment(text: str) -> str:
    """Return a text as the store has it: a commitment is marked as one."""
    return Commitment(text) if is_commitment(text) else text


def swapped(data: Mapping[str, Any], swap: Callable[[str], str]) -> Mapping[str, Any]:
    """Return an event's data with every text in it passed through *swap*."""
    conditions = data.get("conditions")
    if not conditions or not conditions.get("findings"):
        return data
    findings = [{**finding, "text": swap(finding["text"])} for finding in conditions["findings"]]
    return {**data, "conditions": {**conditions, "findings": findings}}


def spoken(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the commitments in the content of an entry."""
    texts = [str(content.get("why", ""))]

    def note(text: str) -> str:
        texts.append(text)
        return text

    swapped(content.get("data") or {}, note)
    return tuple(text for text in texts if is_commitment(text))


def commitments_in(body: bytes) -> tuple[str, ...]:
    """Return the commitments in the bytes of an entry; none in one that is damaged."""
    count = body.count(_MARK)
    if count == 0:
        return ()
    last = _LAST.fullmatch(body[-_LAST_BYTES:]) if count == 1 else None
    if last:  # the reason alone, as nearly always: no need to parse
        return (last[1].decode(),)
    try:
        return spoken(json.loads(body))
    except (AttributeError, KeyError, TypeError, ValueError):
        return ()


def readable(content: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of an entry with its texts in place of their commitments."""

    def swap(text: str) -> str:
        return texts.get(text, text)

    return {**content, "why": swap(content["why"]), "data": swapped(content["data"], swap)}


class TextCheck:
    """Checks, while the log is read, that every text is there and is the one committed to.

    *look* returns the texts of some commitments, as far as they are there. A text that is not
    must have been erased, which an entry says. *owners* returns in which stream each of some texts
    was written, and by whom, erased ones included: who looks into the tables finds a row for each.
    """

    #: Commitments looked up at a time.
    AT_ONCE = 500

    def __init__(
        self, look: Callable[[Iterable[str]], Texts], owners: Owners | None = None
    ) -> None:
        """Begin."""
        self._look, self._owners = look, owners
        self._waiting: list[tuple[str, str, int, Stored]] = []
        self._gone: list[tuple[str, str, int]] = []
        self._erased: set[str] = set()
        self._without_row: list[tuple[str, str, int]] = []
        self._wrong: list[Finding] = []

    def leaves(self, leaves: Iterable[Leaf]) -> Iterator[Leaf]:
        """Return the leaves as they are, and check their entries' texts."""
        for leaf in leaves:
            entry = leaf[2]
            if entry is not None and _MARK in entry[3]:
                self._add(entry)
            yield leaf

    def entries(self, entries: Iterable[Stored]) -> Iterator[Stored]:
        """Return the entries as they are, and check their texts."""
        for entry in entries:
            if _MARK in entry[3]:
                self._add(entry)
            yield entry

    def waiting(self, entries: Iterable[tuple[Stored, T]]) -> Iterator[tuple[Stored, T]]:
        """Return entries, each with something beside it, as they are, and check their texts."""
        for entry, beside in entries:
            if _MARK in entry[3]:
                self._add(entry)
            yield entry, beside

    def _add(self, entry: Stored) -> None:
        stream, seq, event_type, body = entry[:4]
        self._waiting += [(commitment, stream, seq, entry) for commitment in commitments_in(body)]
        if event_type == ERASURE:
            with contextlib.suppress(KeyError, TypeError, ValueError):  # the chain names damage
                self.look_again([json.loads(body)])
        if len(self._waiting) >= self.AT_ONCE:
            self._settle()

    def _settle(self) -> None:
        waiting, self._waiting = self._waiting, []
        commitments = [row[0] for row in waiting]
        texts = self._look(commitments) if waiting else {}
        owners = self._owners(commitments) if waiting and self._owners is not None else {}
        for commitment, stream, seq, entry in waiting:
            if commitment in owners:
                self._wrong += _other_owner(entry, owners[commitment])
            elif self._owners is not None:
                self._without_row.append((commitment, stream, seq))
            text = texts.get(commitment)
            if text is None:
                self._gone.append((commitment, stream, seq))
            elif commit(*text) != commitment:
                reason = "its text was changed: it does not match the commitment"
                self._wrong.append(Finding(reason, stream, seq))

    def look_again(self, contents: Iterable[Mapping[str, Any]]) -> None:
        """Take note of what was erased since."""
        for content in contents:
            if content.get("what") == ERASURE:
                self._erased.update(content["data"]["commitments"])

    def losses(self) -> tuple[list[tuple[str, str, int]], set[str]] | None:
        """Return the missing and the erased commitments so far; None if a text was changed."""
        self._settle()
        changed = self._wrong or self._without_row
        return None if changed else (self._gone, self._erased)

    def take(self, gone: Iterable[tuple[str, str, int]], erased: Iterable[str]) -> None:
        """Take over what another check was told of the entries before."""
        self._gone += gone
        self._erased.update(erased)

    def findings(self) -> list[Finding]:
        """Return what is wrong, when everything has been read."""
        self._settle()
        lost = [
            Finding("its text is gone, but no entry says that it was erased", stream, seq)
            for commitment, stream, seq in self._gone
            if commitment not in self._erased
        ]
        rows = [
            Finding("its text was erased, and its row in audit_text is gone", stream, seq)
            for commitment, stream, seq in self._without_row
            if commitment in self._erased
        ]
        return [*self._wrong, *lost, *rows]


def _other_owner(entry: Stored, owner: tuple[str, str]) -> Iterator[Finding]:
    """Report a text that belongs to another stream than its entry's, or to another person."""
    stream, seq, event_type, body = entry[:4]
    if owner[0] != stream:
        yield Finding(f"its text is kept as one of stream {owner[0]}", stream, seq)
    # Whoever raised a finding is named in the entry of the vote, which has the same text.
    if (
        event_type != "FindingRaised"
        and json.dumps(owner[1], ensure_ascii=False).encode() not in body
    ):
        yield Finding(f"its text is kept as that of {owner[1]}, who is not in it", stream, seq)
