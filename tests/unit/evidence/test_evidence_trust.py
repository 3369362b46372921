"""Which keys are trusted: those brought, and those a trusted key has signed, for their time."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from airlock.domain.log.checkpoint import COSIGNATURE, NOTE, vkey
from airlock_evidence.archive import Failed
from airlock_evidence.trust import (
    GRACE_S,
    ROTATION,
    Rotation,
    Trust,
    WrongUse,
    by_fingerprint,
    check_in_use,
    document,
    extended,
    fingerprint,
    from_folder,
    inside,
    key_id,
    rotations,
)

KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(1, 4)]
PUBLIC = [key.public_key().public_bytes_raw() for key in KEYS]
IDS = [key_id(public) for public in PUBLIC]
AT = "2026-11-24T12:00:00.000000000Z"
NOON = 1795521600.0


def rotation(old: int, new: int, signer: int) -> Rotation:
    signature = KEYS[signer].sign(ROTATION + PUBLIC[new])
    return Rotation(AT, IDS[old], IDS[new], PUBLIC[new], signature)


def rotation_event(old: int, new: int, /, **changes: Any) -> dict[str, Any]:
    record = rotation(old, new, old)
    data = {
        "old": record.old,
        "new": record.new,
        "publicKey": base64.b64encode(record.public).decode(),
        "signature": base64.b64encode(record.signature).decode(),
    }
    return {"what": "KeyRotated", "at": AT, "data": {**data, **changes}}


def trusting(*numbers: int) -> Trust:
    return Trust({IDS[n]: PUBLIC[n] for n in numbers}, {}, "test")


def test_who_trusts_nobody_comes_to_trust_nobody() -> None:
    assert extended(trusting(), [rotation(0, 1, 0)]).log == {}


def test_a_key_is_trusted_if_the_one_before_signed_it() -> None:
    trust = extended(trusting(0), [rotation(0, 1, 0), rotation(1, 2, 1)])
    assert list(trust.log) == IDS
    assert list(extended(trusting(1), [rotation(0, 1, 0)]).log) == [IDS[1]]


def test_a_key_the_one_before_did_not_sign_is_refused() -> None:
    with pytest.raises(Failed, match=f"key {IDS[1]} is not signed by {IDS[0]}"):
        extended(trusting(0), [rotation(0, 1, 2)])


def test_a_rotation_that_names_another_key_than_it_brings_is_refused() -> None:
    assert rotations([rotation_event(0, 1)]) == [rotation(0, 1, 0)]
    assert rotations([{**rotation_event(0, 1), "what": "LogRead"}]) == []
    for wrong in ({"new": IDS[2]}, {"publicKey": "AAAA"}, {"publicKey": "!"}):
        with pytest.raises(Failed, match="is not what its id names"):
            rotations([rotation_event(0, 1, **wrong)])


def test_a_key_given_up_signs_ten_minutes_longer_and_no_more() -> None:
    given_up = [rotation(0, 1, 0)]
    check_in_use("x", IDS[0], NOON + GRACE_S, given_up)
    check_in_use("x", IDS[1], NOON + 10 * GRACE_S, given_up)
    with pytest.raises(Failed, match="had been given up"):
        check_in_use("x", IDS[0], NOON + GRACE_S + 1, given_up)


def test_keys_are_read_from_a_folder(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="no public key"):
        from_folder(tmp_path)
    pem = KEYS[0].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "any-name.pem").write_bytes(pem)
    (tmp_path / "log.vkey").write_text(vkey("airlock/log", NOTE, PUBLIC[1]) + "\n")
    (tmp_path / "witness.vkey").write_text(vkey("witness", COSIGNATURE, PUBLIC[2]))
    trust = from_folder(tmp_path)
    assert trust.log == {IDS[0]: PUBLIC[0], IDS[1]: PUBLIC[1]}
    assert trust.witnesses == {"witness": PUBLIC[2]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.pem", "nonsense"),
        ("a.pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
        ("a.pem", "\N{BULLET}"),
        ("a.vkey", "name+00000000+AAAA"),
        ("a.vkey", "witness+00000000+" + vkey("witness", NOTE, PUBLIC[0]).split("+", 2)[2]),
    ],
)
def test_a_file_that_is_no_key_is_wrong_use(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(WrongUse):
        from_folder(tmp_path)


def test_a_fingerprint_picks_a_key_that_is_inside() -> None:
    trust = Trust({IDS[0]: PUBLIC[0], IDS[1]: PUBLIC[1]}, {"w": PUBLIC[2]}, "")
    mark = fingerprint(PUBLIC[1])
    for spelled in (mark, mark.upper(), f"sha256:{mark}", f"SHA256:{mark}"):
        assert by_fingerprint([spelled], trust).log == {IDS[1]: PUBLIC[1]}
    assert by_fingerprint([fingerprint(PUBLIC[2])], trust).witnesses == {"w": PUBLIC[2]}
    assert by_fingerprint(["0" * 64], trust).log == {}
    for wrong in ("", IDS[0], mark[:-1], f"{mark}0", "x" * 64):
        with pytest.raises(WrongUse):
            by_fingerprint([wrong], trust)


def test_the_keys_inside_are_what_their_ids_say() -> None:
    good = document({IDS[0]: PUBLIC[0]}, {"w": PUBLIC[2]})
    assert inside({"keys.json": good}).log == {IDS[0]: PUBLIC[0]}
    wrong = (
        {},
        {"keys.json": b"{}"},
        {"keys.json": document({}, {})},
        {"keys.json": document({IDS[1]: PUBLIC[0]}, {})},
        {"keys.json": good + b" "},
    )
    for files in wrong:
        with pytest.raises(Failed):
            inside(files)
