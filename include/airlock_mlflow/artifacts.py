"""The server's files: `--artifacts-destination airlock+file:///...` or `airlock+s3://...`.

Rules:
* A place that is frozen, anything in it and anything above it is neither written nor deleted,
  through whichever route; the check is the last thing before a local file takes its place.
* A path counts as every place it could end up as: decoded, normalised, links followed.
* No presigned upload: such an address outlives a freeze. A multipart upload that was begun before
  is refused when it is completed.
* There is one store. Anything else a client has named as a location is not opened by the server.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
from collections.abc import AsyncIterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn
from urllib.parse import unquote

from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository
from mlflow.utils.file_utils import local_file_uri_to_path

from airlock_mlflow.denial import Denied
from airlock_mlflow.guard import Guard, guard, recorded
from airlock_mlflow.places import SCHEME, below, spellings

_BLOCK = 1 << 20


class _Guarded:
    """What both kinds of store check before they write."""

    _guard: Guard
    _below: str

    def _settle(self, artifact_uri: str) -> str:
        """Return the plain address, after checking that it is the server's own store."""
        self._guard = guard()
        path = below(artifact_uri, self._guard.settings.destination)
        if path is None:
            _elsewhere(artifact_uri)
        self._below = path
        return artifact_uri.removeprefix(SCHEME)

    def _places(self, path: str) -> frozenset[str]:
        return spellings(posixpath.join(self._below, path) if path else self._below)

    def _check(self, action: str, folder: str | None, name: str = "") -> None:
        path = posixpath.join(folder or "", name) if name else folder or ""
        if not unquote(path).isprintable():
            raise Denied(action, path, "the path holds control characters", "Use another name")
        version = self._guard.frozen_by(self._places(path))
        if version:
            why = f"the files of {version} are frozen for a release"
            raise Denied(action, path or "everything", why, "Log a new model and release that")


