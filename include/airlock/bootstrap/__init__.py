"""The composition root: the one place where real adapters are chosen and put together.

A process is a *worker* (tasks: it holds no signing key and its database role can write neither
vote nor grant) or a *decider* (the app in the API server, the delivery process). Which of the two
a process can be is decided by the credentials it was given, not by this code.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from airlock.adapters.airflow import connection
from airlock.adapters.checkpoints.folder import CheckpointFolder
from airlock.adapters.checkpoints.s3 import CheckpointBucket
from airlock.adapters.checkpoints.witness_client import WitnessClient
from airlock.adapters.datasets.files import FileData
from airlock.adapters.evidence.folder import EvidenceFolder
from airlock.adapters.evidence.s3 import EvidenceBucket
from airlock.adapters.git_code.own import OwnCheckout
from airlock.adapters.jobs import Lab
from airlock.adapters.keys.ed25519 import FileGateKeys, FileKeyring, FileSigner, verify_with
from airlock.adapters.mlflow import MlflowRegistry
from airlock.adapters.mlflow.drift_source import MlflowWatch
from airlock.adapters.mlflow.guard_database import GuardDatabase
from airlock.adapters.sql_store import SqlStore
from airlock.bootstrap.room import reserve_of
from airlock.config.connected import connected as with_connection
from airlock.config.load import (
    POLICIES,
    Fingerprint,
    Pipelines,
    fingerprint,
    load_pipelines,
    load_rulebook,
)
from airlock.config.problems import ConfigurationError
from airlock.config.settings import Settings, SlackSettings
from airlock.domain.approval.policy import Rulebook
from airlock.domain.errors import Invalid
from airlock.domain.log.checkpoint import Cosigner
from airlock.ports import Files, Proposals
from airlock.ports.chat import Chat
from airlock.services.audit.transparency_log import Place
from airlock.services.promotion.promote import Promoter
from airlock.services.registry.drift import Detector

log = logging.getLogger("airlock")


@dataclass(frozen=True)
class Airlock:
    """Everything a process of Airlock works with. Parts are made when first used."""

    settings: Settings
    store: SqlStore
    signer: FileSigner | None

    @cached_property
    def keyring(self) -> FileKeyring:
        """The trusted public keys."""
        return FileKeyring(self.settings.trusted_keys)

    @cached_property
    def gate_signer(self) -> FileSigner | None:
        """The key that signs results of gates where they are run; None: they open no release."""
        key = self.settings.gate_signing_key
        return FileSigner(key) if key else None

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Where the log's checkpoints are kept outside the database."""
        chosen = self.settings
        places: list[Place] = [CheckpointFolder(chosen.checkpoints)]
        if chosen.checkpoint_bucket:
            places.append(CheckpointBucket(chosen.checkpoint_bucket))
        if self._witness:
            places.append(self._witness)
        return tuple(places)

    @cached_property
    def _witness(self) -> WitnessClient | None:
        url, key = self.settings.witness_url, self.settings.witness_key
        if bool(url) != bool(key):
            raise Invalid(
                "a witness needs both AIRLOCK_WITNESS_URL and AIRLOCK_WITNESS_KEY",
                next_step="`airlock witness` prints its key when it starts.",
            )
        return WitnessClient(url, key, verify_with) if url and key else None

    @property
    def witnesses(self) -> Mapping[str, Cosigner]:
        """The witnesses whose cosignatures are trusted."""
        witness = self._witness
        return {witness.witness_name: witness.cosigner} if witness else {}

    @cached_property
    def registry(self) -> MlflowRegistry:
        """The model registry."""
        return MlflowRegistry(self.settings.mlflow_tracking_uri)

    @cached_property
    def permits(self) -> GuardDatabase | None:
        """Where MLflow's database asks for permits, if it does."""
        url = self.settings.guard_database_url
        return GuardDatabase(url) if url else None

    @cached_property
    def promotions(self) -> Promoter:
        """What gives grants and looks whether they were spent; it signs, so a decider has it."""
        if self.signer is None:
            raise Invalid("this process has no signing key, so it can give no grant")
        return Promoter(self.store, self.signer, self.keyring, self._watch(), self.permits)

    def _watch(self) -> MlflowWatch:
        if self.signer is None:
            raise Invalid("this process has no signing key, so it cannot compare the registry")
        return MlflowWatch(self.settings.mlflow_tracking_uri, self.signer)

    @cached_property
    def detector(self) -> Detector:
        """What looks for changes in the registry; it signs its own login, so a decider has it."""
        revert = self.settings.detector_revert == "alias"
        return Detector(self.store, self._watch(), revert=revert, permits=self.permits)

    @cached_property
    def chat(self) -> Chat | None:
        """The chat, if there is one that can be spoken to."""
        slack = self.settings.slack
        if slack is None or not slack.bot_token:
            return None
        from airlock.adapters.slack.web import SlackWeb  # a task would pay for it

        return SlackWeb(slack.bot_token, slack.api_url)

    @cached_property
    def proposals(self) -> Proposals:
        """Where a task proposes what it has done."""
        from airlock.bootstrap.proposals import proposals_of

        return proposals_of(self)

    @cached_property
    def lab(self) -> Lab:
        """Where training code and heavy libraries run, in child processes."""
        chosen = self.settings
        return Lab(
            chosen.home / "work",
            tools=chosen.home / "tools",
            # Where tasks are kept apart by queues, this process is the one that holds a credential.
            team_code=chosen.queue is None,
            room=reserve_of(chosen).check,
        )

    @cached_property
    def data(self) -> FileData:
        """Pinned data."""
        return FileData(self.settings.data_dir)

    @cached_property
    def _policies(self) -> _Policies:
        return _Policies(self.settings.config_dir)

    @cached_property
    def files(self) -> Files:
        """The files of evidence."""
        chosen = self.settings
        if chosen.evidence_bucket:
            return EvidenceBucket(chosen.evidence_bucket, chosen.home / "work")
        return EvidenceFolder(chosen.evidence)

    @cached_property
    def code(self) -> OwnCheckout:
        """The checkout of this process."""
        return OwnCheckout(self.settings.root, self.settings.code_commit or "")

    @property
    def mlflow_url(self) -> str:
        """Where browsers reach MLflow; empty if MLflow has no address of its own."""
        url = self.settings.mlflow_public_url
        return url if url.startswith(("http://", "https://")) else ""

    @property
    def slack(self) -> SlackSettings | None:
        """What there is of a Slack app."""
        return self.settings.slack

    @property
    def rulebook(self) -> Rulebook:
        """The policies on disk, as the domain sees them; read again when a file changes."""
        return self._policies.rulebook()

    @cached_property
    def pipelines(self) -> Pipelines:
        """The pipelines on disk."""
        return load_pipelines(self.settings.config_dir, self.settings.root)


