"""One schema, fixed when data is pinned: everybody reads the same in a table, or nobody does.

Drawn are tables of every kind of column people bring. Either the pin refuses and names the column,
or the pin, the children, the gates' columns, recorded requests and serving read equal values.
"""

from __future__ import annotations

import json
import math
import warnings
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy
import pandas
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as draw

from airlock import tables
from airlock.adapters.datasets.files import DataUnusable, FileData
from airlock.adapters.jobs.errors import DataInvalid
from airlock.adapters.jobs.programs import leakage, spread, train
from airlock.adapters.jobs.shared import pinned_rows
from airlock.adapters.jobs.statistics import columns
from airlock.domain.digest import file_digest
from airlock.domain.distributions import broken_schema
from airlock.serving.schema import Column, InputRefused, Schema

pytestmark = pytest.mark.integration

N = 12
TEXTS = draw.text(draw.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=6)
MOMENTS = draw.datetimes(*(datetime(year, 1, 1) for year in (1700, 2250)))  # noqa: DTZ001


def _array(values: draw.SearchStrategy[Any], type_: pyarrow.DataType, gaps: bool = True) -> Any:
    value = draw.one_of(draw.none(), values) if gaps else values
    drawn = draw.lists(value, min_size=N, max_size=N)
    return drawn.map(lambda them: pyarrow.array(them, type_))


def _integers(bits: int, unsigned: bool = False) -> draw.SearchStrategy[int]:
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return draw.integers(low, high)


def _categories(drawn: pyarrow.Array) -> pyarrow.Array:
    return drawn.dictionary_encode()


