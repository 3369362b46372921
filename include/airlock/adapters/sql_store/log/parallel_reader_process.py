"""The program of a helper: one job, read from standard input, answered on standard output."""

from __future__ import annotations

import json
import sys

from airlock.adapters.sql_store.store import SqlStore
from airlock.domain.log.partition import half_to_document
from airlock.services.audit.parallel_verification import work


def main() -> None:
    """Do the job in a transaction that sees what the asking one sees."""
    request = json.load(sys.stdin.buffer)
    store = SqlStore(request["url"], pooled=False, reader=True)
    with store.begin() as unit:
        unit.hold_still(request["like"])
        half = work(unit, request["job"])
    json.dump(half_to_document(half) if half else None, sys.stdout)


if __name__ == "__main__":
    main()
