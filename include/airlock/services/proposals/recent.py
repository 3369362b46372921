"""Airflow's record of a run, remembered for moments: a run proposes several things in a row."""

from __future__ import annotations

import time
from collections.abc import Callable

from airlock.ports import RunRecord, RunSource

SECONDS = 5.0
_MOST = 1_000


class RecentRuns:
    """A source that is not asked again about a run that went on a moment ago."""

    def __init__(
        self,
        source: RunSource,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask *source*, unless it has answered less than *seconds* ago."""
        self._source, self._seconds, self._clock = source, seconds, clock
        self._records: dict[str, tuple[float, RunRecord]] = {}

    def run(self, origin: str) -> RunRecord | None:
        """Return a run. One that is over, or that there is not, is asked about every time."""
        cached = self._records.get(origin)
        if cached is not None and self._clock() - cached[0] < self._seconds:
            return cached[1]
        record = self._source.run(origin)
        if len(self._records) >= _MOST:
            self._records.clear()
        if record is not None and not record.is_over:
            self._records[origin] = (self._clock(), record)
        else:
            self._records.pop(origin, None)
        return record

    def has_task(self, dag_id: str, run_id: str, task_id: str) -> bool:
        """Say whether a run has such a task instance."""
        return self._source.has_task(dag_id, run_id, task_id)

    def failed_tasks(self, dag_id: str, run_id: str) -> tuple[str, ...]:
        """Return the tasks of a run that have failed."""
        return self._source.failed_tasks(dag_id, run_id)
