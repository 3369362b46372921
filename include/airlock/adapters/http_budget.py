"""An end to answers that never end: httpx bounds each wait for a part, not the whole.

A peer that sends a byte now and then would otherwise keep whoever asked for ever.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx

#: Bounds a request that says nothing of its own, in seconds.
_DEFAULT_S = 30.0
#: How long a connection that says nothing is used again. Servers close theirs after five seconds
#: (uvicorn, like httpx itself): whoever asks at that moment would get no answer.
IDLE_S = 2.0


class BudgetClient(httpx.Client):
    """Lets a whole answer take no longer than the request lets one part of it take."""

    def __init__(self, **options: Any) -> None:
        """Take the options of `httpx.Client`."""
        limits = httpx.Limits(
            max_connections=100, max_keepalive_connections=20, keepalive_expiry=IDLE_S
        )
        super().__init__(**{"limits": limits, **options})

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request; raise `httpx.ReadTimeout` if its answer is not there in time."""
        allowed = request.extensions.get("timeout", {}).get("read") or _DEFAULT_S
        until = time.monotonic() + float(allowed)
        answer = super().send(request, **{**options, "stream": True})
        if isinstance(answer.stream, httpx.SyncByteStream):
            answer.stream = _Within(answer.stream, until, request)
        if not options.get("stream"):
            try:
                answer.read()
            finally:
                answer.close()
        return answer


class _Within(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, until: float, request: httpx.Request) -> None:
        self._stream, self._until, self._request = stream, until, request

    def __iter__(self) -> Iterator[bytes]:
        for part in self._stream:
            if time.monotonic() > self._until:
                raise httpx.ReadTimeout("the answer takes too long", request=self._request)
            yield part

    def close(self) -> None:
        self._stream.close()
