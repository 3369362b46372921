"""The wire format of protocol buffers, read as fields: just enough to look into an ONNX file.

Strict: groups, field 0, and anything that runs over its end are refused.
See https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator

from airlock.artifacts.refusals import NotPlain

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_EXPECTED = "an ONNX model"

#: (field number, wire type, value): an int for VARINT and the fixed ones, else bytes.
Field = tuple[int, int, int | memoryview]


def fields(message: memoryview) -> Iterator[Field]:
    """Yield the fields of a message.

    Raises:
        NotPlain: if the bytes are not a message.
    """
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if number == 0 or number > 1 << 28:
            raise NotPlain(f"the field number {number}", _EXPECTED)
        if wire == VARINT:
            value, at = _varint(message, at)
            yield number, wire, value
            continue
        if wire == BYTES:
            size, at = _varint(message, at)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            raise NotPlain(f"the wire type {wire}", _EXPECTED)
        if size > end - at:
            raise NotPlain("a field that runs over the end", _EXPECTED)
        yield number, wire, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        if at >= len(message):
            raise NotPlain("a number that breaks off", _EXPECTED)
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise NotPlain("a number of more than 64 bits", _EXPECTED)