class _Policies:
    """Reads the policies when their files change. A refused change leaves the last good ones."""

    def __init__(self, config_dir: Path) -> None:
        self._config_dir = config_dir
        self._fingerprint: Fingerprint = frozenset()
        self._rulebook: Rulebook | None = None

    def rulebook(self) -> Rulebook:
        """Return the newest rule book that was valid.

        Raises:
            ConfigurationError: if none ever was.
        """
        current = fingerprint(self._config_dir, POLICIES)
        if self._rulebook is None or current != self._fingerprint:
            self._fingerprint = current
            try:
                document = load_rulebook(self._config_dir).document
                self._rulebook = Rulebook.from_document(document)
            except ConfigurationError as error:
                if self._rulebook is None:
                    raise
                log.error("the old policies stay in force, the new are refused: %s", error.message)
        return self._rulebook


def settings() -> Settings:
    """Read the settings of this process."""
    return Settings.from_environment(os.environ, Path.cwd())


def connected(explicit: Settings | None = None) -> Settings:
    """Return the settings of a process that speaks to Slack, its connection in Airflow read."""
    chosen = explicit or settings()
    return with_connection(chosen, lambda name: connection.read(name, chosen.root))


def worker(explicit: Settings | None = None) -> Airlock:
    """Put together what a task works with."""
    chosen = explicit or settings()
    store = SqlStore(_database(chosen), pooled=False, gate_keys=_gate_keys(chosen))
    return Airlock(chosen, store, None)


def decider(explicit: Settings | None = None) -> Airlock:
    """Put together what decides: it has the signing key."""
    chosen = explicit or settings()
    if chosen.signing_key is None:
        raise Invalid(
            "AIRLOCK_SIGNING_KEY is not set: this process cannot decide anything",
            next_step="Give it to the API server and the delivery process alone.",
        )
    store = SqlStore(_database(chosen), gate_keys=_gate_keys(chosen))
    return Airlock(chosen, store, FileSigner(chosen.signing_key))


def _gate_keys(chosen: Settings) -> FileGateKeys:
    return FileGateKeys(chosen.gate_keys)


def _database(chosen: Settings) -> str:
    if not chosen.database_url:
        raise Invalid(
            "AIRLOCK_DATABASE_URL is not set: Airlock's own database decides, so nothing works "
            "without it",
            next_step="`airlock up` sets it for every process of the embedded platform.",
        )
    return chosen.database_url
