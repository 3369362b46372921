"""Releases with evidence bundles, and ways to tamper with one, for the tests of both."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from airlock.domain.log.checkpoint import Cosigner
from airlock.services.audit import export as evidence_export
from airlock.testing import RULEBOOK, World
from airlock_evidence.archive import MANIFEST, manifest, unpack
from airlock_evidence.checking import Result, check
from airlock_evidence.documents import readable
from airlock_evidence.dossier import read_dossier
from airlock_evidence.trust import Trust
from tests.contract.tree_kit import keys

Files = dict[str, bytes]


class Evidenced:
    """A world with real keys, whose releases can be taken away."""

    def __init__(self, make_world: Callable[..., World], folder: Path, **options: Any) -> None:
        """Create a key and a world."""
        self.folder = folder
        self.signer, self.keyring = keys(folder)
        self.world = make_world(signer=self.signer, **options)
        self.world.keys = self.keyring  # type: ignore[assignment]
        self.witnesses: Mapping[str, Cosigner] = {}

    def export(self, release_id: str, reason: str = "yearly audit") -> bytes:
        """Return the bundle of a release."""
        actor = self.world.actor("sam")
        return evidence_export.export(
            self.world.store, self.keyring, self.signer, self.witnesses, actor, release_id, reason
        )

    def files(self, release_id: str) -> Files:
        """Return the files of the bundle of a release."""
        return unpack(self.export(release_id), "the zip")

    def promoted(self, run: str = "run-1") -> str:
        """Return a release that was promoted."""
        release_id = self.world.open(run)
        self.world.approve_all(release_id)
        self.world.promote(release_id, run)
        return release_id

    def check(self, files: Mapping[str, bytes]) -> Result:
        """Check with the real keys, brought from outside."""
        return check(files, lambda _: Trust(dict(self.keyring.keys()), {}, "our keys"))


def book(**approval: Any) -> dict[str, Any]:
    """Return the test rule book with more in its approval policy."""
    document = copy.deepcopy(dict(RULEBOOK))
    document["approval"]["spec"] |= approval
    return document


def resealed(files: Mapping[str, bytes], *, readable_too: bool = True) -> Files:
    """Return changed files as a forger would: with fitting documents and manifest."""
    made = dict(files)
    if readable_too:
        made |= readable(read_dossier(made))
    return {**made, MANIFEST: manifest(made)}


def lines(files: Mapping[str, bytes], name: str) -> list[dict[str, Any]]:
    """Return the entries of a file of entries."""
    return [json.loads(line) for line in files[name].splitlines()]


def unlines(entries: list[dict[str, Any]]) -> bytes:
    """Return a file of entries."""
    return b"".join(canonical(one) + b"\n" for one in entries)


def canonical(value: Any) -> bytes:
    """Return canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()
