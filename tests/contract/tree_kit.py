"""A log with its tree, checkpoints, copies and a witness, for the tests of all of them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from airlock.adapters.checkpoints.folder import CheckpointFolder
from airlock.adapters.checkpoints.witness_client import WitnessClient
from airlock.adapters.keys.ed25519 import FileKeyring, FileSigner, create, verify_with
from airlock.domain.log.checkpoint import NOTE, vkey
from airlock.entrypoints.witness_server import Witness, known_logs, serve
from airlock.services.audit import transparency_log
from airlock.testing import World


def keys(folder: Path) -> tuple[FileSigner, FileKeyring]:
    """Create a real key and return signer and keyring."""
    create(folder / "signing.pem", folder / "keys")
    return FileSigner(folder / "signing.pem"), FileKeyring(folder / "keys")


@contextlib.contextmanager
def witness(folder: Path, world: World, signer: FileSigner) -> Iterator[WitnessClient]:
    """Run a witness that knows the world's log."""
    tree = transparency_log.checkpoint_now(world.store, signer)
    assert tree is not None
    create(folder / "witness.pem", folder / "witness-public")
    own = FileSigner(folder / "witness.pem")
    logs = known_logs([vkey(tree.origin, NOTE, signer.public)])
    keeper = Witness(folder / "witness.json", own, "airlock/witness", logs)
    server = serve(keeper)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield WitnessClient(address, keeper.vkey, verify_with)
    finally:
        server.shutdown()
        server.server_close()
        keeper.close()
        thread.join()


def copies(folder: Path) -> CheckpointFolder:
    """Return a folder for checkpoints."""
    return CheckpointFolder(folder / "checkpoints")
