"""Loading what is released, step by step; each step refuses.

1. The statement: signatures, keys, model, environment, subject and grant belong together.
2. The data, if the caller names it, is the data the model was trained on.
3. The sequence number is not older than what this host has seen.
4. The files are put into a private folder (0700). Their digest is taken there and is the grant's.
5. Every file is of a format on the allow-list, read from the same private copy.
6. The model is built by our loader for its format, with our trust list.

The number is remembered only after all of it, so a refused release changes nothing. It does not
isolate the model: forged numbers inside a safe format can still crash the process that uses them.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock import artifacts
from airlock.adapters.keys.ed25519 import FileKeyring
from airlock.adapters.model_loader import build_model
from airlock.domain.digest import folder_manifest, manifest_digest, short
from airlock.domain.errors import Invalid, Refused
from airlock.domain.gates import Evidence, Verdict
from airlock.domain.promotion.serving_statement import Released, ReleaseUnproven, open_statement
from airlock.gates.artifact_format import ArtifactFormat
from airlock.serving.schema import Schema, read_schema
from airlock.serving.sequence import remember
from airlock.serving.sources import BytesSource, StatementSource

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model built from files that were checked. `schema` is None if it declares no columns."""

    model: Any
    flavor: str
    method: str
    schema: Schema | None

    def predict(self, table: pandas.DataFrame) -> Any:
        """Answer for rows that are what the model's signature says.

        Raises:
            InputRefused: naming what is wrong with them.
        """
        answer = getattr(self.model, self.method, None)
        if self.schema is None or not callable(answer):
            raise Invalid(
                f"this {self.flavor} model does not say which columns it takes",
                next_step="Log it with a signature of columns, or ask its `.model` yourself.",
            )
        return answer(self.schema.check(table))


@dataclass(frozen=True, slots=True)
class Served:
    """A model that may serve, and what it is. `model` is the library's own object.

    `predict` asks it only what its signature allows.
    """

    loaded: Loaded
    name: str
    version: str
    environment: str
    release: str
    sequence: int
    artifact_digest: str
    data_digest: str

    @property
    def model(self) -> Any:
        """The library's own object; it checks no input."""
        return self.loaded.model

    @property
    def flavor(self) -> str:
        """The library it belongs to."""
        return self.loaded.flavor

    def predict(self, table: pandas.DataFrame) -> Any:
        """Answer for rows that are what the model's signature says.

        Raises:
            InputRefused: naming what is wrong with them.
        """
        return self.loaded.predict(table)


def load_released(
    model: str,
    environment: str,
    *,
    release: StatementSource,
    keys: Path | str,
    state: Path | str,
    files: BytesSource,
    data: str | None = None,
    scratch: Path | str | None = None,
) -> Served:
    """Load the version of *model* that is released in *environment*.

    *keys* is the folder of Airlock's public keys, *state* the file that remembers sequence numbers,
    *data* the digest of the data the caller expects the model to be trained on.

    Raises:
        Refused: naming the check that failed; nothing was loaded.
        Unreachable: if Airlock or the place of the files did not answer.
    """
    ring = FileKeyring(Path(keys))
    text = release.statement(model, environment)
    released = open_statement(text, model, environment, ring.verify, ring.valid_at)
    if data is not None and data != released.subject.data_digest:
        raise ReleaseUnproven(
            f"{model} version {released.grant.version} was trained on "
            f"{short(released.subject.data_digest)}, expected {short(data)}",
            next_step="Serve it with the features of its own data, or release a newer model.",
        )
    private = Path(tempfile.mkdtemp(prefix="airlock-served-", dir=scratch))  # mode 0700
    try:
        loaded = _load(released, files, private)
        remember(Path(state), released)
    finally:
        shutil.rmtree(private, ignore_errors=True)
    grant = released.grant
    return Served(
        loaded=loaded,
        name=grant.model,
        version=grant.version,
        environment=grant.environment,
        release=grant.release,
        sequence=grant.sequence,
        artifact_digest=grant.artifact_digest,
        data_digest=released.subject.data_digest,
    )


def _load(released: Released, files: BytesSource, private: Path) -> Loaded:
    grant = released.grant
    folder = files.fetch(grant, private)
    if not folder.resolve().is_relative_to(private.resolve()):
        raise Invalid(f"{folder} is not in the private folder of this load")
    return load_files(folder, grant.artifact_digest, grant.model, f"version {grant.version}")


def load_files(folder: Path, expected: str, name: str, version: str) -> Loaded:
    """Build the model in a private folder, if its digest is *expected* and its format is safe.

    Raises:
        Refused: naming the check that failed; nothing was loaded.
    """
    _own(folder)
    digest = _digest(folder, name)
    if digest != expected:
        raise Refused(
            f"the files of {name} {version} are {short(digest)}, but "
            f"{short(expected)} was released: somebody changed them",
            next_step="Find out who writes there; do not serve them.",
        )
    facts = artifacts.facts(folder)
    evidence = Evidence("artifact-format", digest, facts)
    result = ArtifactFormat().judge({"artifact-format": evidence})
    if result.verdict is not Verdict.PASSED:
        raise Refused(
            f"{name} {version} is not loaded: {result.message}",
            next_step="Release it again in a safe format.",
        )
    described = facts["model"]
    return Loaded(
        model=build_model(folder, described, name),
        flavor=str(described["flavor"]),
        method=str(described["predict"]),
        schema=read_schema(folder),
    )


def _own(folder: Path) -> None:
    """Refuse links before anything is read through one, and keep everybody else out."""
    folder.chmod(0o700)
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise Refused(f"{path.name} is a link; expected files alone")
        if path.is_dir():
            path.chmod(0o700)


def _digest(folder: Path, name: str) -> str:
    manifest = folder_manifest(folder)
    if not manifest:
        raise Refused(f"there is no file of {name}")
    return manifest_digest(manifest)
