"""Numpy arrays in `.npy` form: the header is read, the data is counted, nothing is loaded.

An array of objects holds a pickle and is refused; so is a byte too many or too few.
"""

from __future__ import annotations

import ast
import re
import struct
from typing import Any

from airlock.artifacts.plain_zip import open_plain
from airlock.artifacts.refusals import NotPlain

_MAGIC = b"\x93NUMPY"
_HEADER_LIMIT = 64 << 10
_SIMPLE = re.compile(r"[<>|=]?([?bBiufcSUmMV])(\d{0,6})(\[[0-9A-Za-z]{1,8}\])?")
_UNIT = {"U": 4, "?": 1}
_DIMENSIONS = 32
_EXPECTED = "a numpy array of numbers or text"


def check_array(body: bytes, name: str) -> None:
    """Check that *body* is one whole array without objects.

    Raises:
        NotPlain: if it is not.
    """
    if not body.startswith(_MAGIC) or len(body) < 12:
        raise NotPlain(f"{name} that is no array", _EXPECTED)
    major = body[6]
    wide = major in (2, 3)
    if major not in (1, 2, 3):
        raise NotPlain(f"{name} of the array format {major}", "format 1, 2 or 3")
    size = struct.unpack_from("<I" if wide else "<H", body, 8)[0]
    start = (12 if wide else 10) + size
    if size > _HEADER_LIMIT or start > len(body):
        raise NotPlain(f"{name} with a header of {size:,} bytes", "a header that fits")
    header = _header(body[12 if wide else 10 : start], name)
    expected = _bytes_of(header["descr"], name) * _count(header["shape"], name)
    if len(body) - start != expected:
        raise NotPlain(
            f"{name} with {len(body) - start:,} bytes of data", f"{expected:,} as its header says"
        )


def check_arrays(body: bytes, name: str) -> None:
    """Check an `.npz`: a plain zip of arrays and nothing else, as scipy keeps sparse matrices."""
    inner = open_plain(body)
    for member in inner.members:
        if not member.endswith(".npy"):
            raise NotPlain(f"{member} inside {name}", "arrays only")
        check_array(inner.read(member), f"{name}/{member}")


def _header(text: bytes, name: str) -> dict[str, Any]:
    try:
        header = ast.literal_eval(text.decode("latin-1").strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise NotPlain(f"{name} with an unreadable header", _EXPECTED) from error
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise NotPlain(f"{name} with a header of other fields", _EXPECTED)
    return header


def _bytes_of(described: Any, name: str) -> int:
    """Return the size of one item."""
    if isinstance(described, str):
        match = _SIMPLE.fullmatch(described)
        if match is None:
            raise NotPlain(f"{name} of type {described!r}, whose data is a pickle", _EXPECTED)
        return int(match[2] or 1) * _UNIT.get(match[1], 1)
    if isinstance(described, list) and 0 < len(described) <= 1000:
        return sum(_field(field, name) for field in described)
    raise NotPlain(f"{name} of an unknown type", _EXPECTED)


def _field(field: Any, name: str) -> int:
    if not isinstance(field, tuple) or len(field) not in (2, 3):
        raise NotPlain(f"{name} with an unknown field", _EXPECTED)
    return _bytes_of(field[1], name) * (_count(field[2], name) if len(field) == 3 else 1)


def _count(shape: Any, name: str) -> int:
    if not isinstance(shape, tuple) or len(shape) > _DIMENSIONS:
        raise NotPlain(f"{name} with an unknown shape", _EXPECTED)
    total = 1
    for side in shape:
        if type(side) is not int or not 0 <= side < 1 << 40:
            raise NotPlain(f"{name} with an unknown shape", _EXPECTED)
        total *= side
    return total
