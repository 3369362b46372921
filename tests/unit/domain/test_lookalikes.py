"""Names that look alike are one name, whatever stands in for a letter."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.people.confusables import TABLE
from airlock.domain.people.lookalikes import (
    LookAlike,
    check_name,
    look_alike,
    skeleton,
    spelled,
    unseen,
)

PLAIN = "abcdefghjknopqstuvwxyz23456789._-"
NAMES = st.text(PLAIN, min_size=2, max_size=12)
UNSEEN = ["\u200b", "\u200d", "\u2060", "\ufeff", "\u202e", "\u2066", "\u00ad", "\u034f", "\u3164"]
UNSEEN += [" ", "\u00a0", "\t", "\u2003"]
LIKE = {ascii_: [chr(int(code, 16)) for code in codes.split()] for ascii_, codes in TABLE.items()}


def test_an_empty_table_would_show() -> None:
    assert sum(len(letters) for letters in LIKE.values()) > 500
    assert {"a", "c", "e", "o", "p", "x", "y"} <= LIKE.keys()


@given(NAMES, st.data())
def test_a_letter_of_another_alphabet_makes_a_look_alike(name: str, data: st.DataObject) -> None:
    places = [i for i, c in enumerate(name) if c in LIKE]
    if not places:
        return
    at = data.draw(st.sampled_from(places))
    other = data.draw(st.sampled_from(LIKE[name[at]]))
    fake = name[:at] + other + name[at + 1 :]
    assert look_alike(fake, {name}) == name
    with pytest.raises(LookAlike) as refusal:
        check_name(fake, {name})
    assert repr(name) in refusal.value.message
    assert f"U+{ord(other):04X}" in refusal.value.message
    assert refusal.value.next_step


@given(NAMES, st.sampled_from(UNSEEN), st.data())
def test_what_nobody_sees_makes_a_look_alike(name: str, hidden: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name)))
    fake = name[:at] + hidden + name[at:]
    assert unseen(fake)
    assert skeleton(fake) == skeleton(name)
    with pytest.raises(LookAlike, match="nobody can see"):
        check_name(fake, {name})
    with pytest.raises(LookAlike, match="nobody can see"):
        check_name(fake, set())


@given(NAMES)
def test_case_and_width_make_a_look_alike(name: str) -> None:
    wide = "".join(chr(ord(c) + 0xFEE0) for c in name)
    for fake in {name.upper(), wide} - {name}:
        assert look_alike(fake, {name}) == name


@given(st.text(min_size=1, max_size=20))
def test_a_skeleton_is_its_own_skeleton_and_knows_no_form(name: str) -> None:
    assert skeleton(skeleton(name)) == skeleton(name)
    assert skeleton(unicodedata.normalize("NFD", name)) == skeleton(name)
    assert spelled(name).isascii()


def test_every_letter_with_an_accent_is_what_its_parts_are() -> None:
    """A Greek alpha with a grave looks like an `a` with one, written as one character or as two."""
    for code in range(0x110000):
        whole = chr(code)
        parts = unicodedata.normalize("NFD", whole)
        if parts != whole:
            whole_skeleton = skeleton(whole)
            assert whole_skeleton == skeleton(parts) == skeleton(whole_skeleton), hex(code)
    assert look_alike("m\u1f70ra", {"m\u00e0ra"}) == "m\u00e0ra"


@given(st.sets(NAMES, min_size=2, max_size=6))
def test_nobody_is_refused_for_a_name_that_looks_different(names: set[str]) -> None:
    """Of these letters none looks like another, so different names are different people."""
    for name in names:
        check_name(name, names - {name})


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("Iena", "lena"),
        ("1ena", "lena"),
        ("c0ra", "cora"),
        ("rnara", "mara"),
        ("le\u2010a", "le-a"),
    ],
)
def test_what_looks_alike_in_one_alphabet(first: str, other: str) -> None:
    assert look_alike(first, {other}) == other


def test_somebody_known_is_no_look_alike_of_oneself() -> None:
    check_name("lena", {"lena", "mara"})
