"""Checkpoints in C2SP's formats: what is signed is what is read, by the right keys, or refused."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st

from airlock.domain.errors import Invalid
from airlock.domain.log.checkpoint import (
    COSIGNATURE,
    NOTE,
    Checkpoint,
    Cosigner,
    Line,
    NoteInvalid,
    cosign,
    note_key,
    open_cosignature,
    open_note,
    parse,
    proof,
    read_proof,
    read_vkey,
    seal,
    signed_at,
    vkey,
)
from airlock.domain.log.merkle import EMPTY, leaf_hash
from airlock.domain.log.witnessing import SIZE_TYPE, answer, origin_of

AT = 1_795_000_000


def key(seed: bytes) -> tuple[Ed25519PrivateKey, bytes]:
    private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed).digest())
    return private, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


LOG, PUBLIC = key(b"log")
OTHER, OTHER_PUBLIC = key(b"other")
WITNESS, WITNESS_PUBLIC = key(b"witness")
TREE = Checkpoint("airlock/test", 7, leaf_hash(b"root"))
KEYS = {"k": PUBLIC, "o": OTHER_PUBLIC}


def good(public: bytes) -> Callable[[bytes, bytes], bool]:
    def verify(signature: bytes, message: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        except Exception:
            return False
        return True

    return verify


def verify(key_id: str, signature: bytes, message: bytes) -> bool:
    return good(KEYS[key_id])(signature, message)


WITNESSES = {"w": Cosigner(WITNESS_PUBLIC, good(WITNESS_PUBLIC))}


def note() -> str:
    return seal(TREE, PUBLIC, LOG.sign, AT)


def cosigned() -> str:
    return note() + cosign(TREE.text(), "w", WITNESS_PUBLIC, WITNESS.sign, AT + 2).text()


def test_the_example_of_the_go_checksum_database_verifies() -> None:
    """The note and key published in the documentation of golang.org/x/mod/sumdb/note."""
    name, kind, public = read_vkey(
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    )
    text = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
    )
    raw = base64.b64decode(
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    )
    assert kind == NOTE
    assert raw[:4] == note_key(name, NOTE, public)
    assert good(public)(raw[4:], text.encode())


def test_a_checkpoint_reads_as_the_format_says() -> None:
    lines = note().split("\n")
    assert lines[:4] == ["airlock/test", "7", base64.b64encode(TREE.root).decode(), ""]
    assert [line.startswith("— airlock/test ") for line in lines[4:6]] == [True, True]
    assert lines[6:] == [""]


def test_a_signed_checkpoint_opens_with_its_time_and_key() -> None:
    opened = open_note(note(), KEYS, verify)
    assert (opened.checkpoint, opened.signed_at, opened.key_id) == (TREE, AT, "k")
    assert opened.witnesses == {}
    assert signed_at(note()) == AT


def test_a_cosignature_tells_when_the_witness_saw_it() -> None:
    assert open_note(cosigned(), KEYS, verify, WITNESSES).witnesses == {"w": AT + 2}
    assert open_note(cosigned(), KEYS, verify).witnesses == {}


def test_an_unknown_key_signs_nothing() -> None:
    with pytest.raises(NoteInvalid, match="not signed by a trusted key"):
        open_note(note(), {"o": OTHER_PUBLIC}, verify)
    with pytest.raises(NoteInvalid, match="not signed by a trusted key"):
        open_note(note(), {}, verify)


def test_a_note_without_its_time_is_not_enough() -> None:
    first = note().split("\n— ")[0] + "\n— " + note().split("\n— ")[1] + "\n"
    with pytest.raises(NoteInvalid, match="not signed by a trusted key"):
        open_note(first, KEYS, verify)


@given(st.integers(0, 10_000), st.integers(1, 255))
@example(976, 1)  # the spare bits of a base64 text
def test_any_flipped_byte_is_refused(place: int, flip: int) -> None:
    raw = bytearray(cosigned().encode())
    place %= len(raw)
    raw[place] ^= flip
    try:
        changed = raw.decode()
    except UnicodeDecodeError:
        return  # not text, so not a note
    try:
        opened = open_note(changed, KEYS, verify, WITNESSES)
    except NoteInvalid:
        return
    # Only a signature line may be lost, and with it what it said.
    assert opened.checkpoint == TREE
    assert (opened.signed_at, opened.witnesses) == (AT, {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "a\n1\n",
        "a\n\n— x AAAAAAAA\n",
        "a\n01\nx\n\n— x AAAAAAAA\n",
        "a\t\n1\n\n— x AAAA\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        parse(text)


def test_too_many_signatures_are_refused() -> None:
    with pytest.raises(NoteInvalid, match="at most 16"):
        parse(TREE.text() + "\n" + Line("x", b"aaaa", b"s").text() * 17)


def test_keys_as_one_line_there_and_back() -> None:
    text = vkey("airlock/witness", COSIGNATURE, WITNESS_PUBLIC)
    assert read_vkey(text) == ("airlock/witness", COSIGNATURE, WITNESS_PUBLIC)
    for wrong in ("", "a+b+c", text.replace("witness", "w"), text[:-4]):
        with pytest.raises(Invalid):
            read_vkey(wrong)


def test_a_proof_reads_back() -> None:
    path = [leaf_hash(b"a"), leaf_hash(b"b")]
    assert read_proof(proof(5, path, note())) == (5, tuple(path), note())
    with pytest.raises(NoteInvalid):
        read_proof("index 5\n\n" + note())


def test_a_cosignature_of_another_is_not_taken() -> None:
    line = cosign(TREE.text(), "w", OTHER_PUBLIC, OTHER.sign, AT).text()
    with pytest.raises(NoteInvalid, match="no cosignature"):
        open_cosignature(note(), line, "w", WITNESSES["w"])
    forged = Line(
        "w", note_key("w", COSIGNATURE, WITNESS_PUBLIC), b"\x00" * 7 + b"\x01" + b"s" * 64
    )
    with pytest.raises(NoteInvalid, match="does not verify"):
        open_cosignature(note(), forged.text(), "w", WITNESSES["w"])


def ask(old: int, tree: Checkpoint, stored: Checkpoint | None, proof_lines: str = "") -> int:
    request = f"old {old}\n{proof_lines}\n{seal(tree, PUBLIC, LOG.sign, AT)}"
    assert origin_of(request) == tree.origin
    return answer(request, {"airlock/test": {"k": PUBLIC}}, verify, stored).status


def test_a_witness_answers_as_the_specification_says() -> None:
    first = Checkpoint("airlock/test", 1, leaf_hash(b"a"))
    assert ask(0, first, None) == 200
    assert ask(1, first, first) == 200
    assert ask(0, Checkpoint("airlock/other", 1, first.root), None) == 404
    assert ask(2, first, None) == 400
    assert ask(1, first, None) == 409
    assert ask(0, TREE, first) == 409
    assert ask(1, Checkpoint("airlock/test", 1, EMPTY), first) == 409
    assert ask(1, TREE, first) == 422
    hashes = f"{base64.b64encode(EMPTY).decode()}\n"
    assert ask(0, first, None, hashes) == 422
    assert ask(1, TREE, first, hashes * 64) == 400
    assert answer("nonsense", {}, verify, None).status == 400
    unsigned = f"old 0\n\n{seal(first, OTHER_PUBLIC, OTHER.sign, AT)}"
    assert answer(unsigned, {"airlock/test": {"k": PUBLIC}}, verify, None).status == 403
    response = answer(f"old 0\n\n{note()}", {"airlock/test": {"k": PUBLIC}}, verify, first)
    assert (response.status, response.body, response.kind) == (409, "1\n", SIZE_TYPE)
