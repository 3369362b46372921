"""`onCommit`: a run starts when the code of a model was committed.

Rules:
* The newest commit of the model's folder counts. What is not committed starts nothing.
* A commit has to stay the newest for `QUIET_S` before it is posted, so that a series of commits
  starts one run.
* What was posted last is read back from Airflow, so nothing is posted twice across restarts, and a
  commit made while this process was away is posted when it is back. Without any event so far, the
  commit found first is where it begins: switching a platform on starts nothing.
* One pipeline that cannot be told costs the others nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from airlock.domain.errors import AirlockError

if TYPE_CHECKING:
    from airlock.ports import AssetEvents

#: A commit has to be the newest for so many seconds.
QUIET_S = 20.0
#: How often git is asked.
LOOK_EVERY_S = 5.0


def asset_of(pipeline: str) -> str:
    """Return the name of the asset whose events start a pipeline's runs."""
    return f"airlock/commit/{pipeline}"


class CommitTrigger:
    """Looks at commits, round by round.

    *newest* returns the newest commit of a folder, "" where nobody can say; *now* is in seconds.
    """

    def __init__(
        self,
        newest: Callable[[str], str],
        events: AssetEvents,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._newest, self._events, self._now = newest, events, now
        self._posted: dict[str, str] = {}
        self._since: dict[str, tuple[str, float]] = {}
        self._look_at = 0.0

    def round(self, folders: Mapping[str, str]) -> dict[str, str]:
        """Look at the folders, pipeline -> folder; return pipeline -> what went wrong."""
        if self._now() < self._look_at:
            return {}
        self._look_at = self._now() + LOOK_EVERY_S
        troubles = {}
        for pipeline, folder in folders.items():
            try:
                trouble = self._look(pipeline, folder)
            except AirlockError as error:
                trouble = error.message
            if trouble:
                troubles[pipeline] = trouble
        return troubles

    def _look(self, pipeline: str, folder: str) -> str:
        commit = self._newest(folder)
        if not commit:
            return f"git knows no commit of {folder}, so none can start a run"
        if pipeline not in self._posted:
            last = self._events.last(asset_of(pipeline)) or {}
            self._posted[pipeline] = str(last.get("commit") or commit)
        if commit == self._posted[pipeline]:
            self._since.pop(pipeline, None)
        elif self._settled(pipeline, commit):
            self._events.post(asset_of(pipeline), {"commit": commit})
            self._posted[pipeline] = commit
        return ""

    def _settled(self, pipeline: str, commit: str) -> bool:
        last_commit, since = self._since.get(pipeline, ("", 0.0))
        if last_commit != commit:
            self._since[pipeline] = (commit, self._now())
            return False
        return self._now() - since >= QUIET_S
