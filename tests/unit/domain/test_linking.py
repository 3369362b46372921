"""The one-time code: what counts as one, and how often somebody may try."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.people.account_link import (
    ALPHABET,
    LENGTH,
    TRIES_OF_ACCOUNT,
    TRIES_OF_TEAM,
    WrongCode,
    check_tries,
    code_digest,
    format_code,
    normal,
)

CODES = st.text(ALPHABET, min_size=LENGTH, max_size=LENGTH)
#: What somebody, a keyboard or a chat may put around and into a code.
NOISE = st.text(" -_.*`'\"\u2013\u2014\u00a0\u200b\t\n", max_size=4)


@pytest.mark.parametrize("typed", ["", " ", "-", "``", "link", "\u200b"])
def test_nothing_is_no_code(typed: str) -> None:
    assert (normal(typed), code_digest(typed)) == ("", "")


def test_no_character_looks_like_another() -> None:
    assert len(set(ALPHABET)) == len(ALPHABET)
    for alike in ("0OQ", "1IL", "2Z", "5S", "8B", "UV"):
        assert not set(alike) & set(ALPHABET)


@given(CODES)
def test_a_code_is_read_back_as_it_is_shown(code: str) -> None:
    assert normal(format_code(code)) == code
    assert [len(part) for part in format_code(code).split("-")] == [LENGTH // 2, LENGTH // 2]


@given(CODES, st.lists(NOISE, min_size=LENGTH, max_size=LENGTH), st.booleans())
def test_how_it_is_typed_makes_no_difference(code: str, noise: list[str], small: bool) -> None:
    typed = "".join(f"{around}{c}" for around, c in zip(noise, code, strict=True))
    assert normal(typed.lower() if small else typed) == code
    assert code_digest(typed) == code_digest(code)


@given(CODES, CODES)
def test_two_codes_have_two_digests_and_show_neither(first: str, other: str) -> None:
    assert (code_digest(first) == code_digest(other)) is (first == other)
    assert first not in code_digest(first)


@given(st.text(max_size=60))
def test_whatever_is_typed_is_a_code_or_nothing(typed: str) -> None:
    code = normal(typed)
    assert code == "" or (len(code) == LENGTH and set(code) <= set(ALPHABET))


@given(CODES, st.sampled_from("0O1IL2Z5S8BUVQéß漢"), st.integers(0, LENGTH - 1))
def test_a_character_that_is_in_no_code_is_not_guessed_at(code: str, wrong: str, at: int) -> None:
    assert normal(code[:at] + wrong + code[at:]) == ""
    assert normal(code[:at] + wrong + code[at + 1 :]) == ""


@given(st.integers(0, 100), st.integers(0, 100))
def test_tries_are_counted_for_the_account_and_the_team(account: int, team: int) -> None:
    if account < TRIES_OF_ACCOUNT and team < TRIES_OF_TEAM:
        check_tries(account, team)
        return
    with pytest.raises(WrongCode) as caught:
        check_tries(account, team)
    assert caught.value.message == WrongCode().message  # as if it had been a wrong one
