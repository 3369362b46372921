"""The exact bytes an evidence bundle is made of, read in one transaction.

The release is folded from its own log; the tables are asked only for what the log has a digest of
(policy, pipeline, evidence, grants, texts).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from airlock.domain.approval.release import Release, apply
from airlock.domain.clock import stamp
from airlock.domain.digest import canonical_json
from airlock.domain.errors import Refused, Unreachable
from airlock.domain.log.checkpoint import Cosigner
from airlock.domain.log.merkle import at_once, consistency, inclusion
from airlock.domain.log.tree import MERGE_DELAY_S, KeptCheckpoint, Stored
from airlock.ports import Keyring
from airlock.services.audit.access_log import ACCESS
from airlock.services.audit.log_store import LogWork
from airlock_evidence import attested, claims, entries, texts, trust
from airlock_evidence.checking import head, path_document
from airlock_evidence.dossier import BUNDLE, EXPORTED, PIPELINE, POLICY
from airlock_evidence.judging import evidence_name

#: What tells who held which rights.
RIGHTS = frozenset({"RightsChanged", "Delegated", "DelegationEnded"})


def gather(
    unit: LogWork,
    keyring: Keyring,
    witnesses: Mapping[str, Cosigner],
    release_id: str,
    noted: int = 0,
    length: int | None = None,
) -> dict[str, bytes]:
    """Return the exact bytes of a bundle; with *noted* also what proves them."""
    stream = [
        entry
        for entry in unit.stream_entries([release_id], frozenset())
        if length is None or entry[1] <= length
    ]
    release = _release(stream, release_id)
    files = {
        BUNDLE: head(release_id, noted),
        trust.KEYS: trust.document(
            keyring.keys(), {name: witness.public for name, witness in witnesses.items()}
        ),
        **dict(_documents(unit, release, stream)),
        **dict(_grants(unit, release_id, stream)),
        **dict(_attestations(unit, release)),
    }
    last = _newest(unit) if noted else None
    context = list(_context(unit, release, noted))
    spoken, erasures = _texts(unit, [*stream, *context])
    files[texts.TEXTS] = texts.document(spoken)
    context = sorted({entry[:2]: entry for entry in [*context, *erasures]}.values())
    for name, selection in ((entries.STREAM, stream), (entries.CONTEXT, context)):
        files[name] = b"".join(entries.line(_proved(unit, entry, last)) for entry in selection)
    return files | (_checkpoints(unit, last) if last else {})


def _release(stream: Sequence[Stored], release_id: str) -> Release:
    """Return the release its log tells of; the tables are not asked."""
    release: Release | None = None
    for entry in stream:
        release = apply(release, json.loads(entry[3]))
    if release is None:
        raise Refused(f"the log of {release_id} does not tell of a release")
    return release


def _documents(
    unit: LogWork, release: Release, stream: Sequence[Stored]
) -> Iterator[tuple[str, bytes]]:
    """Yield policy, pipeline and evidence, as registered and as collected."""
    subject = release.subject
    for name, kind, digest in (
        (POLICY, "policy", subject.policy_digest),
        (PIPELINE, "pipeline", subject.pipeline_digest),
    ):
        yield name, canonical_json(unit.registered(kind, digest)[0])
    digests = {
        digest
        for entry in stream
        if entry[2] == "GatesJudged"
        for result in json.loads(entry[3])["data"]["results"]
        for digest in result["evidence"]
    }
    for digest, body in unit.evidence_bodies(digests).items():
        yield evidence_name(digest), body
    for evidence in unit.evidence_of(release.origin).values():
        if evidence.artifact_digest == subject.artifact_digest:
            yield evidence_name(evidence.digest), evidence.body


def _attestations(unit: LogWork, release: Release) -> Iterator[tuple[str, bytes]]:
    """Yield the signed results of the gates, with the public keys of who is trusted with gates."""
    signed = unit.attestations_of(release.origin)
    if signed:
        keys = unit.gate_keys.keys() if unit.gate_keys is not None else {}
        yield attested.ATTESTATIONS, attested.document(keys, signed)


def _grants(
    unit: LogWork, release_id: str, stream: Sequence[Stored]
) -> Iterator[tuple[str, bytes]]:
    """Yield the envelopes of the grants that the log, up to here, says were issued."""
    issued = {
        json.loads(entry[3])["data"]["grant"]
        for entry in stream
        if entry[2] in ("GrantIssued", "RollbackGranted")
    }
    for name, purpose in ((claims.PROMOTION, "promotion"), (claims.ROLLBACK, "rollback")):
        stored = unit.grant_of(release_id, purpose)
        if stored is not None and stored.grant_id in issued:
            yield name, stored.envelope.encode()


def _context(unit: LogWork, release: Release, noted: int) -> Iterator[Stored]:
    """Yield single entries of other streams: registrations, rights, keys, this export."""
    digests = {release.subject.policy_digest, release.subject.pipeline_digest}
    for entry, content in _sound(unit, "configuration", {"Registered"}):
        if content["new"]["digest"] in digests:
            yield entry
    yield from (entry for entry, _ in _sound(unit, "keys", {"KeyRotated"}))
    yield from _rights(unit, release)
    if noted:
        yield from (entry for entry in unit.told_of(ACCESS, {EXPORTED}) if entry[1] == noted)


def _sound(
    unit: LogWork, stream: str, words: Collection[str]
) -> Iterator[tuple[Stored, Mapping[str, Any]]]:
    """Return entries of a stream that all releases share, with their content.

    One that cannot be read, or tells of another place than it stands in, is damage that `audit
    verify` names; it must not keep the evidence of every release from being exported.
    """
    for entry in unit.told_of(stream, words):
        try:
            content = json.loads(entry[3])
            place = (content["stream"], content["seq"], content["what"])
            complete = isinstance(content["data"], dict) and str(content["at"])
        except (KeyError, TypeError, ValueError):
            continue
        if complete and place == entry[:3]:
            yield entry, content


def _rights(unit: LogWork, release: Release) -> Iterator[Stored]:
    """Yield the entries on the roles of everybody behind a vote then, and on its delegation."""
    events = list(_sound(unit, ACCESS, RIGHTS))
    selected: dict[int, Stored] = {}
    for vote in release.votes:
        pair = (vote.behind, vote.person)
        lent = {
            content["resource"]
            for _, content in events
            if content["what"] == "Delegated"
            and (content["data"]["giver"], content["data"]["taker"]) == pair
            and content["at"] <= vote.at
        }
        for person in vote.mandate.people:
            rights = [
                entry
                for entry, content in events
                if content["resource"] == f"user/{person}" and content["at"] <= vote.at
            ]
            selected |= {entry[1]: entry for entry in _newest_covered(unit, rights)}
        selected |= {entry[1]: entry for entry, content in events if content["resource"] in lent}
    for waiver in release.waivers:
        rights = [
            entry
            for entry, content in events
            if content["resource"] == f"user/{waiver.person}" and content["at"] <= waiver.at
        ]
        selected |= {entry[1]: entry for entry in _newest_covered(unit, rights)}
    yield from selected.values()


def _newest_covered(unit: LogWork, candidates: Sequence[Stored]) -> list[Stored]:
    """Return the newest of some entries, leaving out those that will never join the tree."""
    late = stamp(unit.now() - timedelta(seconds=MERGE_DELAY_S))
    for entry in reversed(candidates):
        young = json.loads(entry[3])["at"] >= late
        if young or unit.place_of(entry[0], entry[1]) is not None:
            return [entry]
    return list(candidates[-1:])


def _texts(
    unit: LogWork, stored: Sequence[Stored]
) -> tuple[dict[str, tuple[bytes, str]], list[Stored]]:
    """Return the texts of some entries, and the entries that say which of them were erased."""
    erasure_entries = [entry for entry, _ in _sound(unit, ACCESS, {texts.ERASURE})]
    erasures: list[Stored] = []
    while True:  # the reason of an erasure may have been erased itself
        commitments = _commitments([*stored, *erasures])
        resolved = dict(unit.texts_of(commitments))
        telling = [
            entry for entry in erasure_entries if _erased(entry) & (commitments - set(resolved))
        ]
        if telling == erasures:
            return resolved, erasures
        erasures = telling


def _commitments(stored: Sequence[Stored]) -> set[str]:
    return {name for entry in stored for name in texts.commitments(json.loads(entry[3]))}


def _erased(entry: Stored) -> set[str]:
    return texts.erased([json.loads(entry[3])])


def _newest(unit: LogWork) -> KeptCheckpoint:
    tree = unit.tree()
    last = unit.checkpoint_before(tree.size) if tree else None
    if last is None:
        raise Unreachable("the log has no checkpoint yet", next_step="Try again in a minute.")
    return last


def _proved(unit: LogWork, entry: Stored, last: KeptCheckpoint | None) -> entries.Entry:
    """Return an entry with its proof that it is in the tree of a checkpoint."""
    stream, seq, _, body, prev, digest = entry
    if last is None:
        return entries.Entry(stream, seq, body, prev, digest, -1, ())
    place, size = unit.place_of(stream, seq), last.size
    if place is None or place >= size:
        raise Unreachable(
            f"entry {seq} of {stream} is not covered by a checkpoint yet",
            next_step="Try again in a minute.",
        )
    path = at_once(lambda nodes: inclusion(place, size, nodes), unit.nodes_at)
    return entries.Entry(stream, seq, body, prev, digest, place, tuple(path))


def _checkpoints(unit: LogWork, last: KeptCheckpoint) -> dict[str, bytes]:
    """Return the checkpoint, and if no witness has seen it yet, the newest one a witness has."""
    receipts = "".join(unit.receipts(last.size))
    files = {entries.CHECKPOINT: f"{last.note}{receipts}".encode()}
    witnessed = None if receipts else unit.cosigned_before(last.size)
    if witnessed is None or witnessed.size == 0:
        return files
    path = at_once(lambda nodes: consistency(witnessed.size, last.size, nodes), unit.nodes_at)
    return files | {
        entries.WITNESSED: f"{witnessed.note}{''.join(unit.receipts(witnessed.size))}".encode(),
        entries.CONSISTENCY: path_document(path),
    }
