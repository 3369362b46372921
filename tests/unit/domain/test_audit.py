"""The chain: any change of any entry is found, at the right place."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.log.audit import GENESIS, Entry, Event, Head, append, link, verify_stream


def event(number: int) -> Event:
    return Event(
        type="Something",
        actor_id="ana",
        roles=("developer",),
        channel="page",
        resource="release/x",
        old=None,
        new={"number": number},
        why="because",
        policy="p",
        data={},
    )


def chain(length: int = 8) -> list[Entry]:
    head, entries = Head(), []
    for number in range(length):
        entries.append(append(head, "s", event(number), f"2026-01-01T00:00:{number:02}"))
        head = Head(entries[-1].seq, entries[-1].hash)
    return entries


def end(entries: list[Entry]) -> Head:
    return Head(entries[-1].seq, entries[-1].hash)


def test_an_empty_stream_matches_only_an_empty_head() -> None:
    assert verify_stream("s", [], Head()) is None
    assert verify_stream("s", [], Head(3, b"x" * 32)) is not None


def test_an_untouched_chain_is_whole() -> None:
    entries = chain()
    assert verify_stream("s", entries, end(entries)) is None
    assert entries[0].prev == GENESIS


@given(st.integers(0, 7), st.sampled_from(["body", "prev", "hash"]), st.integers(0, 255))
def test_any_flipped_byte_is_found_at_its_entry(place: int, field: str, flip: int) -> None:
    entries = chain()
    value = bytearray(getattr(entries[place], field))
    value[flip % len(value)] ^= (flip % 255) + 1
    entries[place] = replace(entries[place], **{field: bytes(value)})
    damage = verify_stream("s", entries, end(chain()))
    assert damage is not None
    assert damage.seq in (place + 1, place + 2)


@given(st.integers(0, 7))
def test_a_missing_entry_is_found(place: int) -> None:
    entries = chain()
    head = end(entries)
    del entries[place]
    damage = verify_stream("s", entries, head)
    assert damage is not None
    assert damage.seq == (place + 1 if place < 7 else 8)


def test_swapped_entries_are_found() -> None:
    entries = chain()
    entries[2], entries[3] = entries[3], entries[2]
    damage = verify_stream("s", entries, end(chain()))
    assert damage is not None
    assert damage.seq == 3


def test_an_entry_moved_from_another_stream_is_found() -> None:
    entries = chain()
    damage = verify_stream("other", entries, end(entries))
    assert damage is not None
    assert "moved here from elsewhere" in damage.reason


def test_a_recomputed_chain_is_found_by_its_head_alone() -> None:
    entries, head = chain(), end(chain())
    body = entries[3].body.replace(b"because", b"forged!")
    prev = entries[2].hash
    for index in range(3, 8):
        content = body if index == 3 else entries[index].body
        entries[index] = replace(
            entries[index], body=content, prev=prev, hash=link(prev, index + 1, content)
        )
        prev = entries[index].hash
    assert verify_stream("s", entries, None) is None  # the chain alone does not know
    assert verify_stream("s", entries, head) is not None


def test_an_event_that_is_not_json_is_refused_when_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        append(Head(), "s", replace(event(1), new={"x": float("nan")}), "2026")
