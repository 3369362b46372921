"""The rules of a witness: https://c2sp.org/tlog-witness, `add-checkpoint`.

A witness remembers, for each log, the largest tree it has seen, and cosigns a checkpoint only if
its tree extends that one. So a log cannot show two histories to whoever asks for the cosignature.

    404  the log is not one of those it knows
    403  no key it trusts has signed the checkpoint
    400  not a request, or the old size is larger than the new one
    409  the old size is not the one it remembers (the body says which), or the same size has
         another root
    422  the tree does not extend the one it remembers

This module has no socket, no file and no clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from airlock.domain.log.checkpoint import (
    NOTE,
    Checkpoint,
    NoteInvalid,
    Verify,
    note_key,
    parse,
    read_hash,
)
from airlock.domain.log.merkle import EMPTY, consistent

SIZE_TYPE = "text/x.tlog.size"
TEXT_TYPE = "text/plain; charset=utf-8"
MAX_PROOF = 63
_OLD = re.compile(r"old (0|[1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class Answer:
    """What to reply; `accepted` is the checkpoint's text if it is to be cosigned."""

    status: int
    body: str
    kind: str = TEXT_TYPE
    accepted: str = ""
    checkpoint: Checkpoint | None = None


def origin_of(request: str) -> str:
    """Return which log a request is about; empty if it is not one."""
    try:
        return parse(request.partition("\n\n")[2])[0].origin
    except NoteInvalid:
        return ""


def answer(
    request: str,
    logs: Mapping[str, Mapping[str, bytes]],
    verify: Verify,
    previous: Checkpoint | None,
) -> Answer:
    """Judge a request. *logs*: origin -> key id -> public key; *previous*: what is remembered."""
    head, _, note = request.partition("\n\n")
    first, *hashes = head.split("\n")
    old = _OLD.fullmatch(first)
    try:
        checkpoint, text, lines = parse(note)
        proof = [read_hash(encoded) for encoded in hashes]
    except NoteInvalid as error:
        return Answer(400, f"{error.message}\n")
    if old is None or len(proof) > MAX_PROOF:
        return Answer(400, "expected `old <size>` and at most 63 hashes\n")
    keys = logs.get(checkpoint.origin)
    if keys is None:
        return Answer(404, "this witness does not know the log\n")
    name = checkpoint.origin
    signed = any(
        verify(key_id, line.signature, text.encode())
        for key_id, public in keys.items()
        for line in lines
        if (line.name, line.key) == (name, note_key(name, NOTE, public))
    )
    if not signed:
        return Answer(403, "no trusted key of the log has signed this checkpoint\n")
    return _extends(int(old[1]), checkpoint, proof, text, previous)


def _extends(
    old: int, new: Checkpoint, proof: list[bytes], text: str, previous: Checkpoint | None
) -> Answer:
    size, root = (previous.size, previous.root) if previous else (0, EMPTY)
    if old > new.size:
        return Answer(400, f"the old size {old} is larger than the checkpoint's {new.size}\n")
    if old != size:
        return Answer(409, f"{size}\n", SIZE_TYPE)
    if old == new.size and root != new.root:
        return Answer(409, f"{size}\n", SIZE_TYPE)
    if not consistent(old, new.size, proof, root, new.root):
        return Answer(422, f"the tree of {new.size} does not extend the one of {old}\n")
    return Answer(200, "", accepted=text, checkpoint=new)
