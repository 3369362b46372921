"""MLflow as the model registry.

Rules:
* One candidate per origin (`dag_id/run_id`): recording again returns the version there is. What
  counts is a version that carries the origin; it is created last, after its files were uploaded,
  downloaded again and found to be the same. A crash before that leaves a failed run, no version.
* Bytes are always read from the place MLflow itself would serve (the download URI), never from
  the `source` a client wrote.
* No model is loaded, here or by MLflow: files go up and come down, nothing else.
* A version's files are frozen before their digest is taken, where the server has a guard.
* A wait is bounded. MLflow down, slow or answering 5xx is Unreachable; its "no" is Refused.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.adapters.mlflow import guard_client
from airlock.adapters.mlflow.http_errors import as_metrics, plain, translated, unless_there
from airlock.adapters.mlflow.records import CandidateRecord, RegisteredCandidate
from airlock.domain.digest import canonical_json, folder_manifest, manifest_digest
from airlock.domain.errors import NotFound, Refused

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

_RETRIES, _BACKOFF_S, _TIMEOUT_S = "2", "1", "60"
_DIGEST_COLUMN = 36  # MLflow keeps no more of a dataset's digest; the whole one is a tag


class MlflowRegistry:
    """The registry behind *tracking_uri*."""

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri
        self._cached_client: MlflowClient | None = None

    def record_candidate(self, record: CandidateRecord) -> RegisteredCandidate:
        """Register the saved model as a new version, once per origin."""
        recorded = self.find_candidate(record.model, record.origin)
        if recorded:
            return recorded
        with translated(f"recording a candidate of {record.model}", self._uri):
            self._fail_leftovers(record)
            run = self._start_run(record)
            model_id = self._upload(record, run)
            version = self._create_version(record, run.info.run_id, model_id)
            self._client.set_terminated(run.info.run_id, "FINISHED")
        return self._registered(version, created=True)

    def find_candidate(self, model: str, origin: str) -> RegisteredCandidate | None:
        """Return the version an origin has recorded, if any."""
        with translated(f"looking for a candidate of {model}", self._uri):
            versions = self._client.search_model_versions(
                f"name = '{plain(model)}' and tags.`airlock.origin` = '{plain(origin)}'"
            )
        if not versions:
            return None
        first = min(versions, key=lambda version: int(version.version))
        return self._registered(first, created=False)

    def log_evidence(self, run_id: str, kind: str, facts: Mapping[str, Any]) -> None:
        """Keep facts with the run, as `evidence/<kind>.json`."""
        with translated(f"keeping evidence {kind}", self._uri):
            self._client.log_text(
                run_id, canonical_json(dict(facts)).decode(), f"evidence/{kind}.json"
            )

    def log_files(self, run_id: str, path: Path, folder: str) -> None:
        """Keep a file or a folder of files with the run, below *folder*."""
        log = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        with translated(f"keeping {path.name}", self._uri):
            log(run_id, str(path), folder)

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Keep metrics with the run."""
        with translated(f"keeping metrics of run {run_id}", self._uri):
            self._client.log_batch(run_id, metrics=as_metrics(metrics))

    def alias(self, model: str, alias: str) -> str | None:
        """Return the version an alias points at; None also if there is no such model yet."""
        try:
            with translated(f"reading the alias {alias} of {model}", self._uri):
                version = self._client.get_registered_model(model).aliases.get(alias)
        except NotFound:
            return None
        return None if version is None else str(version)

    def set_alias(self, model: str, alias: str, version: str, envelope: str = "") -> None:
        """Point the alias at a version; *envelope* is the signed grant a guarded server asks for.

        The plain call of MLflow's client moves it; the grant was handed in just before.
        """
        if envelope and guard_client.deliver(self._uri, envelope):
            return  # this grant has moved it before
        try:
            with translated(f"pointing {alias} of {model} at version {version}", self._uri):
                self._client.set_registered_model_alias(model, alias, version)
        except Refused:
            if not envelope or not guard_client.deliver(self._uri, envelope):
                raise  # otherwise it was moved, and only the answer was lost

    def location(self, model: str, version: str) -> str:
        """Return the URI the version's bytes are served from."""
        with translated(f"locating version {version} of {model}", self._uri):
            return str(self._client.get_model_version_download_uri(model, version))

    def download(self, model: str, version: str, into: Path) -> Path:
        """Download the version's files to a new folder below *into* and return it."""
        return self._fetch(self.location(model, version), f"version {version} of {model}", into)

    def run_file(self, model: str, version: str, folder: str, into: Path) -> Path | None:
        """Download the first file kept in *folder* of the version's run; None if there is none."""
        import mlflow.artifacts

        with translated(f"reading {folder} of version {version} of {model}", self._uri):
            run = str(self._client.get_model_version(model, version).run_id)
            paths = [
                info.path for info in self._client.list_artifacts(run, folder) if not info.is_dir
            ]
            if not paths:
                return None
            where = tempfile.mkdtemp(prefix="file-", dir=into)
            return Path(
                mlflow.artifacts.download_artifacts(
                    run_id=run, artifact_path=paths[0], dst_path=where, tracking_uri=self._uri
                )
            )

    def tag(self, model: str, version: str, name: str) -> str:
        """Return the tag set when the version was registered; empty if there is none."""
        with translated(f"reading the tags of version {version} of {model}", self._uri):
            tags = self._client.get_model_version(model, version).tags
        return str(tags.get(f"airlock.{name}", ""))

    def artifact_digest(self, model: str, version: str) -> str:
        """Download the version afresh and return the digest of all its files."""
        with tempfile.TemporaryDirectory(prefix="airlock-digest-") as scratch:
            return manifest_digest(folder_manifest(self.download(model, version, Path(scratch))))

    # -- the steps of recording --------------------------------------------------------------

    def _fail_leftovers(self, record: CandidateRecord) -> None:
        """End what an attempt of the same origin left running when it was killed."""
        running = self._client.search_runs(
            [self._experiment(record.model)],
            f"tags.`airlock.origin` = '{plain(record.origin)}' and attributes.status = 'RUNNING'",
        )
        for run in running:
            self._client.set_terminated(run.info.run_id, "FAILED")

    def _experiment(self, name: str) -> str:
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            unless_there(lambda: self._client.create_experiment(name))
            experiment = self._client.get_experiment_by_name(name)
        if experiment is None or experiment.lifecycle_stage != "active":
            raise Refused(
                f"the MLflow experiment {name!r} was deleted",
                next_step=f"restore it (with a token of `airlock mlflow-token` as the password: "
                "`mlflow experiments restore -x "
                f"{experiment.experiment_id if experiment else 'ID'}`), or "
                f"rename the pipeline {name}",
            )
        return str(experiment.experiment_id)

    def _start_run(self, record: CandidateRecord) -> Run:
        """Create the run and log what was trained, on what, by which code."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        tags = record.tags() | {
            "mlflow.user": record.requester,
            "mlflow.source.name": record.origin,
            "mlflow.source.git.commit": record.code_commit,
        }
        experiment = self._experiment(record.model)
        run = self._client.create_run(experiment, tags=tags, run_name=record.origin)
        params = [Param(key, value) for key, value in record.params.items()]
        self._client.log_batch(run.info.run_id, as_metrics(record.metrics), params)
        source = canonical_json({"source": record.source}).decode()
        digest = record.data_digest[:_DIGEST_COLUMN]
        data = Dataset(record.source, digest, "airlock", source)
        marks = [
            InputTag("mlflow.data.context", "training"),
            InputTag("airlock.data_digest", record.data_digest),
        ]
        self._client.log_inputs(run.info.run_id, [DatasetInput(data, marks)])
        return run

    def _upload(self, record: CandidateRecord, run: Run) -> str:
        """Upload the folder as a logged model, read it back, and only then call it ready."""
        from mlflow.entities import LoggedModelOutput

        logged = self._client.create_logged_model(
            run.info.experiment_id,
            name=record.model,
            source_run_id=run.info.run_id,
            tags=record.tags(),
        )
        self._client.log_model_artifacts(logged.model_id, str(record.folder))
        with tempfile.TemporaryDirectory(prefix="airlock-upload-") as scratch:
            back = self._fetch(logged.artifact_location, f"model {logged.model_id}", Path(scratch))
            digest = manifest_digest(folder_manifest(back))
        if digest != record.artifact_digest:
            self._client.finalize_logged_model(logged.model_id, "FAILED")
            raise Refused(
                f"MLflow keeps other bytes of {record.model} than were uploaded: "
                f"expected {record.artifact_digest}, found {digest}"
            )
        self._client.finalize_logged_model(logged.model_id, "READY")
        self._client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, step=0)])
        return str(logged.model_id)

    def _create_version(self, record: CandidateRecord, run_id: str, model_id: str) -> ModelVersion:
        unless_there(lambda: self._client.create_registered_model(record.model))
        return self._client.create_model_version(
            record.model,
            source=f"models:/{model_id}",
            run_id=run_id,
            tags=record.tags(),
            await_creation_for=30,
            model_id=model_id,
        )

    def _registered(self, version: ModelVersion, *, created: bool) -> RegisteredCandidate:
        guard_client.freeze(
            self._uri, version.name, str(version.version)
        )  # before its digest counts
        return RegisteredCandidate(
            model=version.name,
            version=str(version.version),
            run_id=str(version.run_id),
            model_id=str(version.source).removeprefix("models:/"),
            location=self.location(version.name, str(version.version)),
            artifact_digest=self.artifact_digest(version.name, str(version.version)),
            created=created,
        )

    def _fetch(self, location: str, label: str, into: Path) -> Path:
        import mlflow.artifacts

        if self._uri.startswith("http") and location.startswith(("/", "file:")):
            # The server may mean its own disk, this would read ours.
            raise Refused(f"{label} lies at {location}, a local path; expected a served artifact")
        into.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.mkdtemp(prefix="model-", dir=into)
        with translated(f"downloading {label}", self._uri):
            folder = Path(
                mlflow.artifacts.download_artifacts(
                    artifact_uri=location, dst_path=scratch, tracking_uri=self._uri
                )
            )
        if not any(path.is_file() for path in folder.rglob("*")):
            raise NotFound(f"{label} has no files in MLflow", next_step=f"look at {location}")
        return folder

    @property
    def _client(self) -> MlflowClient:
        """The client, made at first use: importing MLflow takes seconds."""
        if self._cached_client is None:
            from mlflow import MlflowClient
            from mlflow import environment_variables as settings

            # MLflow's own defaults wait four minutes for a server that is down.
            settings.MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(_RETRIES)
            settings.MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR.set(_BACKOFF_S)
            settings.MLFLOW_HTTP_REQUEST_TIMEOUT.set(_TIMEOUT_S)
            settings.MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set("false")
            settings.MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set("true")
            self._cached_client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        return self._cached_client
