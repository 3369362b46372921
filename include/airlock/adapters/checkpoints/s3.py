"""Checkpoints in an S3 bucket with Object Lock: nobody shortens what is kept, root included.

Objects are written once (`If-None-Match: *`) and locked in COMPLIANCE mode until the retention
has passed. The bucket has to have Object Lock switched on. Credentials and region are those of
the AWS SDK's own chain (environment, profile, instance role).
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from airlock.adapters.s3_client import s3_client, s3_code
from airlock.domain.errors import Refused, Unreachable
from airlock.domain.log.tree import KeptCheckpoint
from airlock.services.audit.transparency_log import Copy

NOTE, LEAVES = ".note", ".leaves"
#: Days an object cannot be deleted.
RETENTION_DAYS = 3650
_CONFLICTS = ("PreconditionFailed", "ConditionalRequestConflict")


class CheckpointBucket:
    """Keeps every checkpoint as `<prefix>/<size>.note` and `.leaves`."""

    witness = False

    def __init__(self, url: str, client: Any = None, days: int = RETENTION_DAYS) -> None:
        """Use `s3://bucket/prefix`; *client* is an S3 client of boto3."""
        parts = urlsplit(url)
        self._bucket, prefix = parts.netloc, parts.path.strip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = client or s3_client("checkpoints", "AIRLOCK_CHECKPOINT_BUCKET")
        self._days = days
        self.name = f"bucket {url}"

    def put(self, copy: Copy) -> str:
        """Keep a checkpoint.

        Raises:
            Refused: if another one of this size is kept, or a larger one the database forgot.
            Unreachable: if S3 does not answer or does not accept.
        """
        try:
            self._check(copy)
            self._write(f"{copy.size:012}{LEAVES}", copy.leaves)
            self._write(f"{copy.size:012}{NOTE}", copy.note.encode())
        except Refused:
            raise
        except Exception as error:  # boto3 makes its exception types at run time
            raise Unreachable(f"{self.name} does not take a checkpoint: {error}") from error
        return ""

    def _check(self, copy: Copy) -> None:
        largest = max(self._sizes(), default=0)
        if largest <= copy.after:
            return
        if copy.size in self._sizes():
            stored = self._read(f"{copy.size:012}{NOTE}").decode(errors="replace")
            if stored.rpartition("\n\n")[0] == copy.note.rpartition("\n\n")[0]:
                return
        raise Refused(
            f"{self.name} holds a checkpoint of {largest} entries that the database does not know, "
            f"so it does not take one of {copy.size}",
            next_step="The database was set back or the log rewritten: `airlock audit verify`.",
        )

    def _write(self, name: str, content: bytes) -> None:
        until = datetime.now(UTC) + timedelta(days=self._days)
        digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=f"{self._prefix}{name}",
                Body=content,
                ContentMD5=digest,
                IfNoneMatch="*",
                ObjectLockMode="COMPLIANCE",
                ObjectLockRetainUntilDate=until,
            )
        except Exception as error:
            if s3_code(error) not in _CONFLICTS:
                raise

    def _read(self, name: str) -> bytes:
        answer = self._client.get_object(Bucket=self._bucket, Key=f"{self._prefix}{name}")
        data: bytes = answer["Body"].read()
        return data

    def _sizes(self) -> list[int]:
        pages = self._client.get_paginator("list_objects_v2")
        names = [
            item["Key"].removeprefix(self._prefix)
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix)
            for item in page.get("Contents", ())
        ]
        stems = (name.removesuffix(NOTE) for name in names if name.endswith(NOTE))
        return sorted(int(stem) for stem in stems if stem.isdigit())

    def checkpoints(self) -> tuple[KeptCheckpoint, ...]:
        """Return every checkpoint kept here, smallest first."""
        try:
            return tuple(
                KeptCheckpoint(
                    self.name,
                    size,
                    self._read(f"{size:012}{NOTE}").decode(errors="replace"),
                    self._read(f"{size:012}{LEAVES}"),
                )
                for size in self._sizes()
            )
        except Exception as error:
            raise Unreachable(f"{self.name} does not answer: {error}") from error
