"""A running Airlock with real keys over real model files, for `load_released`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from airlock.adapters.keys.ed25519 import FileKeyring, FileSigner, create
from airlock.domain.people.actors import Actor, Channel
from airlock.services.promotion import rollback, serving_statement
from airlock.serving import FromAirlock, FromFolder, Served, load_released
from airlock.testing.fakes import FakeRegistry
from tests.integration.door_kit import Doors, running
from tests.integration.real_models import Models


class Keys(FileSigner):
    """A signer that is its own keyring, as the test world wants it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "keys"
        create(folder / "private.pem", self.folder)
        super().__init__(folder / "private.pem")

    def keys(self) -> Mapping[str, bytes]:
        return FileKeyring(self.folder).keys()

    def verify(self, key: str, signature: bytes, message: bytes) -> bool:
        return FileKeyring(self.folder).verify(key, signature, message)

    def valid_at(self, key: str, at: datetime) -> bool:
        return FileKeyring(self.folder).valid_at(key, at)


class Shelf(FakeRegistry):
    """A registry whose next versions are the files put on it."""

    def __init__(self) -> None:
        super().__init__()
        self.next: dict[str, bytes] = {}

    def add(self, model: str, content: bytes) -> str:
        version = super().add(model, content)
        self.files[model, version] = dict(self.next)
        return version


@dataclass
class Host:
    """A serving host, and the Airlock it asks."""

    doors: Doors
    keys: Keys
    shelf: Shelf
    models: Models
    folder: Path

    def release(self, files: Mapping[str, bytes] | str, run: str) -> str:
        """Release a real model by its name, or any files; return the release's id."""
        world = self.doors.world
        self.shelf.next = dict(self.files(files) if isinstance(files, str) else files)
        release_id = world.open(run)
        world.approve_all(release_id)
        world.promote(release_id, run)
        return release_id

    def files(self, name: str) -> dict[str, bytes]:
        """Return the files of a real model."""
        folder = self.models.folder(name)
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def placed(self, version: str) -> Path:
        """Write a version's files into a folder."""
        place = self.folder / f"version-{version}"
        place.mkdir(exist_ok=True)
        return self.shelf.download("credit", version, place)

    def statement(self) -> str:
        """Return what Airlock states now."""
        store = self.doors.world.store
        return serving_statement.current(store, self.keys, self.keys, "credit", "production")

    def roll_back(self, release_id: str) -> None:
        """Go back from a release."""
        world = self.doors.world
        actor = Actor("otto", "Otto", frozenset({"operator"}), Channel.CLI)
        rollback.allow(world.store, release_id, actor, "it drifts", "")
        world.promote(release_id, "back")

    def load(self, version: str = "1", **over: Any) -> Served:
        """Load what is released, from the files of a version."""
        given: dict[str, Any] = {
            "release": FromAirlock(self.doors.url, "vera"),
            "keys": self.keys.folder,
            "state": self.folder / "seen.json",
            "files": over.get("files") or FromFolder(self.placed(version)),
            "scratch": self.folder,
        }
        return load_released("credit", "production", **{**given, **over})


@contextmanager
def host(folder: Path, models: Models) -> Iterator[Host]:
    """Run an Airlock with real keys."""
    keys, shelf = Keys(folder), Shelf()
    with running(folder, keys) as doors:
        doors.world.registry = shelf
        yield Host(doors, keys, shelf, models, folder)
