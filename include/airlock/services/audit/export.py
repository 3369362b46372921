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

import time
from collections.abc import Mapping

from airlock.domain.errors import Invalid, Refused, Unreachable
from airlock.domain.log.audit import Event, Head
from airlock.domain.log.checkpoint import Cosigner
from airlock.domain.people.actors import Actor
from airlock.ports import Keyring, Signer
from airlock.services.audit import transparency_log
from airlock.services.audit.access_log import ACCESS, REASON_MIN
from airlock.services.audit.export_parts import gather
from airlock.services.audit.log_store import LogStore
from airlock_evidence.archive import Failed, pack
from airlock_evidence.checking import check
from airlock_evidence.documents import code, complete, program_digest
from airlock_evidence.dossier import EXPORTED, read_dossier
from airlock_evidence.report import report as render
from airlock_evidence.trust import Trust

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
        raw = gather(unit, keyring, witnesses, release_id, place, length)
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
        raw = gather(unit, keyring, witnesses, release_id)
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
        data = {"release": release_id, "entries": end.seq, "head": end.hash.hex()}
        data["program"] = program_digest(code())
        event = Event.by(actor, EXPORTED, f"release/{release_id}", data, reason)
        noted = unit.log(ACCESS, event)
        unit.commit()
    return noted.seq, end.seq


def _cover(
    store: LogStore, signer: Signer | None, release_id: str, length: int, noted: int
) -> None:
    """Wait until a checkpoint covers the release and its export; sign one if this process can."""
    for _ in range(LOOKS):
        if signer is not None:
            transparency_log.checkpoint_now(store, signer)
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
