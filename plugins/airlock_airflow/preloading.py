"""What every task of ours needs, imported once in the process that tasks are forked from.

A task that imported it by itself would pay for it while somebody waits: half a second on an idle
machine, several times on a busy one. The DAG processor forks too, to read a file every half minute.
Only code is shared this way: settings, credentials and connections are each task's own. Nothing of
Airflow is imported: it is only being set up by then.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

#: What `airflow` is called with where tasks are forked (LocalExecutor's and Celery's), or parsers.
_FORKS = (("scheduler",), ("celery", "worker"), ("dag-processor",))
_NEEDED = (
    "airlock.bootstrap",
    "airlock.bootstrap.proposals",
    "airlock.services.promotion.promote",
    "airlock.services.queries.releases",
    "airlock.services.approvals.open_release",
)


def preload(arguments: Sequence[str]) -> bool:
    """Import it if this process, started with *arguments*, forks tasks; say whether it does."""
    forks = any(tuple(arguments[: len(command)]) == command for command in _FORKS)
    for name in _NEEDED if forks else ():
        importlib.import_module(name)
    return forks
