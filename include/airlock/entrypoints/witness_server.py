"""`airlock witness`: a small server that cosigns the log's checkpoints, and refuses another past.

Run it where neither the database's administrator nor Airlock's own operators can write: it needs
no database, no Airflow, only its own key, its own state file and the public keys of the logs it
knows. Rules: `airlock.domain.log.witnessing`.

    POST /add-checkpoint    https://c2sp.org/tlog-witness
    GET  /checkpoints       the newest note of each log, cosigned, separated by U+001E

The state is on disk before an answer is given, so a witness that was killed remembers.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated

import typer

from airlock.domain.errors import Conflict, Invalid
from airlock.domain.log.checkpoint import COSIGNATURE, Checkpoint, cosign, parse, read_vkey, vkey
from airlock.domain.log.witnessing import TEXT_TYPE, Answer, answer, origin_of
from airlock.ports import Signer

MAX_BODY = 64 * 1024
PATIENCE_S = 10
SEPARATOR = "\x1e"

log = logging.getLogger("airlock.witness")


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("witness")(witness)


def witness(
    key: Annotated[Path, typer.Option(help="The witness's own key; created if it is not there.")],
    state: Annotated[Path, typer.Option(help="File that remembers the newest checkpoints.")],
    logs: Annotated[list[str], typer.Option("--log", help="vkey of a log; may be repeated.")],
    name: Annotated[str, typer.Option(help="Name it signs with.")] = "airlock/witness",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8090,
) -> None:
    """Cosign the checkpoints of logs that only grow."""
    from airlock.adapters.keys.ed25519 import FileSigner, create

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    create(key, key.parent / f"{key.stem}-public")
    server = serve(Witness(state, FileSigner(key), name, known_logs(logs)), host, port)
    log.info("witness %s on %s:%s", server.keeper.vkey, *server.server_address[:2])
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        log.info("ended as asked")


def known_logs(vkeys: Sequence[str]) -> dict[str, dict[str, bytes]]:
    """Return origin -> key id -> public key of the logs to cosign."""
    logs: dict[str, dict[str, bytes]] = {}
    for log_key in vkeys:
        origin, _, public = read_vkey(log_key)
        logs.setdefault(origin, {})[public.hex()] = public
    return logs


class Witness:
    """Judges requests one at a time and remembers what it cosigned."""

    def __init__(
        self, state: Path, signer: Signer, name: str, logs: Mapping[str, Mapping[str, bytes]]
    ) -> None:
        """Read the state back.

        Raises:
            Conflict: if another witness is at work on the same file.
            Invalid: if the file is not a witness's state.
        """
        self._file, self._signer, self._name, self._logs = state, signer, name, logs
        self._mutex = threading.Lock()
        state.parent.mkdir(parents=True, exist_ok=True)
        self._guard = state.with_name(f"{state.name}.lock").open("a")
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(f"another witness already uses {state}") from error
        self._notes = _read(state)

    @property
    def vkey(self) -> str:
        """The witness's own key, for those who check its cosignatures."""
        return vkey(self._name, COSIGNATURE, self._signer.public)

    def close(self) -> None:
        """Let another witness use the file."""
        self._guard.close()

    def add(self, request: str) -> Answer:
        """Cosign a checkpoint, or say why not."""
        from airlock.adapters.keys.ed25519 import verify_with

        def verify(key: str, signature: bytes, message: bytes) -> bool:
            return verify_with(bytes.fromhex(key), signature, message)

        with self._mutex:
            origin = origin_of(request)
            response = answer(request, self._logs, verify, self._stored_checkpoint(origin))
            if not response.accepted:
                log.warning("%s: %s %s", origin or "?", response.status, response.body.strip())
                return response
            text, now = response.accepted, int(time.time())
            line = cosign(text, self._name, self._signer.public, self._signer.sign, now).text()
            signed = request.partition("\n\n")[2].rpartition("\n\n")[2]
            self._keep({**self._notes, origin: f"{text}\n{signed}{line}"})
            return Answer(200, line)

    def _stored_checkpoint(self, origin: str) -> Checkpoint | None:
        note = self._notes.get(origin)
        return parse(note)[0] if note else None

    def _keep(self, notes: dict[str, str]) -> None:
        fresh = self._file.with_name(f"{self._file.name}.new")
        with fresh.open("w", encoding="utf-8") as stream:
            json.dump(notes, stream, ensure_ascii=False, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(self._file)
        folder = os.open(self._file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._notes = notes

    def newest(self) -> str:
        """Return the newest note of each log."""
        return SEPARATOR.join(self._notes.values())


class Server(ThreadingHTTPServer):
    """The witness behind HTTP."""

    daemon_threads = True

    def __init__(self, keeper: Witness, host: str, port: int) -> None:
        self.keeper = keeper
        super().__init__((host, port), _Handler)


def serve(keeper: Witness, host: str = "127.0.0.1", port: int = 0) -> Server:
    """Return a server that is bound but does not serve yet."""
    return Server(keeper, host, port)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = PATIENCE_S
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        if self.path != "/add-checkpoint":
            self._reply(Answer(404, "there is add-checkpoint\n"))
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY:
            self.close_connection = True
            self._reply(Answer(413, f"expected at most {MAX_BODY} bytes\n"))
            return
        try:
            request = self.rfile.read(int(length)).decode()
        except UnicodeDecodeError:
            self._reply(Answer(400, "not UTF-8\n"))
            return
        self._reply(self.server.keeper.add(request))

    def do_GET(self) -> None:
        is_list = self.path == "/checkpoints"
        self._reply(Answer(200, self.server.keeper.newest()) if is_list else Answer(404, "\n"))

    def _reply(self, response: Answer) -> None:
        body = response.body.encode()
        self.send_response(response.status)
        self.send_header("Content-Type", response.kind or TEXT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        log.debug(format, *args)


def _read(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return {str(origin): str(note) for origin, note in document.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise Invalid(
            f"{file} is not the state of a witness: {error!r}",
            next_step="Restore it. A witness that forgets would accept another past.",
        ) from error