class GuardedFiles(_Guarded, LocalArtifactRepository):  # type: ignore[misc] # no types
    """A folder of the server's machine."""

    def __init__(self, artifact_uri: str, tracking_uri: Any = None, registry_uri: Any = None):
        super().__init__(self._settle(artifact_uri), tracking_uri, registry_uri)

    def _places(self, path: str) -> frozenset[str]:
        root = os.path.realpath(self.artifact_dir)
        # Deleting decodes once more than writing does.
        joined = local_file_uri_to_path(os.path.join(self.artifact_dir, path))
        relative = os.path.relpath(os.path.realpath(joined), root).replace(os.sep, "/")
        if relative == ".." or relative.startswith("../"):
            raise Denied("write files", path, "the path leads out of the server's own store")
        real = "" if relative == "." else relative
        return super()._places(path) | spellings(posixpath.join(self._below, real))

    def _publish_staged_artifact(self, temp_file_path: str, destination: str, *rest: Any) -> None:
        self._check("write files", os.path.relpath(destination, self.artifact_dir))
        super()._publish_staged_artifact(temp_file_path, destination, *rest)

    @recorded
    def log_artifact(self, local_file: Any, artifact_path: str | None = None) -> None:
        """Store a file, unless its place is frozen."""
        self._check("write files", artifact_path, os.path.basename(local_file))
        super().log_artifact(local_file, artifact_path)

    @recorded
    def log_artifacts(self, local_dir: Any, artifact_path: str | None = None) -> None:
        """Store a folder, unless one of its places is frozen."""
        for path in _files(Path(local_dir)):
            self._check("write files", artifact_path, path)
        super().log_artifacts(local_dir, artifact_path)

    @recorded
    def log_artifact_from_stream(
        self, stream: BinaryIO, artifact_file_name: str, artifact_path: str | None = None
    ) -> None:
        """Store a stream, unless its place is frozen."""
        self._check("write files", artifact_path, os.path.basename(artifact_file_name))
        super().log_artifact_from_stream(stream, artifact_file_name, artifact_path)

    async def log_artifact_from_async_stream(
        self,
        chunks: AsyncIterable[bytes],
        artifact_file_name: str,
        artifact_path: str | None = None,
    ) -> None:
        """Store a stream, unless its place is frozen."""
        name = os.path.basename(artifact_file_name)
        try:
            await asyncio.to_thread(self._check, "write files", artifact_path, name)
            await super().log_artifact_from_async_stream(chunks, artifact_file_name, artifact_path)
        except Denied as denied:
            await asyncio.to_thread(self._guard.record, denied)
            raise

    @recorded
    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete a place, unless it, something in it or above it is frozen."""
        self._check("delete files", artifact_path)
        super().delete_artifacts(artifact_path)


class GuardedBucket(_Guarded, S3ArtifactRepository):  # type: ignore[misc] # no types
    """A bucket, of Amazon or of whoever speaks its protocol."""

    def __init__(self, artifact_uri: str, tracking_uri: Any = None, registry_uri: Any = None):
        plain = self._settle(artifact_uri)
        super().__init__(plain, tracking_uri=tracking_uri, registry_uri=registry_uri)

    def get_local_path(self, artifact_path: str) -> None:
        """Return None: a bucket has no local files."""

    def blocks(self, path: str) -> Iterator[bytes]:
        """Return the bytes of one object, in blocks."""
        bucket, root = self.parse_s3_compliant_uri(self.artifact_uri)
        key = posixpath.join(root, path)
        response = self._get_s3_client().get_object(Bucket=bucket, Key=key)
        yield from response["Body"].iter_chunks(_BLOCK)

    @recorded
    def log_artifact(self, local_file: Any, artifact_path: str | None = None) -> None:
        """Store a file, unless its place is frozen."""
        self._check("write files", artifact_path, os.path.basename(local_file))
        super().log_artifact(local_file, artifact_path)

    @recorded
    def log_artifacts(self, local_dir: Any, artifact_path: str | None = None) -> None:
        """Store a folder, unless one of its places is frozen."""
        for path in _files(Path(local_dir)):
            self._check("write files", artifact_path, path)
        super().log_artifacts(local_dir, artifact_path)

    @recorded
    def upload_archived_trace_data_bytes(self, data: bytes) -> None:
        """Store an archived trace, unless its place is frozen."""
        self._check("write files", None, "traces.pb")
        super().upload_archived_trace_data_bytes(data)

    @recorded
    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete a place, unless it, something in it or above it is frozen."""
        self._check("delete files", artifact_path)
        super().delete_artifacts(artifact_path)

    @recorded
    def create_multipart_upload(
        self, local_file: str, num_parts: int = 1, artifact_path: str | None = None
    ) -> Any:
        """Begin an upload in parts, unless its place is frozen."""
        self._check("write files", artifact_path, os.path.basename(local_file))
        return super().create_multipart_upload(local_file, num_parts, artifact_path)

    @recorded
    def complete_multipart_upload(
        self, local_file: str, upload_id: str, parts: Any = None, artifact_path: str | None = None
    ) -> None:
        """Complete an upload in parts, unless its place was frozen in the meantime."""
        self._check("write files", artifact_path, os.path.basename(local_file))
        super().complete_multipart_upload(local_file, upload_id, parts, artifact_path)

    @recorded
    def create_presigned_upload_url(self, artifact_path: str, expiration: int = 900) -> NoReturn:
        """Refuse: the address would outlive a freeze."""
        why = "addresses for direct uploads are off: they would outlive a freeze"
        raise Denied("write files", artifact_path, why, "Upload through the server")


def artifact_repository(
    artifact_uri: str, tracking_uri: Any = None, registry_uri: Any = None
) -> GuardedFiles | GuardedBucket:
    """Return the server's own store, or the part of it an address names."""
    kind = GuardedBucket if artifact_uri.startswith(f"{SCHEME}s3:") else GuardedFiles
    return kind(artifact_uri, tracking_uri, registry_uri)


def repository(server_guard: Guard) -> GuardedFiles | GuardedBucket:
    """Return the whole of the server's own store."""
    return artifact_repository(server_guard.settings.destination)


def refused_repository(artifact_uri: str, *_: Any, **__: Any) -> NoReturn:
    """Stand in for every other kind of store inside the server."""
    _elsewhere(artifact_uri)


def _elsewhere(artifact_uri: str) -> NoReturn:
    why = f"{artifact_uri} is not in this server's own store, and the server opens no other"
    denied = Denied("open files", artifact_uri, why, "Use a location the server gives out")
    guard().record(denied)
    raise denied


def _files(folder: Path) -> list[str]:
    paths = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    return paths or [""]
