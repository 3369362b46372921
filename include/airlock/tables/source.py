"""Read a source, and read pinned rows back: the only two places where a table file is opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.tables.columns import normal
from airlock.tables.csv_text import read_csv
from airlock.tables.errors import DataUnusable

if TYPE_CHECKING:
    import pandas
    import pyarrow

_WRITE = "give a Parquet file, or a CSV file in UTF-8 with a header"


def read(source: Path, name: str) -> pyarrow.Table:
    """Read a Parquet or CSV file into columns of the types everybody reads alike.

    Raises:
        DataUnusable: if it cannot be read, or naming the columns that cannot be carried.
    """
    import pyarrow
    import pyarrow.parquet

    if not source.is_file():
        raise DataUnusable(f"data {name}: there is no file {source}", next_step=_WRITE)
    if source.stat().st_size == 0:
        raise DataUnusable(f"data {name} is an empty file", next_step=_WRITE)
    try:
        if source.suffix.lower() == ".csv":
            table = read_csv(source, name)
        else:
            with pyarrow.parquet.ParquetFile(source) as file:
                table = file.read()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())[:300]
        raise DataUnusable(f"data {name} cannot be read: {text}", next_step=_WRITE) from error
    return normal(table, name)


def open_rows(path: Path) -> pyarrow.Table:
    """Return pinned rows as they are; what pandas noted beside them is not read."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        return file.read()


def frame(rows: pyarrow.Table | Path) -> pandas.DataFrame:
    """Return rows as pandas has them: numbered from 0, types from the columns alone."""
    table: Any = open_rows(rows) if isinstance(rows, Path) else rows
    read_back: pandas.DataFrame = table.to_pandas(ignore_metadata=True)
    return read_back
