"""Reading the log, taking it away, and proving one entry of it.

Rules:
* Whoever reads the log is in the log: `LogRead` and `LogExported` in the stream `access`. Writing
  that entry is no reading, so one look makes one entry.
* The entry is written before anything is handed out: nobody reads first and fails to be noted.
* An export needs a reason, and the permission `audit:export`, which only auditors are given.

Checking the log is in `airlock.services.audit.verification`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airlock.domain.clock import stamp
from airlock.domain.errors import Invalid, NotFound
from airlock.domain.log.audit import Event
from airlock.domain.log.checkpoint import proof
from airlock.domain.log.erasable_texts import readable, spoken
from airlock.domain.log.export import Header, lines
from airlock.domain.log.merkle import at_once, inclusion
from airlock.domain.people.actors import Actor
from airlock.ports import Keyring, Store
from airlock.services.audit.log_store import LogStore
from airlock.services.audit.verification import Report, verify
from airlock.services.rows import Rows

__all__ = ["Report", "events", "export", "prove", "read", "verify"]

#: The stream that says who looked at what.
ACCESS = "access"
REASON_MIN = 3


def events(store: Store, stream: str | None = None, limit: int = 200) -> list[dict[str, Any]]:
    """Return the newest events, oldest of them first, with their texts and hashes."""
    return page(store, stream=stream, limit=limit).rows


def page(
    store: Store,
    *,
    stream: str | None = None,
    event_type: str = "",
    after: str = "",
    limit: int = 200,
) -> Rows:
    """Return a page of events, oldest of them first; the next page has older ones.

    *stream* and *event_type* select those of one stream and of one type.

    Raises:
        Invalid: if *after* is no place where a page ended.
    """
    with store.begin() as unit:
        entries = unit.entry_page(stream=stream, event_type=event_type, after=after, limit=limit)
        contents = [(entry, entry.content) for entry in reversed(entries.items)]
        texts = unit.resolve_texts(text for _, content in contents for text in spoken(content))
    rows = [
        {**readable(content, texts), "hash": entry.hash.hex(), "prev": entry.prev.hex()}
        for entry, content in contents
    ]
    return Rows(rows, entries.next)


def read(
    store: Store,
    actor: Actor,
    stream: str | None = None,
    limit: int = 200,
    *,
    event_type: str = "",
    after: str = "",
) -> Rows:
    """Return a page of events to *actor*, and log who has read them."""
    page_rows = page(store, stream=stream, event_type=event_type, after=after, limit=limit)
    note(store, actor, "LogRead", stream or "", {"entries": len(page_rows.rows)})
    return page_rows


def note(
    store: Store, actor: Actor, event_type: str, stream: str, data: dict[str, Any], why: str = ""
) -> None:
    """Log that *actor* reads the log."""
    with store.begin() as unit:
        resource = f"log/{stream}" if stream else "log"
        unit.log(ACCESS, Event.by(actor, event_type, resource, data, why))
        unit.commit()


def export(store: LogStore, keyring: Keyring, actor: Actor, reason: str) -> Iterator[str]:
    """Return the whole log as lines of JSON, to be checked offline.

    The export is noted before the first line is made.

    Raises:
        Invalid: without a reason.
    """
    if len(reason.strip()) < REASON_MIN:
        raise Invalid(
            "an export of the log needs a reason: who wants it, and what for",
            next_step="Say why with `--reason`.",
        )
    note(store, actor, "LogExported", "", {}, reason.strip())
    return _lines(store, keyring, actor, reason.strip())


def _lines(store: LogStore, keyring: Keyring, actor: Actor, reason: str) -> Iterator[str]:
    with store.begin() as unit:
        unit.hold_still()
        tree = unit.tree()
        header = Header(
            origin=tree.origin if tree else None,
            exported_at=stamp(unit.now()),
            exported_by=actor.id,
            reason=reason,
            keys=keyring.keys(),
            heads=unit.heads(),
            notes=tuple(
                (checkpoint.size, checkpoint.note + "".join(unit.receipts(checkpoint.size)))
                for checkpoint in unit.checkpoints()
            ),
        )
        yield from lines(header, unit.leaves(), unit.leafless(), unit.texts_of)


def prove(store: LogStore, stream: str, seq: int) -> str:
    """Return the proof that an entry is in the tree of the newest checkpoint (tlog-proof).

    Raises:
        NotFound: if there is no such entry, or no checkpoint covers it yet.
    """
    with store.begin() as unit:
        place, tree = unit.place_of(stream, seq), unit.tree()
        last = unit.checkpoint_before(tree.size) if tree else None
        if place is None or last is None or last.size <= place:
            raise NotFound(
                f"entry {seq} of {stream} is not covered by a checkpoint",
                next_step="A new entry is covered within a minute; `airlock audit list` shows all.",
            )
        size = last.size
        path = at_once(lambda nodes: inclusion(place, size, nodes), unit.nodes_at)
        return proof(place, path, last.note + "".join(unit.receipts(last.size)))
