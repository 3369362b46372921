from __future__ import annotations

from typing import Any

import pytest

from airlock.domain.gates import Verdict
from airlock.gates import Signature
from tests.unit.gates.kit import ARTIFACT, judge, never_passes_on_nothing

GOOD = {
    "manifestDigest": ARTIFACT,
    "files": 5,
    "ignoredPaths": [],
    "keyId": "0123456789abcdef",
    "signatureDigest": ARTIFACT,
    "status": "verified",
    "why": "",
}


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(Signature())


@pytest.mark.parametrize(
    ("over", "verdict"),
    [
        ({}, Verdict.PASSED),
        ({"status": "unsigned", "why": "there is no signature"}, Verdict.FAILED),
        ({"status": "refused", "why": "Signature mismatch"}, Verdict.FAILED),
        ({"keyId": ""}, Verdict.FAILED),
        ({"status": "error", "why": "the tool crashed"}, Verdict.ERRORED),
        ({"status": "yes"}, Verdict.ERRORED),
        ({"files": 0}, Verdict.ERRORED),
        ({"ignoredPaths": [".git"]}, Verdict.ERRORED),
        ({"manifestDigest": "sha256:" + "b" * 64}, Verdict.ERRORED),
    ],
)
def test_only_a_signature_over_all_files_by_a_known_key_passes(
    over: dict[str, Any], verdict: Verdict
) -> None:
    assert judge(Signature(), artifact_signature=GOOD | over).verdict is verdict


def test_the_key_is_named() -> None:
    result = judge(Signature(), artifact_signature=GOOD)
    assert result.message == "5 files signed by the key 0123456789abcdef"
