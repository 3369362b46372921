"""Reading the whole log as a stream, page by page, through the driver itself: bytes as bytes.

PostgreSQL reads entries and leaves side by side, each in its own order, which are nearly the same;
that is twice as fast as a join there. SQLite joins them: each row it hands out costs more than
finding the entry of a leaf. It checks nothing, and holds a page and what waits for its leaf.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from itertools import chain
from typing import Any

from sqlalchemy import Connection, text

from airlock.domain.errors import Unreachable
from airlock.domain.log.tree import Leaf, Stored

#: Rows fetched at a time; more would leave the processor's cache.
PAGE = 1_000

#: How far before the entry of its first leaf a second half looks for those of the others: ids are
#: given out before the commit. An entry further back is not found, and the half is then no help.
SLACK = 5 * PAGE

_ENTRIES = "SELECT id, stream, seq, what, body, prev, hash FROM audit_event{where} ORDER BY 1"
_LEAVES = "SELECT idx, event, hash FROM audit_leaf{where} ORDER BY 1"
# SQLite keeps whatever type somebody wrote; an edited entry must be found, not crash: hence CAST.
_JOINED = (
    "SELECT leaf.idx, CAST(leaf.hash AS BLOB), entry.stream, entry.seq, entry.what, "
    "CAST(entry.body AS BLOB), CAST(entry.prev AS BLOB), CAST(entry.hash AS BLOB), entry.id "
    "FROM audit_leaf AS leaf LEFT JOIN audit_event AS entry ON entry.id = leaf.event"
    "{where} ORDER BY 1"
)


def leaves(connection: Connection, first: int, last: int | None) -> Iterator[Leaf]:
    """Return every leaf in order, with its entry; if asked, from *first* on and before *last*."""
    connection.execute(text("SELECT 1"))  # so that the transaction has begun
    driver = connection.connection.driver_connection
    if driver is None:
        raise Unreachable("the connection to Airlock's database is gone")
    read = _joined if connection.dialect.name == "sqlite" else _side_by_side
    return read(driver, first, _where(first, last))


def _where(first: int, last: int | None) -> str:
    bounds = [f"idx >= {first:d}"] if first else []
    bounds += [f"idx < {last:d}"] if last is not None else []
    return f" WHERE {' AND '.join(bounds)}" if bounds else ""


def _joined(driver: Any, _first: int, where: str) -> Iterator[Leaf]:
    for row in driver.execute(_JOINED.format(where=where)):
        yield row[0], row[1], None if row[8] is None else row[2:8]


def _side_by_side(driver: Any, first: int, where: str) -> Iterator[Leaf]:
    """Read both tables; entries that come before their leaf wait for it."""
    since = _event_of(driver, first) - SLACK if first else None
    later = "" if since is None else f" WHERE id >= {since:d}"
    entries = chain.from_iterable(_pages(driver, _ENTRIES.format(where=later)))
    waiting: dict[int, Stored] = {}
    last = -1
    for idx, event, leaf in chain.from_iterable(_pages(driver, _LEAVES.format(where=where))):
        while last < event and (row := next(entries, None)) is not None:
            last = row[0]
            waiting[last] = row[1:]
        yield idx, leaf, waiting.pop(event, None)


def _event_of(driver: Any, index: int) -> int:
    """Return the event of a leaf; 0 if there is no such leaf."""
    row = driver.execute("SELECT event FROM audit_leaf WHERE idx = %s", (index,)).fetchone()
    return row[0] if row else 0


def _pages(driver: Any, query: str) -> Iterator[list[Any]]:
    with driver.cursor(name=f"scan_{secrets.token_hex(4)}", binary=True) as cursor:
        cursor.execute(query)
        while page := cursor.fetchmany(PAGE):
            yield page
