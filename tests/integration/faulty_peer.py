"""A peer that is wrong on purpose: it refuses, hangs, is slow, or answers rubbish; until it heals.

It stands between a client and the peer it asks for (a small TCP proxy), so that a peer can be wrong
first and right later at one address.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

REFUSING, HANGING, SLOW = "refusing", "hanging", "slow"
#: Answers that are nobody's: a proxy's page, an empty object, a list, half an answer, no HTTP.
_PAGE = b"<html><body>Gateway</body></html>"
RUBBISH = {
    "a page": (200, _PAGE),
    "a page that says 403": (403, _PAGE),
    "a page that says 404": (404, _PAGE),
    "a page that says 502": (502, _PAGE),
    "an empty object": (200, b"{}"),
    "a list": (200, b"[]"),
    "not UTF-8": (200, b"\xff\xfe\x00"),
}
NO_HTTP = "no HTTP"
FAULTS = (REFUSING, HANGING, SLOW, NO_HTTP, *RUBBISH)


class FaultyPeer:
    """Listens on a port of its own. *fault*: what it does, empty: it passes everything on."""

    def __init__(self, fault: str, behind: tuple[str, int] | None = None) -> None:
        self.fault, self._behind = fault, behind
        self._stop = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def heal(self) -> None:
        """Be right from now on."""
        self.fault = ""

    def close(self) -> None:
        """End everything."""
        self._stop.set()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                made, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(made,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            if self.fault == REFUSING:
                # Closed with a reset, as by a port nobody listens on.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            elif self.fault == HANGING:
                self._stop.wait()
            elif not self.fault and self._behind is not None:
                self._pass_on(client, self._behind)
            else:
                self._answer(client)

    def _answer(self, client: socket.socket) -> None:
        client.recv(65536)
        if self.fault == SLOW:  # a byte now and then, for ever
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not self._stop.wait(0.2):
                client.sendall(b" ")
        elif self.fault == NO_HTTP:
            client.sendall(b"\x00\x01 what is this?\r\n\r\n")
        else:
            status, body = RUBBISH[self.fault]
            head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n"
            client.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)

    def _pass_on(self, client: socket.socket, behind: tuple[str, int]) -> None:
        with socket.create_connection(behind) as server:
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def faulty(fault: str, behind: tuple[str, int] | None = None) -> Iterator[FaultyPeer]:
    """Run a faulty peer for as long as the block lasts."""
    peer = FaultyPeer(fault, behind)
    try:
        yield peer
    finally:
        peer.close()
