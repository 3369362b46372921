"""The two ends of a wire into a network namespace: sockets in a folder, because files go through.

    python relay.py FOLDER PORT DOOR -- command...

runs *command* inside. What connects to `FOLDER/in` reaches the command's PORT; what the command
says to DOOR leaves through `FOLDER/out`. `Bridge` is the end outside, where both are ordinary
ports of 127.0.0.1. Bytes are passed on as they are. Only the standard library is used: the end
inside runs alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

HERE = "127.0.0.1"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Dial = Callable[[], Awaitable[Streams]]


def port(number: int) -> Dial:
    """Reach a port of this machine (or of this namespace)."""
    return lambda: asyncio.open_connection(HERE, number)


def file(path: Path) -> Dial:
    """Reach whoever listens at a file."""
    return lambda: asyncio.open_unix_connection(path)


def passing(dial: Dial) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Return a server that passes each connection on to what *dial* reaches."""

    alive: set[asyncio.Task[None] | None] = set()  # the loop itself holds them only weakly

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        alive.add(task)
        with contextlib.closing(writer), contextlib.suppress(OSError):
            there, back = await dial()
            with contextlib.closing(back):
                await asyncio.gather(_copy(reader, back), _copy(there, writer))
        alive.discard(task)

    return serve


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()


class Bridge:
    """The end outside: `port` reaches the program, and what it says to its door reaches *door*."""

    def __init__(self, folder: Path, door: int) -> None:
        self.port = 0
        self._folder, self._door = folder, door
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._stop = asyncio.Event()

    def __enter__(self) -> Bridge:
        self._thread.start()
        self._ready.wait(30)
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._loop.close()

    async def _run(self) -> None:
        inwards = await asyncio.start_server(passing(file(self._folder / "in")), HERE, 0)
        await asyncio.start_unix_server(passing(port(self._door)), self._folder / "out")
        self.port = inwards.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


async def _inside(folder: Path, inner: int, door: int, command: list[str]) -> int:
    await asyncio.start_unix_server(passing(port(inner)), folder / "in")
    await asyncio.start_server(passing(file(folder / "out")), HERE, door)
    process = await asyncio.create_subprocess_exec(*command)
    return await process.wait()


if __name__ == "__main__":
    _, where, number, outer, _, *rest = sys.argv
    raise SystemExit(asyncio.run(_inside(Path(where), int(number), int(outer), rest)))
