"""Pinned data: windows of a source, kept as Parquet under the digest of their own bytes.

Rules:
* `pin` writes `<directory>/sha256/<hex>.parquet`; the same rows give the same file.
* A file appears complete or not at all, is never changed, and is read back after writing.
* `path` checks the digest at every use: a pinned file that changed is refused.
* Rows without a time cannot be placed in a window, so they are refused, not dropped.
* What cannot be read one way by everybody is refused here, by column (`airlock.tables`).

It does not validate values beyond the target and does not split: the lab does.
"""

from __future__ import annotations

import os
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.domain.digest import file_digest, is_digest
from airlock.domain.errors import Invalid, NotFound
from airlock.tables import DataUnusable as DataUnusable
from airlock.tables import describe, read, target_problem, with_times
from airlock.tables.errors import refusal

if TYPE_CHECKING:
    import pyarrow

#: What to do about a source that does not fit its pipeline.
MEND_DATA = "mend spec.data of the pipeline, or the source"
_PIN_AGAIN = "start a new run, which pins the data again"


class FileData:
    """A folder of pinned data windows."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def pin(
        self,
        source: Path,
        time_column: str | None = None,
        until: date | None = None,
        since: date | None = None,
        *,
        target: str | None = None,
        task: str | None = None,
    ) -> dict[str, Any]:
        """Keep the rows of *source* from *since* to *until*, both included.

        Returns:
            The facts of the data-profile evidence, with the schema every later step reads.

        Raises:
            Invalid: for a window without a time column to measure it by.
            DataUnusable: if no row is left, or a column is missing or cannot be carried.
        """
        name = name_of(source)
        if time_column is None and (since or until):
            raise Invalid(f"data {name}: a window needs a time column, and the pipeline names none")
        table = table_of(source, time_column, target)
        if time_column:
            table = _window(table, name, time_column, since, until)
        if not table.num_rows:
            raise DataUnusable(
                f"data {name} has no rows{_between(since, until)}",
                next_step="widen the window of the run: its options since and until"
                if since or until
                else "give data with rows",
            )
        if target and (problem := target_problem(table[target], target, task)):
            raise refusal(name, [problem])
        return {
            "source": name,
            "digest": self._keep(table),
            "rows": table.num_rows,
            "columns": list(table.column_names),
            "schema": describe(table),
            "window": {"since": _day(since), "until": _day(until)},
            "timeColumn": time_column,
            "target": target,
        }

    def path(self, digest: str) -> Path:
        """Return the file of *digest*, after checking that it still has it.

        Raises:
            NotFound: if nothing is pinned under this digest.
            DataUnusable: if the file's bytes have changed.
        """
        if not is_digest(digest):
            raise Invalid(f"{digest!r} is not a digest; expected sha256 and 64 hex digits")
        path = self._place(digest)
        if not path.is_file():
            raise NotFound(f"no data is pinned under {digest}", next_step=_PIN_AGAIN)
        current = file_digest(path)
        if current != digest:
            raise DataUnusable(
                f"pinned data was changed: expected {digest}, found {current}",
                next_step=f"find out who writes there; {_PIN_AGAIN}",
            )
        return path

    def newest(self, digest: str, time_column: str | None) -> str | None:
        """Return the day of the newest pinned row, as YYYY-MM-DD; None for rows without times."""
        if time_column is None:
            return None
        import pyarrow.compute
        import pyarrow.parquet

        times = pyarrow.parquet.read_table(self.path(digest), columns=[time_column])[time_column]
        return str(pyarrow.compute.max(times).as_py())[:10]

    def _place(self, digest: str) -> Path:
        return self._directory / "sha256" / f"{digest.removeprefix('sha256:')}.parquet"

    def _keep(self, table: pyarrow.Table) -> str:
        """Write *table* under its digest, unless it is there already."""
        import pyarrow.parquet

        folder = self._directory / "sha256"
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".writing-")
        try:
            with os.fdopen(handle, "wb") as stream:
                pyarrow.parquet.write_table(table, stream, compression="zstd")
                stream.flush()
                os.fsync(stream.fileno())
            digest = file_digest(Path(temporary))
            place = self._place(digest)
            # Replacing also mends a file that was damaged: the bytes are the same by definition.
            Path(temporary).replace(place)
        finally:
            Path(temporary).unlink(missing_ok=True)
        self.path(digest)
        return digest


def name_of(source: Path) -> str:
    """Return the name of a source in facts and messages."""
    return f"{source.parent.name}/{source.name}"


def table_of(source: Path, time_column: str | None, target: str | None) -> pyarrow.Table:
    """Return all rows of a source, as they would be pinned.

    Raises:
        DataUnusable: if it cannot be read, or lacks or cannot carry a column.
    """
    name = name_of(source)
    table = read(source, name)
    _require(table, name, [time_column, target])
    return with_times(table, time_column, name) if time_column else table


def outline(source: Path, target: str, task: str | None = None) -> tuple[int, float]:
    """Return how many rows a source has and the share of them whose target is 1.

    Raises:
        DataUnusable: if it cannot be pinned with this target.
    """
    import pyarrow.compute as compute

    table = table_of(source, None, target)
    if problem := target_problem(table[target], target, task):
        raise refusal(name_of(source), [problem])
    hits = compute.sum(compute.equal(table[target], 1)).as_py() or 0
    return table.num_rows, hits / max(1, table.num_rows)


def _require(table: pyarrow.Table, name: str, columns: list[str | None]) -> None:
    for column in columns:
        if column and column not in table.column_names:
            raise DataUnusable(
                f"data {name} has no column {column!r}; it has {', '.join(table.column_names)}",
                next_step=MEND_DATA,
            )


def _window(
    table: pyarrow.Table, name: str, column: str, since: date | None, until: date | None
) -> pyarrow.Table:
    """Return the rows of the window, in the order of the source."""
    import pyarrow
    import pyarrow.compute as compute

    days = compute.cast(table[column], pyarrow.date32(), safe=False)  # in the column's own zone
    if days.null_count:
        raise DataUnusable(f"data {name}: {days.null_count} rows have no {column!r}")
    keep = compute.is_valid(days)
    if since:
        keep = compute.and_(keep, compute.greater_equal(days, pyarrow.scalar(since)))
    if until:
        keep = compute.and_(keep, compute.less_equal(days, pyarrow.scalar(until)))
    return table.filter(keep)


def _between(since: date | None, until: date | None) -> str:
    after = f" from {since.isoformat()}" if since else ""
    before = f" until {until.isoformat()}" if until else ""
    return after + before


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None
