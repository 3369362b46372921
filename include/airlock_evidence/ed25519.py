"""Ed25519 signatures (RFC 8032) checked in plain Python, for machines without any library.

It only verifies: nothing here is secret, so it may take its time and differ in it. A signature is
good if R is exactly the encoding of [s]B - [h]A; s and both points have to be spelled in the one
canonical way.
"""

from __future__ import annotations

import hashlib

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)

#: A point in extended coordinates: (X, Y, Z, T), x = X/Z, y = Y/Z, xy = T/Z.
Point = tuple[int, int, int, int]
_NEUTRAL: Point = (0, 1, 1, 0)


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether the key with these 32 public bytes made the signature."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key = _decode(public)
    s = int.from_bytes(signature[32:], "little")
    if key is None or s >= _L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    x, y, z, t = key
    point = _sum_of(s, _BASE, int.from_bytes(digest, "little") % _L, (_P - x, y, z, _P - t))
    return _encode(point) == signature[:32]


def _add(first: Point, other: Point) -> Point:
    a = (first[1] - first[0]) * (other[1] - other[0]) % _P
    b = (first[1] + first[0]) * (other[1] + other[0]) % _P
    c = 2 * first[3] * other[3] * _D % _P
    d = 2 * first[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _sum_of(s: int, first: Point, h: int, other: Point) -> Point:
    """Return [s]first + [h]other, both at once from the highest bit down."""
    choice = (None, first, other, _add(first, other))
    total = _NEUTRAL
    for bit in range(max(s.bit_length(), h.bit_length()) - 1, -1, -1):
        total = _add(total, total)
        step = choice[(s >> bit & 1) + 2 * (h >> bit & 1)]
        if step is not None:
            total = _add(total, step)
    return total


def _encode(point: Point) -> bytes:
    inverse = pow(point[2], _P - 2, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decode(encoded: bytes) -> Point | None:
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    x = _x_of(y, sign) if y < _P else None
    return None if x is None else (x, y, 1, x * y % _P)


def _x_of(y: int, sign: int) -> int | None:
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    return _P - x if x & 1 != sign else x


_BASE: Point = _decode((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little")) or _NEUTRAL
