"""Commitments: what they hide, what they prove, and what a check of the texts finds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.digest import canonical_json
from airlock.domain.log.erasable_texts import (
    ERASURE,
    Commitment,
    TextCheck,
    Texts,
    commit,
    commitments_in,
    is_commitment,
    mark_commitment,
    readable,
    spoken,
    swapped,
)
from airlock.domain.log.tree import Stored

SALT = bytes(range(32))
HELLO = commit(SALT, "hello")
DEMAND = {"text": HELLO, "owner": "ana", "due": "2999"}


def entry(why: str, data: dict[str, Any] | None = None, event_type: str = "VoteCast") -> Stored:
    content = {"what": event_type, "why": why, "data": data or {}}
    return ("rel-1", 7, event_type, json.dumps(content).encode(), b"", b"")


def findings(entries: Iterable[Stored], texts: Texts) -> list[str]:
    checked = TextCheck(
        lambda commitments: {
            commitment: texts[commitment] for commitment in commitments if commitment in texts
        }
    )
    list(checked.entries(entries))
    return [finding.sentence() for finding in checked.findings()]


def test_an_empty_text_and_a_damaged_entry_have_no_commitment() -> None:
    assert spoken({"why": "", "data": {}}) == ()
    assert findings([("rel-1", 1, "x", b"\xff" + HELLO.encode(), b"", b"")], {}) == []


@given(st.text(), st.text(), st.binary(min_size=32, max_size=32))
def test_another_text_or_salt_is_another_commitment(first: str, other: str, salt: bytes) -> None:
    encodable = [text.encode("utf-8", "ignore").decode() for text in (first, other)]
    same = commit(salt, encodable[0]) == commit(salt, encodable[1])
    assert same == (encodable[0] == encodable[1])
    assert commit(bytes(32), encodable[0]) != commit(b"\x01" * 32, encodable[0])


@pytest.mark.parametrize("text", ["", "commitment:sha256:", HELLO[:-1], f"{HELLO}0", f" {HELLO}"])
def test_other_spellings_are_texts(text: str) -> None:
    assert not is_commitment(text)
    assert not isinstance(mark_commitment(text), Commitment)


def test_texts_are_the_reason_and_the_findings_demanded_and_nothing_else() -> None:
    data = {"owner": HELLO, "conditions": {"segments": [HELLO], "findings": [DEMAND]}}
    content = {"why": HELLO, "data": data, "resource": HELLO}
    document = readable(content, {HELLO: "hello"})
    assert document["why"] == "hello"
    assert document["data"]["conditions"]["findings"][0]["text"] == "hello"
    assert (document["data"]["owner"], document["resource"]) == (HELLO, HELLO)
    assert document["data"]["conditions"]["segments"] == [HELLO]
    assert spoken(content) == (HELLO, HELLO)


def test_the_short_way_to_a_reason_finds_what_parsing_finds() -> None:
    other = commit(SALT, "other")
    for content, expected in (
        ({"why": HELLO, "data": {}}, (HELLO,)),
        ({"why": "", "data": {"owner": HELLO}}, ()),
        ({"why": f',"why":"{HELLO}', "data": {}}, ()),
        ({"why": {"why": HELLO}, "data": {}}, ()),
        ({"why": HELLO, "data": {"owner": other}}, (HELLO,)),
        ({"why": HELLO, "data": {"conditions": {"findings": [DEMAND]}}}, (HELLO, HELLO)),
    ):
        assert commitments_in(canonical_json(content)) == expected, content


def test_data_without_texts_is_left_alone() -> None:
    data = {"conditions": {"max_traffic_share": 0.1}}
    assert swapped(data, str.upper) is data


def test_a_text_that_is_there_and_right_is_fine() -> None:
    assert findings([entry(HELLO)], {HELLO: (SALT, "hello")}) == []


def test_a_changed_text_and_a_changed_salt_are_named() -> None:
    for wrong in ((SALT, "hallo"), (bytes(32), "hello")):
        (finding,) = findings([entry(HELLO)], {HELLO: wrong})
        assert finding == (
            "stream rel-1, entry 7: its text was changed: it does not match the commitment"
        )


def test_a_text_that_is_gone_must_have_been_erased() -> None:
    (finding,) = findings([entry(HELLO)], {})
    assert (
        finding == "stream rel-1, entry 7: its text is gone, but no entry says that it was erased"
    )
    erased = entry("", {"commitments": [HELLO]}, ERASURE)
    assert findings([entry(HELLO), erased], {}) == []
    assert findings([erased, entry(HELLO)], {}) == []


def test_the_commitments_an_erasure_names_are_no_texts_of_its_own() -> None:
    assert findings([entry("", {"commitments": [HELLO]}, ERASURE)], {}) == []


def test_many_texts_are_looked_up_many_at_a_time() -> None:
    texts = {commit(SALT, str(n)): (SALT, str(n)) for n in range(1200)}
    batch_sizes: list[int] = []

    def look(commitments: Iterable[str]) -> Texts:
        batch = list(commitments)
        batch_sizes.append(len(batch))
        return {commitment: texts[commitment] for commitment in batch}

    checked = TextCheck(look)
    list(checked.entries(entry(commitment) for commitment in texts))
    assert checked.findings() == []
    assert batch_sizes == [500, 500, 200]
