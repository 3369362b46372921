"""Read tables one column at a time, so that memory grows with the rows and not with the columns.

A column stays an Arrow array until it is known what is to be computed from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airlock import tables
from airlock.adapters.jobs.errors import DataInvalid
from airlock.adapters.jobs.shared import pinned_rows
from airlock.domain.digest import file_digest


@dataclass(frozen=True)
class Columns:
    """A table on disk, or in memory, and which of its rows count."""

    schema: Any
    length: int
    source: Any
    mask: Any = None

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [str(name) for name in self.schema.names]

    def type_of(self, column: str) -> str:
        """Return the kind of a column's values."""
        return tables.kind_of(self.schema.field(column).type)

    @property
    def rows(self) -> int:
        """How many rows count."""
        return self.length if self.mask is None else int(self.mask.sum())

    def read(self, column: str) -> Any:
        """Return one column of the rows that count; a dictionary as its plain values."""
        import pyarrow
        import pyarrow.parquet

        if isinstance(self.source, pyarrow.Table):
            array = self.source.column(column)
        else:
            array = pyarrow.parquet.read_table(self.source, columns=[column]).column(column)
        if pyarrow.types.is_dictionary(array.type):
            array = array.cast(array.type.value_type)
        return array if self.mask is None else array.filter(pyarrow.array(self.mask))


def training(name: str, data: dict[str, Any]) -> Columns:
    """Return the training part of pinned rows, whose digest must be the one in the request."""
    whole = pinned(name, data)
    return Columns(whole.schema, whole.length, whole.source, ~held_out(whole, data))


def pinned(name: str, data: dict[str, Any]) -> Columns:
    """Return pinned rows.

    Raises:
        DataInvalid: if they are others, none, or lack the target or the time.
    """
    digest = file_digest(Path(data["path"]))
    if digest != data["digest"]:
        raise DataInvalid(
            f"data of {name}: expected {data['digest']}, found {digest}",
            next_step="something changed the pinned file; start a new run, which pins it again",
        )
    table = _parquet(Path(data["path"]))
    for column in filter(None, (data["target"], data["timeColumn"])):
        if column not in table.names:
            raise DataInvalid(f"data of {name} has no column {column!r}")
    if odd := tables.irregular(table.schema):
        raise DataInvalid(
            f"data of {name}: nobody pins the columns {', '.join(odd[:5])} as they are",
            next_step="start a new run, which pins the data again",
        )
    if not table.length:
        raise DataInvalid(f"data of {name} has no rows", next_step="widen the data window")
    return table


def held_out(table: Columns, data: dict[str, Any]) -> Any:
    """Return a mask of the held-out rows: the very rows every other stage holds out."""
    import pandas

    when = data["timeColumn"]
    frame = pandas.DataFrame(index=range(table.length))
    if when:
        frame = table.read(when).to_pandas().to_frame(when)
    return pinned_rows.held_out(frame, data)


def requests_log(name: str, path: Path, trained: Columns) -> Columns:
    """Return recorded requests: Parquet, or one JSON object per line (read as a whole).

    JSON has no type for times, and a reader that guesses takes text for them: what training calls
    text is read as text, and what it calls times is read as such where it is written as such.
    """
    import pyarrow

    try:
        if path.suffix in (".jsonl", ".ndjson", ".json"):
            table = _as_trained(_json(path), trained)
            return Columns(table.schema, table.num_rows, table)
        log = _parquet(path)
        if tables.irregular(log.schema):
            table = tables.read(path, path.name)
            return Columns(table.schema, table.num_rows, table)
        return log
    except tables.DataUnusable as error:
        raise DataInvalid(
            f"the serving log of {name}: {error.message}", next_step=error.next_step
        ) from error
    except (pyarrow.ArrowException, OSError) as error:
        text = " ".join(str(error).split())[:300]
        raise DataInvalid(
            f"the serving log of {name} cannot be read: {text}",
            next_step="write Parquet, or one JSON object per line (.jsonl)",
        ) from error


def _json(path: Path) -> Any:
    """Read JSON lines; text that Arrow takes for times is read again as text."""
    import pyarrow
    import pyarrow.json

    table = pyarrow.json.read_json(path)
    guessed = [
        (field.name, pyarrow.string()) for field in table.schema if str(field.type)[:4] == "time"
    ]
    if not guessed:
        return table
    options = pyarrow.json.ParseOptions(explicit_schema=pyarrow.schema(guessed))
    return pyarrow.json.read_json(path, parse_options=options)


def _as_trained(table: Any, trained: Columns) -> Any:
    """Return the log with the types training has, where its values are such; else as they are."""
    from airlock.tables.times import as_times

    for place, field in enumerate(table.schema):
        if field.name not in trained.names:
            continue
        expected, values = trained.type_of(field.name), table.column(place)
        if str(field.type) == "null":
            kind = trained.schema.field(field.name).type
            values = values.cast(kind.value_type if str(kind).startswith("dict") else kind)
        elif expected == "time" and tables.kind_of(field.type) == "text":
            times = as_times(values)
            values = values if times is None else times
        table = table.set_column(place, field.name, values)
    return table


def _parquet(path: Path) -> Columns:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        return Columns(file.schema_arrow, file.metadata.num_rows, str(path))
