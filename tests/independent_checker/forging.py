"""Ways to forge a bundle: by somebody without any key, and by the holder of the log's key.

Both write a fitting manifest and fitting readable documents, as far as these can be made. The
insider builds the whole log anew: chain, tree, checkpoint, and the entry of the export.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from airlock.adapters.keys.ed25519 import FileSigner
from airlock.domain.log.checkpoint import Checkpoint, seal
from airlock.domain.promotion.grant import Grant, enclose, read_own
from airlock.domain.promotion.grant import seal as seal_grant
from airlock_evidence.archive import MANIFEST, Failed, manifest
from airlock_evidence.claims import envelope_digest
from airlock_evidence.proofs import peek
from tests.contract.bundle_kit import Files, canonical, lines, resealed, unlines
from tests.independent_checker.good_bundles import Good

Body = dict[str, Any]
STREAM, CONTEXT, CHECKPOINT = "log/stream.jsonl", "log/context.jsonl", "log/checkpoint.txt"
GRANT, BACK, SIGNED = "grants/promotion.json", "grants/rollback.json", "attestations.json"


def sealed(files: Mapping[str, bytes]) -> Files:
    """Return files with readable documents and a manifest that fit, or at least a manifest."""
    try:
        return resealed(files)
    except (Failed, KeyError, TypeError, ValueError, AttributeError, IndexError):
        return {**files, MANIFEST: manifest(files)}


def link(entry: Body) -> Body:
    """Return an entry of a file with the hash of its body."""
    head = b"airlock/event/v1\x00" + bytes.fromhex(entry["prev"]) + entry["seq"].to_bytes(8, "big")
    return {**entry, "hash": hashlib.sha256(head + entry["body"].encode()).hexdigest()}


class Insider:
    """Somebody who holds the log's key and writes the log of one release anew."""

    def __init__(self, good: Good) -> None:
        self.good, self.files = good, dict(good.files)
        self.stream = [json.loads(one["body"]) for one in lines(good.files, STREAM)]
        self.context = [json.loads(one["body"]) for one in lines(good.files, CONTEXT)]

    def at(self, what: str, number: int = 0) -> Body:
        """Return an entry of the stream."""
        return [one for one in self.stream if one["what"] == what][number]

    def around(self, what: str, number: int = 0) -> Body:
        """Return an entry of the context."""
        return [one for one in self.context if one["what"] == what][number]

    def drop(self, what: str, number: int = 0) -> None:
        """Leave an entry out."""
        self.stream.remove(self.at(what, number))

    def again(self, what: str) -> None:
        """Write an entry twice."""
        self.stream.insert(self.stream.index(self.at(what)), copy.deepcopy(self.at(what)))

    def before(self, what: str, other: str, number: int = 0) -> None:
        """Move an entry before another one."""
        one = self.at(what, number)
        self.stream.remove(one)
        self.stream.insert(self.stream.index(self.at(other)), one)

    def silent(self) -> None:
        """Let no entry say what state it led to."""
        for one in self.stream:
            one["old"] = one["new"] = None

    def document(self, name: str, change: Callable[[Body], object]) -> None:
        """Change policy or pipeline, register it, and put it into every subject and digest."""
        made = json.loads(self.files[f"{name}.json"])
        change(made)
        self.files[f"{name}.json"] = canonical(made)
        self.subject(**{f"{name}_digest": _digest(canonical(made))})

    def subject(self, **changes: str) -> None:
        """Change the subject wherever it is named, and register its documents."""
        text = canonical({"stream": self.stream, "context": self.context}).decode()
        (asked,) = [one for one in self.stream if one["what"] == "ReleaseRequested"]
        before, old = asked["data"]["subject"], asked["data"]["subjectDigest"]
        for name, value in changes.items():
            text = text.replace(json.dumps(before[name]), json.dumps(value))
        text = text.replace(old, _digest(canonical({**before, **changes})))
        made = json.loads(text)
        self.stream, self.context = made["stream"], made["context"]

    def grant(self, where: str = GRANT, **claims: Any) -> None:
        """Sign a grant with other claims, and let the log say that it was issued."""
        known = read_own(self.files[where].decode())
        fields = {name: getattr(known, name) for name in Grant.__dataclass_fields__}
        made = seal_grant(Grant(**{**fields, **claims}), self._key.key_id, self._key.sign).encode()
        self._exchange(where, made)

    def statement(self, change: Callable[[Body], object]) -> None:
        """Sign a grant whose statement says something else."""
        made = json.loads(base64.b64decode(json.loads(self.files[GRANT])["payload"]))
        change(made)
        self._exchange(GRANT, enclose(made, self._key.key_id, self._key.sign).encode())

    def _exchange(self, where: str, envelope: bytes) -> None:
        old = envelope_digest(self.files[where])
        for one in self.stream:
            if one["data"].get("envelopeDigest") == old:
                one["data"]["envelopeDigest"] = envelope_digest(envelope)
        self.files[where] = envelope

    @property
    def _key(self) -> FileSigner:
        return self.good.signer

    def write(self) -> Files:
        """Return the bundle: everything in it is signed, chained and proved."""
        prev, stream = "00" * 32, []
        for number, one in enumerate(self.stream, 1):
            one["seq"] = number
            stream.append(link(_entry(one, prev)))
            prev = stream[-1]["hash"]
        for one in self.context:
            if one["what"] == "EvidenceExported":
                one["data"] |= {"entries": len(stream), "head": prev}
        self.context.sort(key=lambda one: (one["stream"], one["seq"]))
        context = [link(_entry(one, "11" * 32)) for one in self.context]
        root = _prove([*stream, *context])
        origin, _, _, at = peek(self.good.files[CHECKPOINT])
        tree = Checkpoint(origin, len(stream) + len(context), root)
        note = seal(tree, self._key.public, self._key.sign, at).encode()
        made = {**self.files, STREAM: unlines(stream), CONTEXT: unlines(context), CHECKPOINT: note}
        texts = json.loads(made["texts.json"]).items()
        told = made[STREAM] + made[CONTEXT]
        made["texts.json"] = canonical({name: one for name, one in texts if name.encode() in told})
        for name in ("log/witnessed.txt", "log/consistency.json"):
            made.pop(name, None)
        return sealed(made)


def _entry(body: Body, prev: str) -> Body:
    named = {"stream": body["stream"], "seq": body["seq"], "body": canonical(body).decode()}
    return {**named, "prev": prev, "hash": "", "index": 0, "path": []}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _prove(entries: list[Body]) -> bytes:
    """Give every entry its place and its proof; return the root of their tree."""
    leaves = [hashlib.sha256(b"\0" + bytes.fromhex(one["hash"])).digest() for one in entries]
    for place, one in enumerate(entries):
        path = [base64.b64encode(node).decode() for node in _path(place, leaves)]
        one |= {"index": place, "path": path}
    return _root(leaves)


def _split(leaves: list[bytes]) -> int:
    return 1 << (len(leaves) - 1).bit_length() - 1


def _root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    cut = _split(leaves)
    return hashlib.sha256(b"\1" + _root(leaves[:cut]) + _root(leaves[cut:])).digest()


def _path(place: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    cut = _split(leaves)
    if place < cut:
        return [*_path(place, leaves[:cut]), _root(leaves[cut:])]
    return [*_path(place - cut, leaves[cut:]), _root(leaves[:cut])]
