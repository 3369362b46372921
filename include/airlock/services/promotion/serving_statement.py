"""What serves now in one environment, stated and signed for those who serve it.

The line says which release it stands at and how often it has moved; the grant with that sequence
number is the one that moved it there: a promotion's, or that of a rollback. Where there is none,
nothing is stated: a line without its grant was not moved by Airlock.
"""

from __future__ import annotations

from datetime import datetime

from airlock.domain.approval.release import Release, State
from airlock.domain.errors import NotFound, Refused
from airlock.domain.promotion.grant import Grant, unseal
from airlock.domain.promotion.serving_statement import seal, state
from airlock.ports import Keyring, Signer, Store, StoredGrant, UnitOfWork

_MOST = 1000


def current(store: Store, signer: Signer, keyring: Keyring, model: str, environment: str) -> str:
    """Return the signed statement about a line.

    Raises:
        NotFound: if nothing was ever released there.
        Refused: if the line does not stand where a spent grant has moved it.
    """
    with store.begin() as unit:
        line = unit.line(model, environment)
        if line.release is None:
            raise NotFound(
                f"nothing of {model} is released in {environment}",
                next_step="Release a version first; `airlock release list` shows what is open.",
            )
        release = unit.get(line.release)
        if release.state is not State.PROMOTED:
            raise Refused(
                f"release {release.id} of {model} is {release.state}: nothing may be served",
                next_step="Release another version.",
            )
        stored, grant = _grant(unit, keyring, release, line.epoch)
        if stored.spent_at is None:
            raise Refused(f"the grant of release {release.id} was never spent")
        moved_at: datetime = stored.spent_at
        now = unit.now()
    statement = state(grant, stored.envelope, release.subject, moved_at, now)
    return seal(statement, signer.key_id, signer.sign)


def _grant(
    unit: UnitOfWork, keyring: Keyring, release: Release, sequence: int
) -> tuple[StoredGrant, Grant]:
    """Return the grant that moved the line to *sequence*."""
    left = unit.find(states=[State.ROLLED_BACK], model=release.subject.model, limit=_MOST)
    candidates = [(release.id, "promotion"), *((leaving.id, "rollback") for leaving in left)]
    for owner, purpose in candidates:
        stored = unit.grant_of(owner, purpose)
        if stored is None:
            continue
        grant = unseal(stored.envelope, keyring.verify)
        if (grant.sequence, grant.release) == (sequence, release.id):
            return stored, grant
    raise Refused(
        f"no grant moved {release.subject.model} in {release.subject.environment} to its "
        f"sequence {sequence}",
        next_step="`airlock audit verify` says what is wrong with the log.",
    )
