"""The evidence bundle: everything that proves one release, for somebody who trusts nobody.

Rules:
* Taking it away needs a reason and the permission `evidence:export`, which only auditors are given.
  The export is noted in the log before anything is handed out, with the end of the release's log
  as it was then: so a bundle cannot leave off the last entries.
* Everything in it is covered by one checkpoint, signed now if need be.
* What would not pass its own check is not handed out.

This service gathers bytes. What the documents say, and how all of it is checked, is in the package
`airlock_evidence`, which travels in the bundle.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence

from airlock.domain.audit import Event, Head
from airlock.domain.checkpoint import Cosigner
from airlock.domain.digest import canonical_json
from airlock.domain.errors import Invalid, Refused, Unreachable
from airlock.domain.log_tree import KeptCheckpoint, Stored
from airlock.domain.merkle import at_once, consistency, inclusion
from airlock.domain.people import Actor
from airlock.domain.release import Release, apply
from airlock.ports import Keyring, Signer
from airlock.services import sequencing
from airlock.services.auditing import ACCESS, REASON_MIN
from airlock.services.log_store import LogStore, LogWork
from airlock_evidence import claims, entries, texts, trust
from airlock_evidence.archive import Failed, pack
from airlock_evidence.checking import check, head, path_document
from airlock_evidence.documents import complete
from airlock_evidence.dossier import BUNDLE, EXPORTED, PIPELINE, POLICY, read_dossier
from airlock_evidence.judging import evidence_name
from airlock_evidence.report import report as render
from airlock_evidence.trust import Trust

#: What tells who held which rights, and which keys came after which.
RIGHTS = frozenset({"RightsChanged", "Delegated", "DelegationEnded"})
#: Looks for a checkpoint that covers everything, and the pause between two.
LOOKS, PAUSE_S = 20, 0.25


def export(
    store: LogStore,
    keyring: Keyring,
    signer: Signer | None,
    witnesses: Mapping[str, Cosigner],
    actor: Actor,
    release_id: str,
    reason: str,
) -> bytes:
    """Return the evidence of a release as one zip.

    Raises:
        Invalid: without a reason.
        NotFound: if there is no such release.
        Unreachable: if no checkpoint covers the release yet.
        Refused: if what is there would not pass the check.
    """
    if len(reason.strip()) < REASON_MIN:
        raise Invalid(
            "an export of evidence needs a reason: who wants it, and what for",
            next_step="Say why with `--reason`.",
        )
    place, length = _note(store, actor, release_id, reason.strip())
    _cover(store, signer, release_id, length, place)
    with store.begin() as unit:
        raw = _gather(unit, keyring, witnesses, release_id, place, length)
    try:
        files = complete(raw)
    except Failed as failure:
        raise _damaged(release_id, failure) from failure
    result = check(files, lambda _: Trust(dict(keyring.keys()), {}, "Airlock's own keys"))
    if result.failures:
        raise _damaged(release_id, result.failures[0])
    return pack(files)


def report(
    store: LogStore, keyring: Keyring, witnesses: Mapping[str, Cosigner], release_id: str
) -> str:
    """Return the report of a release as it is now, without what proves it.

    Raises:
        NotFound: if there is no such release.
        Refused: if its log does not make sense.
    """
    with store.begin() as unit:
        unit.get(release_id)
        raw = _gather(unit, keyring, witnesses, release_id)
    try:
        return render(read_dossier(raw))
    except Failed as failure:
        raise _damaged(release_id, failure) from failure


def _damaged(release_id: str, failure: Failed) -> Refused:
    return Refused(
        f"the evidence of {release_id} does not hold: {failure}",
        next_step="Check the whole log with `airlock audit verify`.",
    )


def _note(store: LogStore, actor: Actor, release_id: str, reason: str) -> tuple[int, int]:
    """Write down who takes the evidence away; return that entry's number and the log's length."""
    with store.begin() as unit:
        unit.get(release_id)
        end = Head()
        for entry in unit.entries(release_id):
            end = Head(entry.seq, entry.hash)
        event = Event(
            what=EXPORTED,
            who=actor.id,
            roles=tuple(sorted(actor.roles)),
            channel=actor.channel.value,
            resource=f"release/{release_id}",
            old=None,
            new=None,
            why=reason,
            policy="",
            data={"release": release_id, "entries": end.seq, "head": end.hash.hex()},
        )
        noted = unit.log(ACCESS, event)
        unit.commit()
    return noted.seq, end.seq


def _cover(
    store: LogStore, signer: Signer | None, release_id: str, length: int, noted: int
) -> None:
    """Wait until a checkpoint covers the release and its export; sign one if this process can."""
    for _ in range(LOOKS):
        if signer is not None:
            sequencing.checkpoint_now(store, signer)
        with store.begin() as unit:
            tree = unit.tree()
            last = unit.checkpoint_before(tree.size) if tree else None
            places = [unit.place_of(ACCESS, noted), unit.place_of(release_id, length)]
        if last and all(place is not None and place < last.size for place in places):
            return
        time.sleep(PAUSE_S)
    raise Unreachable(
        f"the log of {release_id} is not covered by a checkpoint yet",
        next_step="Try again in a minute; `airlock status` shows whether `airlock deliver` runs.",
    )


def _gather(
    unit: LogWork,
    keyring: Keyring,
    witnesses: Mapping[str, Cosigner],
    release_id: str,
    noted: int = 0,
    length: int | None = None,
) -> dict[str, bytes]:
    """Return the exact bytes of a bundle; with *noted* also what proves them."""
    stream = [
        one for one in unit.told([release_id], frozenset()) if length is None or one[1] <= length
    ]
    release = _release(stream, release_id)
    files = {
        BUNDLE: head(release_id, noted),
        trust.KEYS: trust.document(
            keyring.keys(), {name: one.public for name, one in witnesses.items()}
        ),
        texts.TEXTS: texts.document({}),
        **dict(_documents(unit, release, stream)),
        **dict(_grants(unit, release_id, stream)),
    }
    last = _newest(unit) if noted else None
    context = sorted(_context(unit, release, noted), key=lambda one: (one[0], one[1]))
    for name, found in ((entries.STREAM, stream), (entries.CONTEXT, context)):
        files[name] = b"".join(entries.line(_proved(unit, one, last)) for one in found)
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
    judged = {
        digest
        for entry in stream
        if entry[2] == "GatesJudged"
        for result in json.loads(entry[3])["data"]["results"]
        for digest in result["evidence"]
    }
    for digest, body in unit.evidence_bodies(judged).items():
        yield evidence_name(digest), body
    for one in unit.evidence_of(release.origin).values():
        if one.artifact_digest == subject.artifact_digest:
            yield evidence_name(one.digest), one.body


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
    wanted = {release.subject.policy_digest, release.subject.pipeline_digest}
    for entry in unit.told_of("configuration", {"Registered"}):
        if json.loads(entry[3])["new"]["digest"] in wanted:
            yield entry
    yield from unit.told_of("keys", {"KeyRotated"})
    yield from _rights(unit, release)
    if noted:
        yield from (one for one in unit.told_of(ACCESS, {EXPORTED}) if one[1] == noted)


def _rights(unit: LogWork, release: Release) -> Iterator[Stored]:
    """Yield what says which roles everybody behind a vote held then, and who had lent a vote."""
    known = [(one, json.loads(one[3])) for one in unit.told_of(ACCESS, RIGHTS)]
    found: dict[int, Stored] = {}
    for vote in release.votes:
        wanted = (vote.behind, vote.person)
        lent = {
            content["resource"]
            for _, content in known
            if content["what"] == "Delegated"
            and (content["data"]["giver"], content["data"]["taker"]) == wanted
            and content["at"] <= vote.at
        }
        for person in vote.mandate.people:
            held = [
                entry
                for entry, content in known
                if content["resource"] == f"user/{person}" and content["at"] <= vote.at
            ]
            found |= {entry[1]: entry for entry in held[-1:]}
        found |= {entry[1]: entry for entry, content in known if content["resource"] in lent}
    yield from found.values()


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
    seen = None if receipts else unit.cosigned_before(last.size)
    if seen is None or seen.size == 0:
        return files
    path = at_once(lambda nodes: consistency(seen.size, last.size, nodes), unit.nodes_at)
    return files | {
        entries.WITNESSED: f"{seen.note}{''.join(unit.receipts(seen.size))}".encode(),
        entries.CONSISTENCY: path_document(path),
    }
