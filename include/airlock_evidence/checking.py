"""The whole check of a bundle, in layers: the next is looked at only if the one before holds.

files -> keys and checkpoints -> log entries -> the release they tell -> readable documents
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airlock_evidence import VERSION, claims, documents, texts
from airlock_evidence.archive import MANIFEST, Failed, canonical, check_manifest
from airlock_evidence.attested import ATTESTATIONS, check_attested
from airlock_evidence.dossier import BUNDLE, EXPORTED, Dossier, evidence_names, read_dossier
from airlock_evidence.ed25519 import verify
from airlock_evidence.entries import (
    CHECKPOINT,
    CONSISTENCY,
    CONTEXT,
    STREAM,
    WITNESSED,
    check_chain,
    check_in_tree,
    check_sound,
)
from airlock_evidence.judging import check_documents, check_gates
from airlock_evidence.levels import check_levels
from airlock_evidence.proofs import Signed, consistent, open_note, unbase64
from airlock_evidence.risk import check_risk
from airlock_evidence.trust import KEYS, Trust, check_in_use, extended, rotations
from airlock_evidence.words import since_1970

_AROUND = frozenset(
    {
        "Registered",
        "RightsChanged",
        "Delegated",
        "DelegationEnded",
        "KeyRotated",
        EXPORTED,
        texts.ERASURE,
    }
)

#: The keys in a bundle -> the keys to trust.
Choose = Callable[[Trust], Trust]


class Unknown(Exception):
    """The bundle may be good, but this program cannot tell."""


@dataclass
class Result:
    """What a check found. `trust` says in words whose keys were used."""

    release: str = ""
    failures: list[Failed] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    proved: list[str] = field(default_factory=list)
    outside: bool = False
    trust: str = ""
    state: str = ""

    @property
    def ok(self) -> bool:
        """Say whether nothing was wrong."""
        return not self.failures


def check(files: Mapping[str, bytes], choose: Choose | None = None) -> Result:
    """Check a bundle with the keys *choose* picks; without it with those inside.

    Raises:
        Unknown: if the bundle has a form this program does not know.
    """
    result = Result()
    try:
        check_manifest(files)
        result.proved.append(f"{len(files) - 1} files are those of the manifest")
        _check_form(files)
        dossier = read_dossier(files)
        result.release, result.state = dossier.release.id, dossier.release.state
        trusted = _trust(dossier, choose, result)
        signed = _checkpoints(files, dossier, trusted, result)
        _log(dossier, signed, result)
        _release(files, dossier, trusted, result)
        _readable(files, dossier, result)
    except Failed as failure:
        result.failures.append(failure)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        result.failures.append(Failed("the bundle", f"is malformed: {error!r}"))
    return result


def _check_form(files: Mapping[str, bytes]) -> None:
    """Refuse another form, and files a bundle does not have."""
    try:
        header = json.loads(files[BUNDLE])
        kind, version = header["airlock"], header["version"]
        form = head(str(header["release"]), header["export"])
    except (KeyError, TypeError, ValueError) as error:
        raise Failed(BUNDLE, "is missing or cannot be read") from error
    if kind == "evidence" and type(version) is int and version != VERSION:
        raise Unknown(
            f"the bundle has form {version}, this program knows form {VERSION}: use the verify.py "
            "of a matching version"
        )
    if form != files[BUNDLE]:
        raise Failed(BUNDLE, "is not the header of an evidence bundle")
    expected = {
        MANIFEST,
        BUNDLE,
        KEYS,
        texts.TEXTS,
        STREAM,
        CONTEXT,
        CHECKPOINT,
        WITNESSED,
        CONSISTENCY,
        "policy.json",
        "pipeline.json",
        claims.PROMOTION,
        claims.ROLLBACK,
        ATTESTATIONS,
        *documents.NAMES,
        *evidence_names(files),
    }
    for name in sorted(files):
        if name not in expected and not documents.PROGRAM.fullmatch(name):
            raise Failed(name, "does not belong into a bundle")


def _trust(dossier: Dossier, choose: Choose | None, result: Result) -> Trust:
    chosen = choose(dossier.keys) if choose else dossier.keys
    result.outside = choose is not None
    result.trust = (
        f"checked with {chosen.outside}, brought from outside"
        if result.outside
        else "checked with the keys INSIDE the bundle: whoever made it could have made them too"
    )
    if not chosen.log:
        raise Failed(KEYS, "has none of the keys you trust: another log, or a forged bundle")
    for entry in dossier.context:
        check_sound(entry)
    trusted = extended(chosen, rotations(dossier.around))
    for key, public in dossier.keys.log.items():
        if trusted.log.get(key) != public:
            result.notes.append(f"the bundle shows the key {key}, which is none you trust")
    return trusted


def _checkpoints(
    files: Mapping[str, bytes], dossier: Dossier, trusted: Trust, result: Result
) -> Signed:
    """Check the checkpoints' signatures, and that the newer one extends the other."""
    if CHECKPOINT not in files:
        raise Failed(CHECKPOINT, "is missing")
    witnesses = {**dossier.keys.witnesses, **trusted.witnesses}
    newest = open_note(CHECKPOINT, files[CHECKPOINT], trusted.log, witnesses)
    rotated = rotations(dossier.around)
    check_in_use(CHECKPOINT, newest.key, newest.at, rotated)
    opened = [newest]
    if (WITNESSED in files) != (CONSISTENCY in files):
        raise Failed(CONSISTENCY, f"and {WITNESSED} come together: one is missing")
    if WITNESSED in files:
        older = open_note(WITNESSED, files[WITNESSED], trusted.log, witnesses)
        check_in_use(WITNESSED, older.key, older.at, rotated)
        proof = json.loads(files[CONSISTENCY])
        path = [unbase64(node) for node in proof["path"]]
        same = older.origin == newest.origin and canonical(proof) == files[CONSISTENCY]
        if not same or not consistent(older.size, newest.size, path, older.root, newest.root):
            raise Failed(CONSISTENCY, "the checkpoint does not extend the one of the witness")
        opened.append(older)
    result.proved.append(
        f"the checkpoint of {newest.size} entries was signed by the log {newest.origin} "
        f"(key {newest.key}) on {since_1970(newest.at)}"
    )
    _cosigned(opened, dossier, trusted, result)
    return newest


