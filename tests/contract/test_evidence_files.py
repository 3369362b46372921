"""Files of evidence, kept in a folder and in a bucket: the same promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from moto.server import ThreadedMotoServer

from airlock.adapters.evidence.folder import EvidenceFolder
from airlock.adapters.evidence.s3 import EvidenceBucket
from airlock.domain.digest import digest_bytes
from airlock.domain.errors import NotFound, Refused, Unreachable
from airlock.ports import Files

pytestmark = pytest.mark.contract


class Kept(NamedTuple):
    """A store of files, and a way to change a file behind its back."""

    files: Files
    spoil: Callable[[str, bytes], None]


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket="evidence")
    yield client
    server.stop()


@pytest.fixture(params=["folder", "bucket"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    root = tmp_path / "evidence"
    if request.param == "folder":

        def spoil(digest: str, body: bytes) -> None:
            place = root / digest[7:9] / digest[9:]
            place.chmod(0o600)
            place.write_bytes(body)

        return Kept(EvidenceFolder(root), spoil)
    client = request.getfixturevalue("bucket")

    def overwrite(digest: str, body: bytes) -> None:
        client.put_object(Bucket="evidence", Key=f"here/{digest[7:9]}/{digest[9:]}", Body=body)

    return Kept(EvidenceBucket("s3://evidence/here", tmp_path / "work", client), overwrite)


def test_what_was_kept_comes_back_under_its_digest(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "report").write_bytes(b"line by line")
    digest = kept.files.put(tmp_path / "report")
    assert digest == digest_bytes(b"line by line")
    assert kept.files.put(tmp_path / "report") == digest
    assert kept.files.get(digest).read_bytes() == b"line by line"


def test_an_empty_file_is_a_file(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "nothing").touch()
    assert kept.files.get(kept.files.put(tmp_path / "nothing")).read_bytes() == b""


@pytest.mark.parametrize("name", [digest_bytes(b"never kept"), "sha256:..", "../etc/passwd", ""])
def test_what_is_not_there_is_said_to_be_missing(kept: Kept, name: str) -> None:
    with pytest.raises(NotFound):
        kept.files.get(name)


@pytest.mark.tamper
def test_a_file_that_was_changed_is_refused(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "report").write_bytes(b"87 % of the lines")
    digest = kept.files.put(tmp_path / "report")
    kept.spoil(digest, b"97 % of the lines")
    with pytest.raises(Refused, match="was changed"):
        kept.files.get(digest)


def test_a_store_that_is_away_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "report").write_bytes(b"x")
    (tmp_path / "file").touch()
    with pytest.raises(Unreachable, match="cannot be kept"):
        EvidenceFolder(tmp_path / "file").put(tmp_path / "report")
    with pytest.raises(Unreachable, match="does not take evidence"):
        EvidenceBucket("s3://nowhere/x", tmp_path, _gone()).put(tmp_path / "report")


def _gone() -> Any:
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:9",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 0}, connect_timeout=1),
    )
