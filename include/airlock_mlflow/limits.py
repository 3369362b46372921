"""How much of a request is read: no body is taken whole before its size is known.

* The guard's own addresses take 64 KB.
* Files go through in streams; a file has a limit of its own.
* Everything else is JSON or a form of MLflow's, which keeps such a body in memory.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

OWN = 64 * 1024
MESSAGE = 32 * 1024 * 1024
FILE = 64 * 1024 * 1024 * 1024

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

_FILES = re.compile(r"/(ajax-)?api/2\.0/mlflow-artifacts/(artifacts|mpu)/.*")


class TooLarge(Exception):
    """A body is larger than its address takes."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the body is larger than the {most} bytes this address takes")


def most_of(path: str) -> int:
    """Return how many bytes of a body the address *path* takes."""
    if path == "/airlock" or path.startswith("/airlock/"):
        return OWN
    return FILE if _FILES.fullmatch(path) else MESSAGE


def check_announced(scope: Message, most: int) -> None:
    """Refuse a body whose own header says that it is too large, before any of it is read.

    Raises:
        TooLarge: also if the header is no number.
    """
    for key, value in scope["headers"]:
        if key.lower() == b"content-length":
            text = value.decode("latin-1").strip()
            if not (text.isascii() and text.isdigit()) or len(text) > 20 or int(text) > most:
                raise TooLarge(most)


def counted(receive: Receive, most: int) -> Receive:
    """Return *receive*, raising TooLarge once more than *most* bytes have come."""
    total = 0

    async def read() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > most:
            raise TooLarge(most)
        return message

    return read


async def read_whole(receive: Receive, most: int) -> Receive:
    """Read a small body now and return what hands it out again.

    Raises:
        TooLarge: once more than *most* bytes have come.
    """
    limited, messages = counted(receive, most), []
    while True:
        message = await limited()
        messages.append(message)
        if message["type"] != "http.request" or not message.get("more_body"):
            break

    async def replay() -> Message:
        return messages.pop(0) if messages else await receive()

    return replay
