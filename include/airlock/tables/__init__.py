"""What a table is, read by one rule: by the pin, by every child, by drafts and recorded requests.

A source (CSV or Parquet) is read once, into columns of a few types that pandas, Arrow, MLflow and
JSON read alike (`schema`, ADR 0050). What cannot be carried through is refused, with the column and
the way out, before anything is pinned or written. Pinned rows are read back here as well.
"""

from airlock.tables.columns import normal
from airlock.tables.errors import DataUnusable
from airlock.tables.schema import describe, irregular, kind_of
from airlock.tables.source import frame, open_rows, read
from airlock.tables.target import target_problem
from airlock.tables.times import with_times

__all__ = [
    "DataUnusable",
    "describe",
    "frame",
    "irregular",
    "kind_of",
    "normal",
    "open_rows",
    "read",
    "target_problem",
    "with_times",
]
