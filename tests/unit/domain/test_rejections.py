"""A no is final, as a table."""

from __future__ import annotations

import pytest

from airlock.domain.approval.rejections import RejectedBefore, check_reference
from airlock.domain.approval.release import Subject
from airlock.domain.errors import Refused

SUBJECT = Subject(
    model="credit",
    version="7",
    artifact_digest="sha256:a",
    data_digest="d",
    code_commit="c",
    pipeline_digest="p",
    policy_digest="q",
    environment="production",
)
#: The newest first.
NOES = [("rel-3", "sha256:a"), ("rel-2", "sha256:b"), ("rel-1", "sha256:a")]

CASES = {
    "nothing was ever rejected": ("", [], None),
    "other bytes were rejected": ("", [("rel-2", "sha256:b")], None),
    "the newest rejection is named": ("rel-3", NOES, None),
    "no rejection is named": ("", NOES, RejectedBefore),
    "an older rejection is named": ("rel-1", NOES, RejectedBefore),
    "the rejection of other bytes is named": ("rel-2", NOES, RejectedBefore),
    "new bytes follow a rejection of the line": ("rel-2", [("rel-2", "sha256:b")], None),
    "what is named is no rejection": ("rel-9", [("rel-2", "sha256:b")], Refused),
    "a reference where nothing was rejected": ("rel-9", [], Refused),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_rejected_bytes_need_their_newest_rejection(
    case: tuple[str, list[tuple[str, str]], type[Refused] | None],
) -> None:
    named, rejections, error = case
    if error is None:
        check_reference(SUBJECT, named, rejections)
        return
    with pytest.raises(error) as caught:
        check_reference(SUBJECT, named, rejections)
    assert caught.type is error
    assert "airlock release" in caught.value.next_step
