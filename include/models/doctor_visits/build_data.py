"""Build data.parquet from the RAND table that ships in the PyPI package statsmodels.

Run it with the path of the package's randhie.csv; the package itself is not installed or imported
(docs/data.md says how to get it). The source must have the digest written here, and so must the
rows, or nothing is written.

It does not download anything.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas

HERE = Path(__file__).resolve().parent
TARGET = HERE / "data.parquet"
#: statsmodels/datasets/randhie/randhie.csv as shipped in statsmodels 0.15.0.
SOURCE_DIGEST = "9f6c87d05aef087a82cc4465310c8cd3f38327be6eafa43bd81fb98c4f3d088c"
#: The digest of the rows, not of the file: another version of pyarrow writes other bytes.
ROWS_DIGEST = "786cc35905f1de2ff4508a17d91c1eca286dae1e1e1fcec5054c41575a19ec27"
#: Yes-or-no columns and counts; everything else is a measured number.
WHOLE_NUMBERS = ["mdvis", "idp", "hlthg", "hlthf", "hlthp"]


def build(source: Path) -> pandas.DataFrame:
    """Read the table with the types it means."""
    import pandas

    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    if digest != SOURCE_DIGEST:
        raise SystemExit(f"{source.name}: expected sha256 {SOURCE_DIGEST}, found {digest}")
    rows = pandas.read_csv(source)
    numbers = dict.fromkeys(rows.columns, "float64") | dict.fromkeys(WHOLE_NUMBERS, "int64")
    return rows.astype(numbers)


def rows_digest(rows: pandas.DataFrame) -> str:
    """Return the sha256 of the rows written as CSV: the same for every Parquet writer."""
    return hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()


def main(arguments: list[str]) -> int:
    """Write data.parquet beside this file, or stop with the digest that does not fit."""
    if len(arguments) != 1:
        raise SystemExit("usage: build_data.py <randhie.csv>")
    rows = build(Path(arguments[0]))
    digest = rows_digest(rows)
    if digest != ROWS_DIGEST:
        raise SystemExit(f"rows: expected sha256 {ROWS_DIGEST}, found {digest}; nothing written")
    rows.to_parquet(TARGET, index=False, compression="zstd", compression_level=19)
    sys.stdout.write(f"{TARGET}: {len(rows)} rows, {TARGET.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
