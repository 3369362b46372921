"""`airlock keys show|rotate`: the key that signs grants and checkpoints.

Both work where the deciding processes run: `rotate` needs the key's file and the decider's
database. Running processes see the new key at once; MLflow and other readers of the public keys
need the new file of the folder.
"""

from __future__ import annotations

from typing import Any

import typer

from airlock.domain.errors import Invalid, NotFound
from airlock.domain.log.checkpoint import NOTE, vkey
from airlock.entrypoints.platform_location import RoleName, take_role
from airlock.entrypoints.presentation.terminal import AsJson, print_json, say
from airlock.services.audit.key_rotation import rotate

keys = typer.Typer(help="The signing key.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    keys.command("show")(show_command)
    keys.command("rotate")(rotate_command)
    app.add_typer(keys, name="keys")


def show_command(role: RoleName = "", as_json: AsJson = False) -> None:
    """Show the trusted keys, and the log's key as a witness wants it."""
    from airlock import bootstrap

    take_role(role, ("operator",))  # a worker reads nothing of the tree
    airlock = bootstrap.worker()
    with airlock.store.begin() as unit:
        tree = unit.tree()
    if tree is None:
        raise NotFound(
            "the log has no tree yet, so it has no name to sign with",
            next_step="The delivery process makes it with the first entry; `airlock status` shows "
            "whether it runs.",
        )
    rows: list[dict[str, Any]] = [
        {"id": key, "vkey": vkey(tree.origin, NOTE, public)}
        for key, public in airlock.keyring.keys().items()
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        say(f"{row['id']}  {row['vkey']}")


def rotate_command(role: RoleName = "") -> None:
    """Replace the signing key by a new one, which the old one signs."""
    from airlock import bootstrap
    from airlock.adapters.keys.ed25519 import FileShelf

    take_role(role, ("operator",))
    airlock = bootstrap.decider()
    signer, file = airlock.signer, airlock.settings.signing_key
    if signer is None or file is None:
        raise Invalid("this process has no signing key, so there is nothing to rotate")
    old, new = rotate(airlock.store, signer, FileShelf(file, airlock.settings.trusted_keys))
    say(f"Key {new} signs from now on; {old} stays trusted for what it has signed.")
    say("Copy the new public key to everybody who verifies: MLflow's guard, witnesses, auditors.")
