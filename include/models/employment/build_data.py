"""Build data.parquet from the census tables that ship in the PyPI package nannyml.

Run it with the folder holding the package's three Parquet files; the package itself is not
installed or imported (docs/data.md says how to get them). The result must have the digest written
here, or nothing is written: the data in the repository is the data that was reviewed.

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
#: The sources, as shipped in nannyml 0.13.1.
SOURCES = {
    "employment_MA_reference.pq": (
        "21d0e33655666071bde9ed21bf35b24fe14c1476e3dd37a5194b827ad5a570e4"
    ),
    "employment_MA_analysis.pq": (
        "591328bcf7e46139660f2cc6b1705a6f2f66edf2418ce2a893cf2892be3f66a7"
    ),
    "employment_MA_analysis_target.pq": (
        "c306840f0c092bda7608a09e61e7e715ac2b7fb2d17da8062900c3ecd6fdbe30"
    ),
}
#: The digest of the rows, not of the file: another version of pyarrow writes other bytes.
ROWS_DIGEST = "ea4dfc37aba3a7c6ca00883482bbf261d373dbe88d03356412a920b7f7621fdb"
#: Made by the package's authors for their own demonstration, not census data.
NOT_CENSUS = ["id", "prediction", "predicted_probability", "year"]


def build(folder: Path) -> pandas.DataFrame:
    """Join the three tables, name the day each survey year closed, and order by it."""
    import pandas

    for name, expected in SOURCES.items():
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if digest != expected:
            raise SystemExit(f"{name}: expected sha256 {expected}, found {digest}")
    reference, analysis, answers = (pandas.read_parquet(folder / name) for name in SOURCES)
    later = analysis.merge(answers, on="id", validate="one_to_one")
    rows = pandas.concat([reference, later], ignore_index=True).sort_values("id")
    closed = pandas.to_datetime(rows["year"].astype(str) + "-12-31")
    rows = rows.assign(observed_on=closed.dt.date).drop(columns=NOT_CENSUS)
    codes = [name for name in rows.columns if name != "observed_on"]
    return rows.astype(dict.fromkeys(codes, "int64")).reset_index(drop=True)


def rows_digest(rows: pandas.DataFrame) -> str:
    """Return the sha256 of the rows written as CSV: the same for every Parquet writer."""
    return hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()


def main(arguments: list[str]) -> int:
    """Write data.parquet beside this file, or stop with the digest that does not fit."""
    if len(arguments) != 1:
        raise SystemExit("usage: build_data.py <folder with the three .pq files>")
    rows = build(Path(arguments[0]))
    digest = rows_digest(rows)
    if digest != ROWS_DIGEST:
        raise SystemExit(f"rows: expected sha256 {ROWS_DIGEST}, found {digest}; nothing written")
    rows.to_parquet(TARGET, index=False, compression="zstd", compression_level=19)
    sys.stdout.write(f"{TARGET}: {len(rows)} rows, {TARGET.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
