"""A bundle read into one value. Nothing is verified here: that is `checking`.

The readable documents are made from this value alone, both when a bundle is made and when it is
checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airlock_evidence import claims, texts, trust
from airlock_evidence.archive import Failed, sha256
from airlock_evidence.entries import CHECKPOINT, CONTEXT, STREAM, WITNESSED, Entry, read
from airlock_evidence.levels import Rights, levels_of
from airlock_evidence.proofs import peek
from airlock_evidence.story import fold
from airlock_evidence.told import Content, ReleaseState
from airlock_evidence.trust import Trust

BUNDLE, POLICY, PIPELINE = "bundle.json", "policy.json", "pipeline.json"
EVIDENCE = "evidence/"
EXPORTED = "EvidenceExported"


@dataclass
class Dossier:
    """Everything a bundle says."""

    header: dict[str, Any]
    entries: list[Entry]
    context: list[Entry]
    contents: Sequence[Content]
    around: Sequence[Content]
    release: ReleaseState
    rights: Rights
    policy: dict[str, Any]
    pipeline: dict[str, Any]
    evidence: dict[str, dict[str, Any]]
    keys: Trust
    texts: dict[str, tuple[bytes, str]]
    grants: dict[str, dict[str, Any]]
    checkpoint: tuple[str, int, bytes, int] | None = None
    witnessed: tuple[str, int, bytes, int] | None = None
    levels: list[dict[str, Any]] = field(default_factory=list)

    @property
    def export(self) -> Content:
        """The entry of this export; empty where nothing was exported."""
        place = ("access", self.header.get("export"))
        exports = [
            content for content in self.around if (content["stream"], content["seq"]) == place
        ]
        return exports[0] if exports else {}

    def evidence_of(self, kind: str) -> dict[str, Any]:
        """Return the facts of one kind about this artifact; the judged ones first."""
        digests = {digest for gate in self.release.gates for digest in gate["evidence"]}
        artifact = self.release.subject["artifact_digest"]
        ranked = sorted(
            (digest not in digests, digest)
            for digest, document in self.evidence.items()
            if document["kind"] == kind and document["artifactDigest"] == artifact
        )
        facts: dict[str, Any] = self.evidence[ranked[0][1]]["facts"] if ranked else {}
        return facts


def read_dossier(files: Mapping[str, bytes]) -> Dossier:
    """Read a bundle.

    Raises:
        Failed: naming the file or entry that is missing or malformed.
    """
    header = _json(files, BUNDLE)
    entries, context = read(files, STREAM), read(files, CONTEXT)
    committed = texts.read(files)
    contents = [texts.resolve(entry.content, committed) for entry in entries]
    around = [texts.resolve(entry.content, committed) for entry in context]
    policy, release = _json(files, POLICY), fold(contents)
    try:
        levels = levels_of(policy, release.tier, release.subject["environment"])
    except (KeyError, TypeError, ValueError) as error:
        raise Failed(POLICY, f"has no levels for a release of this kind: {error!r}") from error
    return Dossier(
        header=header,
        entries=entries,
        context=context,
        contents=contents,
        around=around,
        release=release,
        rights=Rights(around),
        policy=policy,
        pipeline=_json(files, PIPELINE),
        evidence={sha256(files[name]): _json(files, name) for name in evidence_names(files)},
        keys=trust.inside(files),
        texts=committed,
        grants={
            name: claims.open_envelope(name, files[name])
            for name in (claims.PROMOTION, claims.ROLLBACK)
            if name in files
        },
        checkpoint=peek(files[CHECKPOINT]) if CHECKPOINT in files else None,
        witnessed=peek(files[WITNESSED]) if WITNESSED in files else None,
        levels=levels,
    )


def evidence_names(files: Mapping[str, bytes]) -> list[str]:
    """Return the names of the files of evidence."""
    return sorted(name for name in files if name.startswith(EVIDENCE))


def _json(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    try:
        document = json.loads(files[name])
    except KeyError:
        raise Failed(name, "is missing") from None
    except ValueError as error:
        raise Failed(name, "is not JSON") from error
    if not isinstance(document, dict):
        raise Failed(name, "is not a JSON object")
    return document