def _cosigned(opened: list[Signed], dossier: Dossier, trusted: Trust, result: Result) -> None:
    for checkpoint in opened:
        count = sum(entry.place < checkpoint.size for entry in dossier.entries)
        for name, at in checkpoint.witnesses.items():
            is_trusted = name in trusted.witnesses
            caveat = "" if is_trusted and result.outside else ", with the key inside the bundle"
            result.proved.append(
                f"witness {name} cosigned {checkpoint.size} entries on {since_1970(at)}{caveat}: "
                f"{count} of {len(dossier.entries)} entries of this release are among them"
            )
    if not any(checkpoint.witnesses for checkpoint in opened):
        result.notes.append(
            "no witness has cosigned the checkpoint: the owner of the log's key could show "
            "somebody else another log"
        )


def _log(dossier: Dossier, signed: Signed, result: Result) -> None:
    """Check the entries, and that the stream is as long as the export said."""
    for entry in dossier.entries:
        check_sound(entry)
    check_chain(dossier.entries, str(dossier.header["release"]))
    order = [(entry.stream, entry.seq) for entry in dossier.context]
    if order != sorted(set(order)):
        raise Failed(CONTEXT, "has entries twice or in another order")
    for content in dossier.around:
        if content["what"] not in _AROUND:
            raise Failed(CONTEXT, f"has an entry that tells nothing here: {content['what']}")
    check_in_tree([*dossier.entries, *dossier.context], signed.size, signed.root, signed.at)
    export = dossier.export
    if not export or export["what"] != EXPORTED:
        raise Failed(CONTEXT, "does not have the entry of this export")
    if export["resource"] != f"release/{dossier.release.id}":
        raise Failed(CONTEXT, f"tells of an export of {export['resource']}")
    last = dossier.entries[-1]
    exported = (export["data"]["entries"], export["data"]["head"])
    if exported != (last.seq, last.hash.hex()):
        raise Failed(STREAM, f"has {last.seq} entries, at the export it had {exported[0]}")
    result.proved.append(
        f"{len(dossier.entries)} entries are the whole log of the release at the export, "
        f"and {len(dossier.context)} more are in the same log"
    )


def _release(files: Mapping[str, bytes], dossier: Dossier, trusted: Trust, result: Result) -> None:
    """Check documents, evidence, gates, votes and grants."""
    release = dossier.release
    check_documents(files, dossier)
    _texts(dossier, result)
    result.notes += check_gates(dossier)
    result.notes += check_attested(files, dossier)
    result.notes += check_levels(release, dossier.policy, dossier.rights)
    check_risk(dossier)

    def good(key: str, signature: bytes, message: bytes) -> bool:
        return key in trusted.log and verify(trusted.log[key], signature, message)

    rotated = rotations(dossier.around)
    result.notes += claims.check_grants(files, release, dossier.policy, good, rotated)
    result.proved.append(
        f"policy, pipeline, {len(dossier.evidence)} pieces of evidence and "
        f"{len(release.gates)} gate results are those of the log"
    )
    result.proved.append(
        f"{len(release.votes_now())} votes were for the subject {release.digest}, "
        f"{len(release.complete)} of {len(dossier.levels)} levels complete by the policy's rules"
    )
    grant = "its grant is signed and for exactly this subject" if dossier.grants else "no grant"
    result.proved.append(f"the release is {release.state}; {grant}")


def _texts(dossier: Dossier, result: Result) -> None:
    """Check that every text belongs to an entry, and that a missing one was erased."""
    entries = [*dossier.entries, *dossier.context]
    used = {name for entry in entries for name in texts.commitments(entry.content)}
    for name in sorted(set(dossier.texts) - used):
        raise Failed(texts.TEXTS, f"has a text that no entry commits to: {name}")
    gone = used - set(dossier.texts)
    for name in sorted(gone - texts.erased(dossier.around)):
        raise Failed(texts.TEXTS, f"does not have {name}, and no entry says it was erased")
    if gone:
        result.notes.append(f"{len(gone)} texts were erased since; what they said is not here")


def _readable(files: Mapping[str, bytes], dossier: Dossier, result: Result) -> None:
    """Make every readable document again and compare."""
    rendered: dict[str, Any] = documents.readable(dossier)
    for name, data in rendered.items():
        if files.get(name) != data:
            raise Failed(name, "does not say what the signed log says")
    why, note = documents.judge_program(files, dossier.export["data"].get("program"))
    result.failures += [Failed("the program in the bundle", why)] if why else []
    result.notes += [note] if note else []
    result.proved.append(f"{len(rendered)} readable documents say what the log says, to the byte")


def head(release: str, export: int) -> bytes:
    """Return the header of a bundle; *export* is the entry of the export in the stream `access`."""
    return canonical(
        {"airlock": "evidence", "version": VERSION, "release": release, "export": export}
    )


def path_document(path: list[bytes]) -> bytes:
    """Return the file of a consistency proof."""
    return canonical({"path": [base64.b64encode(node).decode() for node in path]})
