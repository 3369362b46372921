"""Files of evidence in an S3 bucket, each under its own digest: `<prefix>/ab/cdef...`.

Written once (`If-None-Match: *`), and read back through a folder that holds every file against its
digest. Credentials and region are those of the AWS SDK's own chain.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airlock.adapters.s3_client import s3_client, s3_code
from airlock.domain.digest import digest_bytes, file_digest, is_digest, short
from airlock.domain.errors import NotFound, Refused, Unreachable
from airlock.domain.evidence.evidence_files import check_size

_CONFLICTS = ("PreconditionFailed", "ConditionalRequestConflict")
_ABSENT = ("NoSuchKey", "404", "NotFound")


class EvidenceBucket:
    """`airlock.ports.Files` in `s3://bucket/prefix`; *client* is an S3 client of boto3."""

    def __init__(self, url: str, scratch: Path, client: Any = None) -> None:
        """Use *scratch* for what was read."""
        parts = urlsplit(url)
        self._bucket, prefix = parts.netloc, parts.path.strip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._url, self._scratch = url, scratch
        self._client = client or s3_client("evidence", "AIRLOCK_EVIDENCE_BUCKET")

    def put(self, path: Path) -> str:
        """Keep a file and return its digest; the same file again changes nothing.

        Raises:
            Unreachable: if S3 does not answer or does not accept.
        """
        digest = file_digest(path)
        try:
            with path.open("rb") as body:
                self._client.put_object(
                    Bucket=self._bucket, Key=self._key(digest), Body=body, IfNoneMatch="*"
                )
        except Exception as error:  # boto3 makes its exception types at run time
            if s3_code(error) not in _CONFLICTS:
                raise Unreachable(f"{self._url} does not take evidence: {error}") from error
        return digest

    def get(self, digest: str) -> Path:
        """Return the file with this digest.

        Raises:
            NotFound: if it is not kept here.
            Refused: if it was changed.
            Unreachable: if S3 does not answer.
        """
        key = self._key(digest)
        self._scratch.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(dir=self._scratch)) / "evidence"
        try:
            self._client.download_file(self._bucket, key, str(place))
        except Exception as error:
            raise self._failed(digest, error) from error
        self._check(digest, file_digest(place))
        return place

    def read(self, digest: str, most: int) -> bytes:
        """Return the content of a file of at most *most* bytes.

        Raises:
            NotFound: if it is not kept here.
            Refused: if it is larger, or was changed.
            Unreachable: if S3 does not answer.
        """
        key = self._key(digest)
        try:
            body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
            content: bytes = body.read(most + 1)
        except Exception as error:
            raise self._failed(digest, error) from error
        check_size(digest, len(content), most)
        self._check(digest, digest_bytes(content))
        return content

    def _failed(self, digest: str, error: Exception) -> Exception:
        if s3_code(error) in _ABSENT:
            return NotFound(
                f"the evidence {short(digest)} is not in {self._url}",
                next_step="Restore the bucket's older version of it.",
            )
        return Unreachable(f"{self._url} does not answer: {error}")

    def _check(self, digest: str, current: str) -> None:
        if current != digest:
            raise Refused(
                f"the evidence {short(digest)} in {self._url} was changed: it is {short(current)}",
                next_step="Restore the bucket's older version of it; find out who writes there.",
            )

    def _key(self, digest: str) -> str:
        if not is_digest(digest):
            raise NotFound(f"{digest!r} is no digest of evidence")
        name = digest.partition(":")[2]
        return f"{self._prefix}{name[:2]}/{name[2:]}"
