"""Changing the signing key: the old one signs the new one, and the log tells it.

Rules:
* `KeyRotated` holds the new public key and the old key's signature over it; whoever trusts the old
  key can trust the new one.
* The old public key stays trusted for what it signed while it was in use: a grant or a checkpoint
  with a later time is refused. `GRACE` is for a decision in flight.
* Order: the new public key is trusted, the entry is written, the private key is replaced, the old
  key's end is noted. Interrupted anywhere, everything signed so far still verifies; do it again.
"""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Protocol

from airlock.domain.clock import stamp
from airlock.ports import Signer, Store
from airlock.services.audit.transparency_log import system_event
from airlock.services.audit.verification import ROTATION

STREAM = "keys"
GRACE = timedelta(minutes=10)


class KeyShelf(Protocol):
    """Where the key files are."""

    def prepare(self) -> Signer:
        """Create a new key, trusted but not yet in use, or return the one already prepared."""

    def replace(self) -> None:
        """Let the prepared key take the place of the one in use."""

    def give_up(self, key_id: str, until: str) -> None:
        """Note until when a key was in use."""


def rotate(store: Store, signer: Signer, shelf: KeyShelf) -> tuple[str, str]:
    """Replace the signing key; return the ids of the old and the new one."""
    fresh = shelf.prepare()
    old, signature = signer.key_id, signer.sign(ROTATION + fresh.public)
    with store.begin() as unit:
        event = system_event(
            "KeyRotated",
            f"key/{fresh.key_id}",
            "",
            old=old,
            new=fresh.key_id,
            publicKey=base64.b64encode(fresh.public).decode(),
            signature=base64.b64encode(signature).decode(),
        )
        unit.log(STREAM, event)
        until = stamp(unit.now() + GRACE)
        unit.commit()
    new = fresh.key_id
    shelf.replace()
    shelf.give_up(old, until)
    return old, new