FLOATS = draw.floats(width=32)
DAYS = draw.dates(date(1, 1, 1), date(9999, 12, 31))
#: What a column may be. Everything issue 12, line 18 names, and what was met beside it.
KINDS: dict[str, draw.SearchStrategy[Any]] = {
    "integers": _array(_integers(64), pyarrow.int64(), gaps=False),
    "integers with gaps": _array(_integers(64), pyarrow.int64()),
    "small integers": _array(_integers(8), pyarrow.int8()),
    "unsigned": _array(_integers(64, unsigned=True), pyarrow.uint64(), gaps=False),
    "doubles": _array(draw.floats(), pyarrow.float64()),
    "floats": _array(FLOATS, pyarrow.float32()),
    "half floats": _array(
        draw.floats(width=16).map(numpy.float16),
        pyarrow.float16(),
    ),
    "decimals": _array(draw.decimals(-(10**14), 10**14, places=2), pyarrow.decimal128(20, 2)),
    "truth values": _array(draw.booleans(), pyarrow.bool_(), gaps=False),
    "truth values with gaps": _array(draw.booleans(), pyarrow.bool_()),
    "texts": _array(TEXTS, pyarrow.string()),
    "large texts": _array(TEXTS, pyarrow.large_string()),
    "dates as texts": _array(DAYS.map(date.isoformat), pyarrow.string()),
    "leading noughts": _array(draw.integers(0, 99).map("{:05d}".format), pyarrow.string()),
    "categories": _array(TEXTS, pyarrow.string()).map(_categories),
    "days": _array(DAYS, pyarrow.date32()),
    "milliseconds": _array(MOMENTS, pyarrow.timestamp("us")).map(
        lambda drawn: drawn.cast(pyarrow.timestamp("ms"), safe=False)
    ),
    "microseconds": _array(MOMENTS, pyarrow.timestamp("us")),
    "nanoseconds": _array(_integers(62), pyarrow.timestamp("ns")),
    "a zone": _array(MOMENTS, pyarrow.timestamp("us")).map(
        lambda drawn: drawn.cast(pyarrow.int64()).cast(
            pyarrow.timestamp("us", "Australia/Lord_Howe")
        )
    ),
    "a zone nobody knows": draw.just(
        pyarrow.array([0] * N, pyarrow.timestamp("us", "Mars/Olympus"))
    ),
    "nothing": draw.just(pyarrow.nulls(N)),
    "bytes": _array(draw.binary(max_size=3), pyarrow.binary()),
    "lists": _array(draw.lists(_integers(8), max_size=2), pyarrow.list_(pyarrow.int64())),
    "times of day": _array(draw.integers(0, 86_399), pyarrow.time32("s")),
    "durations": _array(_integers(32), pyarrow.duration("s")),
}
#: What no reader may take for anything.
REFUSED = {
    "truth values with gaps",
    "a zone nobody knows",
    "bytes",
    "lists",
    "times of day",
    "durations",
}


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(drawn=draw.data())
def test_everybody_reads_the_same_or_the_pin_refuses(
    tmp_path: Path, drawn: draw.DataObject
) -> None:
    kinds = drawn.draw(draw.lists(draw.sampled_from(sorted(KINDS)), min_size=1, max_size=4))
    table = pyarrow.table(
        {f"c{place}": drawn.draw(KINDS[kind], kind) for place, kind in enumerate(kinds)}
        | {"y": [0, 1] * (N // 2)}
    )
    source = tmp_path / "m" / "rows.parquet"
    source.parent.mkdir(exist_ok=True)
    pyarrow.parquet.write_table(table, source)
    refusal: DataUnusable | None = None
    try:
        facts = FileData(tmp_path / "pins").pin(source, target="y", task="classification")
    except DataUnusable as error:
        refusal = error
    if refusal is not None:
        unfit = [f"'c{place}'" for place, kind in enumerate(kinds) if kind in REFUSED]
        assert [name for name in unfit if name not in refusal.message] == []
        assert ("'c" in refusal.message, refusal.next_step != "") == (True, True)
        return
    assert not REFUSED & set(kinds)
    request = _request(tmp_path, facts)
    _assert_one_reading(table, request, facts)
    _assert_measured(tmp_path, table, request)


def _request(tmp_path: Path, facts: dict[str, Any], **over: Any) -> dict[str, Any]:
    path = str(FileData(tmp_path / "pins").path(facts["digest"]))
    data = {"path": path, "digest": facts["digest"], "target": "y", "timeColumn": None}
    data |= {"task": "classification", "holdout": 0.5, "seed": 6} | over
    return {"name": "demo", "stage": "x", "data": data}


def _plain(value: Any) -> Any:
    """Return a value so that equal ones are equal: moments in UTC, nothing as None."""
    if value is None or value is pandas.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, pandas.Timestamp):
        aware = value.tz_convert("UTC") if value.tz is not None else value.tz_localize("UTC")
        return aware.as_unit("ns").value
    if isinstance(value, Decimal | float):
        return float(value)
    return value


def _values(column: Any) -> list[Any]:
    """Return an Arrow column as plain values."""
    if pyarrow.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pyarrow.types.is_timestamp(column.type):
        scale = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[column.type.unit]
        whole = column.cast(pyarrow.int64()).to_pylist()
        return [None if value is None else value * scale for value in whole]
    return [_plain(value) for value in column.to_pylist()]


def _assert_one_reading(table: Any, request: dict[str, Any], facts: dict[str, Any]) -> None:
    """Pin, child and gate's columns read what was written; serving takes what training saw."""
    pinned = columns.pinned("demo", request["data"])
    frame = pinned_rows.load(request)
    assert list(frame.columns) == pinned.names == facts["columns"] == table.column_names
    assert [entry["name"] for entry in facts["schema"]] == table.column_names
    for name in table.column_names:
        written = _values(table[name])
        assert _values(pinned.read(name)) == written
        assert [_plain(value) for value in frame[name].tolist()] == written
    _assert_served(frame.drop(columns=["y"]))


def _assert_served(features: pandas.DataFrame) -> None:
    """What serving accepts is the very same values: as a table, and as JSON where it has them."""
    from mlflow.models import infer_signature

    # Days are objects to pandas, and a column of nothing but gaps has no type: no model takes them.
    usable = [name for name in features if features[name].notna().any()]
    usable = [name for name in usable if not _days(features[name])]
    if not usable:
        return
    asked = features[usable]
    _, template = train.examples(asked)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs = infer_signature(template).inputs.to_dict()
    signature = Schema(
        tuple(Column(entry["name"], entry["type"], entry.get("required", True)) for entry in inputs)
    )
    served = signature.check(asked)
    for name in usable:
        assert [_plain(value) for value in served[name]] == [_plain(v) for v in asked[name]]
    plain = {name: [_plain(value) for value in asked[name]] for name in usable}
    sent = pandas.DataFrame(json.loads(json.dumps(plain)))
    try:
        served = signature.check(sent)
    except InputRefused:  # JSON has no times, and no numbers but its own
        return
    for name in usable:
        assert [_plain(value) for value in served[name]] == plain[name]


def _days(values: Any) -> bool:
    return any(type(value) is date for value in values)


def _assert_measured(tmp_path: Path, table: Any, request: dict[str, Any]) -> None:
    """The children of the gates measure every column, and the same rows as a log show no skew."""
    names = [name for name in table.column_names if name != "y"]
    leaks = leakage.main({**request, "availableAt": {}, "entityColumn": names[0]})
    assert [entry["column"] for entry in leaks["features"]] == names
    assert all(entry["score"] is not None for entry in leaks["features"])
    log = tmp_path / "log.jsonl"
    training = pinned_rows.split(request, pinned_rows.load(request)).train
    log.write_text(
        "".join(
            json.dumps({name: _json(getattr(row, name)) for name in names}) + "\n"
            for row in training.itertuples()
        )
    )
    asked = {**request, "columns": names, "aside": [], "log": str(log)}
    compared = spread.main(asked)
    assert broken_schema(compared) == [], (compared, log.read_text())
    assert all(entry["unseen"]["rows"] == 0 for entry in compared["columns"])
    assert all(entry["kind"] != "incomparable" for entry in compared["columns"])


def _json(value: Any) -> Any:
    """Return a value as a client writes it into JSON."""
    if isinstance(value, pandas.Timestamp | date):
        return None if value is pandas.NaT else value.isoformat()
    value = value.item() if hasattr(value, "item") else value
    return _plain(value)


# -- the kinds, one by one ----------------------------------------------------------------------


def _pin(tmp_path: Path, table: pandas.DataFrame, **more: Any) -> pyarrow.Table:
    """Write a table as pandas does, pin it and return the pinned rows."""
    source, pins = tmp_path / "rows.parquet", FileData(tmp_path / "pins")
    table.to_parquet(source)
    return tables.open_rows(pins.path(pins.pin(source, **more)["digest"]))


def _rows(n: int = 40) -> pandas.DataFrame:
    return pandas.DataFrame({"x": numpy.arange(n) / 7, "y": numpy.arange(n) % 2})


def test_row_numbers_pandas_wrote_are_no_column_and_an_index_with_a_name_is(
    tmp_path: Path,
) -> None:
    kept = _rows()[_rows().x > 1]
    assert "__index_level_0__" in _written(tmp_path, kept)
    assert _pin(tmp_path, kept).column_names == ["x", "y"]
    doubled = pandas.concat([_rows(20), _rows(20)])
    assert _pin(tmp_path, doubled).column_names == ["x", "y"]
    named = _rows().set_index(pandas.Index([f"c{n}" for n in range(40)], name="customer"))
    assert _pin(tmp_path, named).column_names == ["x", "y", "customer"]
    levels = pandas.MultiIndex.from_arrays([["a", "b"] * 20, range(40)], names=["region", "id"])
    assert _pin(tmp_path, _rows().set_index(levels)).column_names == ["x", "y", "region", "id"]
    timed = _rows().set_index(pandas.date_range("2024-01-01", periods=40, name="day"))
    assert str(_pin(tmp_path, timed, time_column="day")["day"].type)[:9] == "timestamp"


def _written(tmp_path: Path, table: pandas.DataFrame) -> list[str]:
    table.to_parquet(tmp_path / "written.parquet")
    return list(pyarrow.parquet.read_schema(tmp_path / "written.parquet").names)


REFUSALS = {
    "an index of texts without a name": (
        _rows().set_index(pandas.Index([f"c{n}" for n in range(40)])),
        "its index holds text and has no name",
    ),
    "categories of numbers": (
        _rows().assign(code=pandas.Categorical([1, 2] * 20)),
        "the column 'code' holds categories of number",
    ),
    "truth values with gaps": (
        _rows().assign(flag=pandas.array([True, None] * 20, dtype="boolean")),
        "the column 'flag' holds truth values, and 20 are missing",
    ),
    "long integers with gaps": (
        _rows().assign(account=pandas.array([2**60, None] * 20, dtype="Int64")),
        "the column 'account' holds integers beyond 2\\^53 and 20 are missing",
    ),
    "decimals of many digits": (
        _rows().assign(amount=[Decimal("12345678901234567.89")] * 40),
        r"the column 'amount' holds decimal128\(19, 2\) with 19 digits",
    ),
    "bytes": (_rows().assign(photo=[b"x"] * 40), "the column 'photo' holds bytes"),
    "lists": (_rows().assign(basket=[[1, 2]] * 40), "the column 'basket' holds list"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_cannot_be_carried_is_refused_by_column_with_a_way_out(
    tmp_path: Path, kind: str
) -> None:
    table, words = REFUSALS[kind]
    with pytest.raises(DataUnusable, match=words) as refused:
        _pin(tmp_path, table)
    assert refused.value.next_step
    assert not (tmp_path / "pins").exists()


def test_text_that_is_not_utf_8_is_refused_wherever_it_lies(tmp_path: Path) -> None:
    source = tmp_path / "rows.parquet"
    broken = pyarrow.array([b"K\xf6ln", b"Bonn"]).cast(pyarrow.string(), safe=False)
    pyarrow.parquet.write_table(pyarrow.table({"town": broken}), source)
    with pytest.raises(DataUnusable, match="the column 'town' holds text that is not UTF-8"):
        FileData(tmp_path / "pins").pin(source)


def test_money_is_the_double_that_stands_for_it(tmp_path: Path) -> None:
    pinned = _pin(tmp_path, _rows().assign(amount=[Decimal(n) / 100 for n in range(40)]))
    assert (str(pinned["amount"].type), pinned["amount"][7].as_py()) == ("double", 0.07)


@pytest.mark.parametrize("values", [[2010, 2011] * 20, [20240101, 20240102] * 20])
@pytest.mark.parametrize("width", ["int32", "int64", "int16"])
def test_a_number_is_no_time(tmp_path: Path, values: list[int], width: str) -> None:
    if width == "int16" and max(values) > 2**15:
        return
    table = _rows().assign(t=numpy.array(values, dtype=width))
    with pytest.raises(DataUnusable, match=f"the time column 't' holds {width}, not dates"):
        _pin(tmp_path, table, time_column="t", until=date(2015, 12, 31))


def test_dates_written_as_text_are_times_where_they_order_the_rows(tmp_path: Path) -> None:
    days = pandas.date_range("2024-01-01", periods=40).strftime("%Y-%m-%d")
    table = _rows().assign(day=days, month=days)
    pinned = _pin(tmp_path, table, time_column="day", until=date(2024, 1, 10))
    assert [str(pinned[name].type) for name in ("day", "month")] == ["date32[day]", "string"]
    assert pinned.num_rows == 10


def test_a_day_is_the_day_of_its_own_zone(tmp_path: Path) -> None:
    late = pandas.date_range("2024-05-01 22:30", periods=40, freq="D", tz="UTC")
    table = _rows().assign(at=late.tz_convert("Europe/Berlin"))
    pinned = _pin(tmp_path, table, time_column="at", until=date(2024, 5, 2))
    assert pinned.num_rows == 1  # 22:30 in UTC is half past midnight of the next day in Berlin


CSV = {
    "postal codes": ("code,y\n00501,0\n10115,1\n", {"code": ["00501", "10115"]}),
    "card numbers": (
        "card,y\n12345678901234567890,0\n1,1\n",
        {"card": ["12345678901234567890", "1"]},
    ),
    "a mark before the first name": ("\ufeffx,y\n1,0\n2,1\n", {"x": [1, 2]}),
    "a semicolon": ("x;y\n1.5;0\n2.5;1\n", {"x": [1.5, 2.5]}),
    "a tab": ("x\ty\n1.5\t0\n2.5\t1\n", {"x": [1.5, 2.5]}),
    "an index of pandas": (",x,y\n0,5,0\n1,6,1\n", {"x": [5, 6]}),
    "missing text": ("t,y\nNA,0\n,1\nDE,1\n", {"t": ["NA", None, "DE"]}),
    "missing numbers": ("x,y\nNA,0\n5,1\n", {"x": [None, 5.0]}),
    "times of day": ("t,y\n10:30,0\n11:00,1\n", {"t": ["10:30", "11:00"]}),
    "a column of nothing": ("t,y\n,0\n,1\n", {"t": [None, None]}),
}


@pytest.mark.parametrize("kind", CSV)
def test_csv_is_read_without_loss(tmp_path: Path, kind: str) -> None:
    text, expected = CSV[kind]
    source, pins = tmp_path / "rows.csv", FileData(tmp_path / "pins")
    source.write_text(text, "utf-8")
    pinned = tables.open_rows(pins.path(pins.pin(source, target="y")["digest"]))
    assert pinned.drop_columns(["y"]).to_pydict() == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a;b,y\n1;2,0\n", "its header holds ',' and ';'"),
        ("x,,y\na,b,0\n", r"column 2 \(empty\) has no name"),
        ("a,a,y\n1,2,0\n", "there are two columns 'a'"),
        ("x;y\n1.234,5;0\n", "the column 'x' writes numbers with a decimal comma"),
    ],
)
def test_csv_that_can_be_read_in_two_ways_is_refused(tmp_path: Path, text: str, words: str) -> None:
    source = tmp_path / "rows.csv"
    source.write_text(text, "utf-8")
    with pytest.raises(DataUnusable, match=words):
        FileData(tmp_path / "pins").pin(source, target="y")


def test_what_was_pinned_before_and_is_no_longer_carried_is_pinned_again(tmp_path: Path) -> None:
    """A file of an older version: named by the child, not broken over."""
    place = tmp_path / "old.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"photo": [b"x"] * 4, "y": [0, 1] * 2}), place)
    data = {"path": str(place), "digest": file_digest(place), "target": "y", "timeColumn": None}
    request = {"name": "demo", "data": data | {"task": "classification"}}
    for read in (lambda: pinned_rows.load(request), lambda: columns.pinned("demo", data)):
        with pytest.raises(DataInvalid, match="nobody pins the columns photo as they are"):
            read()


def test_a_column_is_read_by_its_whole_name(tmp_path: Path) -> None:
    """`age.1` is how pandas renames a second `age`, and to Parquet it lies inside `age`."""
    table = _rows().assign(**{"age.1": 9, "age": 1})
    pins = FileData(tmp_path / "pins")
    table.to_parquet(tmp_path / "rows.parquet", index=False)
    facts = pins.pin(tmp_path / "rows.parquet")
    pinned = columns.pinned("demo", _request(tmp_path, facts)["data"])
    assert [pinned.read(name)[0].as_py() for name in ("age", "age.1")] == [1, 9]
