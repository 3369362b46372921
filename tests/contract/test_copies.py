"""Places that keep checkpoints take each once, and nothing that contradicts what they hold."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airlock.adapters.checkpoints.folder import CheckpointFolder
from airlock.adapters.checkpoints.s3 import CheckpointBucket
from airlock.domain.errors import Refused, Unreachable
from airlock.services.audit.transparency_log import Copy, Place


class FakeS3:
    """A bucket with Object Lock in memory, as far as we use one."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.down = False

    def put_object(self, **given: Any) -> None:
        self._check()
        assert given["IfNoneMatch"] == "*"
        assert given["ObjectLockMode"] == "COMPLIANCE"
        if given["Key"] in self.objects:
            raise _ClientError("PreconditionFailed")
        self.objects[given["Key"]] = (given["Body"], given["ObjectLockRetainUntilDate"])

    def get_object(self, **given: Any) -> dict[str, Any]:
        self._check()
        return {"Body": io.BytesIO(self.objects[given["Key"]][0])}

    def get_paginator(self, _: str) -> FakeS3:
        return self

    def paginate(self, **given: Any) -> Iterator[dict[str, Any]]:
        self._check()
        for name in sorted(self.objects):  # one object to a page
            yield {"Contents": [{"Key": name}]} if name.startswith(given["Prefix"]) else {}

    def _check(self) -> None:
        if self.down:
            raise _ClientError("ServiceUnavailable")


class _ClientError(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


@pytest.fixture(params=["folder", "bucket"])
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Place]:
    """Return a factory of views on the same place."""
    s3 = FakeS3()
    if request.param == "folder":
        return lambda: CheckpointFolder(tmp_path / "checkpoints")
    return lambda: CheckpointBucket("s3://audit/log", s3)


def copy(after: int, size: int, root: str = "root", more: str = "") -> Copy:
    note = f"origin\n{size}\n{root}\n\n— origin AAAA\n{more}"
    return Copy(after, size, note, b"\x01" * 32 * (size - after), lambda _: [])


def test_an_empty_place_keeps_nothing(make_place: Callable[[], Place]) -> None:
    assert list(make_place().checkpoints()) == []


def test_checkpoints_come_back_as_they_were_given(make_place: Callable[[], Place]) -> None:
    make_place().put(copy(0, 2))
    make_place().put(copy(2, 5))
    kept = make_place().checkpoints()
    assert [(one.size, len(one.leaves)) for one in kept] == [(2, 64), (5, 96)]
    assert kept[1].note == copy(2, 5).note


def test_the_same_checkpoint_may_come_again_with_more_cosignatures(
    make_place: Callable[[], Place],
) -> None:
    place = make_place()
    place.put(copy(0, 2))
    place.put(copy(0, 2, more="— witness AAAA\n"))
    assert [one.note for one in place.checkpoints()] == [copy(0, 2).note]


@pytest.mark.parametrize(
    "other", [copy(0, 2, "other"), copy(2, 5, "other"), copy(2, 4), copy(2, 9)]
)
def test_another_past_is_refused(make_place: Callable[[], Place], other: Copy) -> None:
    place = make_place()
    place.put(copy(0, 2))
    place.put(copy(2, 5))
    with pytest.raises(Refused, match="holds a checkpoint of 5 entries"):
        place.put(other)
    assert [one.size for one in place.checkpoints()] == [2, 5]


def test_a_bucket_locks_for_ten_years_and_says_when_it_is_down() -> None:
    s3 = FakeS3()
    bucket = CheckpointBucket("s3://audit/log/", s3)
    bucket.put(copy(0, 2))
    assert set(s3.objects) == {"log/000000000002.note", "log/000000000002.leaves"}
    until = s3.objects["log/000000000002.note"][1]
    assert until > datetime.now(UTC) + timedelta(days=3649)
    s3.down = True
    for use in (lambda: bucket.put(copy(2, 5)), bucket.checkpoints):
        with pytest.raises(Unreachable):
            use()


def test_files_of_a_folder_are_read_only(tmp_path: Path) -> None:
    CheckpointFolder(tmp_path).put(copy(0, 2))
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o444}
