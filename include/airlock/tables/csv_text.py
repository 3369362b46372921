"""Read CSV so that no text loses anything by being taken for a number.

Rules:
* UTF-8, with or without a byte order mark. The delimiter is the one of `, ; tab |` in the header.
* Arrow's types, but: digits with a leading zero or of more than a double keeps are text (postal
  codes, card numbers), and so are times of day. A number with a decimal comma is refused.
* In a column of texts an empty cell is missing and nothing else is ("NA" may be Namibia); among
  numbers the usual words for nothing are missing too.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.tables.errors import DataUnusable, Problem, refusal
from airlock.tables.schema import twice

if TYPE_CHECKING:
    import pyarrow

_DELIMITERS = ",;\t|"
_LEADING_ZERO = r"^\s*[+-]?0[\dxX]"
#: More digits than a double keeps, in a column where nothing else than digits is written.
_LONG, _FRACTION = r"^\s*[+-]?\d{17,}\s*$", r"\d[.eE]|[.eE]\d"
_DECIMAL_COMMA = r"^\s*[+-]?\d+(\.\d{3})*,\d+\s*$"


def read_csv(path: Path, name: str) -> pyarrow.Table:
    """Return the table, its types not yet narrowed to those that are carried.

    Raises:
        DataUnusable: for another encoding, a header with two delimiters, or decimal commas.
        pyarrow.ArrowException: if its lines are no table.
    """
    import pyarrow

    header = _check_text(path, name)
    delimiter = _delimiter(header, name)
    names = next(csv.reader(io.StringIO(header), delimiter=delimiter), [])
    if doubled := [column for column in twice(names) if column]:
        texts = [Problem(f"there are two columns {column!r}", _OWN) for column in doubled]
        raise refusal(name, texts)
    table = _parsed(path, delimiter, {})
    written = _parsed(path, delimiter, dict.fromkeys(table.schema.names, pyarrow.string()))
    problems = []
    for place, field in enumerate(table.schema):
        text = written.column(place)
        if _stays_text(field.type, text):
            table = table.set_column(place, field.name, _empty_is_missing(text))
        if str(field.type) == "string" and _all_match(text, _DECIMAL_COMMA):
            words = f"the column {field.name!r} writes numbers with a decimal comma"
            problems.append(Problem(words, "write them with a point"))
    if problems:
        raise refusal(name, problems)
    return table


_OWN = "give every column a name of its own"


def _check_text(path: Path, name: str) -> str:
    """Return the header, after seeing that the whole file is UTF-8."""
    with path.open("rb") as stream:
        first = stream.readline()
        for number, line in enumerate(itertools.chain([first], stream), 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                where = f" in {_column_at(first, line, error.start)}" if number > 1 else ""
                raise DataUnusable(
                    f"data {name}: line {number} is not UTF-8{where}",
                    next_step="save the file as UTF-8 (in a spreadsheet: CSV UTF-8)",
                ) from error
    return first.decode("utf-8-sig")


def _column_at(header: bytes, line: bytes, place: int) -> str:
    """Return the name of the column a byte of a line lies in, as far as one can tell."""
    names = re.split(r"[,;\t|]", header.decode("utf-8-sig").strip("\r\n"))
    number = len(re.split(rb"[,;\t|]", line[:place])) - 1
    return f"the column {names[number]!r}" if number < len(names) else "its last columns"


def _delimiter(header: str, name: str) -> str:
    bare = re.sub(r'"[^"]*"', "", header)
    used = [delimiter for delimiter in _DELIMITERS if delimiter in bare]
    if len(used) > 1:
        delimiters = " and ".join(repr(delimiter) for delimiter in used)
        raise DataUnusable(
            f"data {name}: its header holds {delimiters}, and only one of them can divide columns",
            next_step="put names that hold the other one in double quotes",
        )
    return used[0] if used else ","


def _parsed(path: Path, delimiter: str, types: dict[str, Any]) -> pyarrow.Table:
    import pyarrow.csv

    return pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types),
    )


def _stays_text(type_: Any, text: Any) -> bool:
    """Say whether a column is text, whatever else it was taken for."""
    import pyarrow.types as types

    if types.is_string(type_) or types.is_time(type_):
        return True
    if not (types.is_integer(type_) or types.is_floating(type_)):
        return False
    if _any_match(text, _LEADING_ZERO):
        return True
    return types.is_floating(type_) and _any_match(text, _LONG) and not _any_match(text, _FRACTION)


def _any_match(text: Any, pattern: str) -> bool:
    import pyarrow.compute as compute

    return bool(compute.any(compute.match_substring_regex(text, pattern)).as_py())


def _empty_is_missing(text: Any) -> Any:
    import pyarrow
    import pyarrow.compute as compute

    return compute.if_else(compute.equal(text, ""), pyarrow.scalar(None, text.type), text)


def _all_match(text: Any, pattern: str) -> bool:
    import pyarrow.compute as compute

    filled = text.filter(compute.not_equal(text, ""))
    matches = compute.match_substring_regex(filled, pattern)
    return bool(len(filled)) and bool(compute.all(matches).as_py())
