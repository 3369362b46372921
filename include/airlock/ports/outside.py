"""The systems outside: keys, the model registry, Airflow."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from airlock.domain.promotion.grant import Grant, Standing
from airlock.domain.registry_drift import Permit, Sighting, SpentThere
from airlock.ports.records import Parked


class Signer(Protocol):
    """A private key that can only sign. A KMS can be one."""

    @property
    def key_id(self) -> str:
        """Which key signs."""

    @property
    def public(self) -> bytes:
        """The 32 bytes of its public key."""

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of *message*."""


class Keyring(Protocol):
    """The public keys that are trusted, those of the past among them."""

    def keys(self) -> Mapping[str, bytes]:
        """Return key id -> the 32 bytes of the public key."""

    def valid_at(self, key_id: str, at: datetime) -> bool:
        """Say whether a key was in use at a time: a key given up signs nothing new."""

    def verify(self, key_id: str, signature: bytes, message: bytes) -> bool:
        """Say whether a trusted key of that id made the signature."""


class Registry(Protocol):
    """The model registry (MLflow)."""

    def alias(self, model: str, alias: str) -> str | None:
        """Return the version an alias points at, or None."""

    def set_alias(self, model: str, alias: str, version: str, envelope: str = "") -> None:
        """Point the alias at a version; *envelope* is the signed grant that allows it.

        A guarded registry moves a protected alias for a grant alone, and once; asked again with
        the grant that moved it, there is nothing left to do.
        """

    def download(self, model: str, version: str, into: Path) -> Path:
        """Download the artifact of a version and return its folder."""

    def artifact_digest(self, model: str, version: str) -> str:
        """Download afresh and return the manifest digest."""

    def location(self, model: str, version: str) -> str:
        """Return where the bytes are really read from."""


class Watch(Protocol):
    """The model registry as somebody sees it who looks for changes. All raise Unreachable."""

    def sightings(self) -> tuple[Sighting, ...]:
        """Return every protected alias as it is in the registry's database."""

    def ledger(self) -> tuple[frozenset[str], tuple[SpentThere, ...]]:
        """Return the protected aliases' names, and every grant spent there."""

    def resolve_alias(self, model: str, alias: str) -> str | None:
        """Return the version an ordinary client gets, or None."""

    def digest(self, model: str, version: str) -> str | None:
        """Hash the files of a version where they lie; None if there are none."""

    def attempts(self, model: str) -> tuple[Mapping[str, Any], ...]:
        """Return what was refused last about a model: who, what, from where, when."""

    def standing(self, grant_id: str) -> Standing:
        """Return what the guard's ledger knows of a grant; UNSPENT if it was never delivered."""

    def revoke(self, grant_id: str, envelope: str) -> Standing:
        """Let a grant never be spent; return REVOKED, or SPENT if it was spent before.

        Atomic against spending, delivered or not; revoking again changes nothing.
        """

    def set_back(self, model: str, alias: str, version: str) -> None:
        """Set an alias back to what was released last. Raises Refused if that is another one."""


class Files(Protocol):
    """Files of evidence, each kept under its own digest and never changed."""

    def put(self, path: Path) -> str:
        """Keep a file and return its digest. Raises Unreachable."""

    def get(self, digest: str) -> Path:
        """Return the file. Raises NotFound, Refused if it was changed, Unreachable."""

    def read(self, digest: str, most: int) -> bytes:
        """Return the content of a file of at most *most* bytes, without a copy on disk.

        Raises NotFound, Refused if it is larger or was changed, Unreachable.
        """


class Permits(Protocol):
    """MLflow's own database, where it asks for a permit before a protected alias moves."""

    def write(self, grant: Grant) -> None:
        """Write the permit of a grant; writing it again changes nothing. Raises Unreachable."""

    def revoke(self, grant: Grant) -> Standing:
        """Let a permit, written or not, never be spent; SPENT if it was. Raises Unreachable."""

    def all(self) -> tuple[Permit, ...]:
        """Return every permit there is, whoever wrote it. Raises Unreachable."""


class AssetEvents(Protocol):
    """Events on Airflow's assets, which start the DAGs that wait for them."""

    def last(self, asset: str) -> Mapping[str, Any] | None:
        """Return what came with the newest event of an asset, None if it had none.

        Raises:
            Unreachable: if Airflow did not answer, or does not know the asset yet.
        """

    def post(self, asset: str, extra: Mapping[str, Any]) -> None:
        """Post an event. Raises Unreachable, as `last` does."""


class Airflow(Protocol):
    """What the delivery process asks of Airflow."""

    def wake(self, parked: Parked, note: str) -> bool:
        """Wake a parked task. False: not yet possible, try again. Raises Unreachable."""

    def note(self, dag_id: str, run_id: str, note: str) -> None:
        """Write a note onto a DAG run. Raises Unreachable."""

    def start(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> None:
        """Start a DAG run, once for each id. Raises Unreachable."""
