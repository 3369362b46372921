"""A bare day means its end, on the reader's clock, and is shown with its zone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from airlock.domain.errors import Invalid
from airlock.entrypoints.cli.delegation import end_of, local, moment_of
from airlock.entrypoints.cli.waivers import conditions, sentences
from airlock.entrypoints.http.pages.base import utc_end
from tests.any_day import SPECIAL, ZONES

pytestmark = pytest.mark.unit


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def put(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield put
    monkeypatch.undo()
    time.tzset()


ENDS: dict[str, Callable[[str], datetime]] = {
    "release approve --until": lambda day: datetime.fromisoformat(
        conditions(None, [], day, [])["expiresAt"]
    ),
    "release approve --finding": lambda day: datetime.fromisoformat(
        conditions(None, [], "", [f"ana:{day}:mend it"])["findings"][0]["due"]
    ),
    "gate waive --until": end_of,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("name", [str(zone) for zone in ZONES])
def test_on_the_command_line_it_is_the_end_of_the_readers_day(
    zone: Callable[[str], None], end: Callable[[str], datetime], name: str
) -> None:
    zone(name)
    for day in SPECIAL:
        end_of_day = end(day.isoformat())
        there = end_of_day.astimezone(
            next(time_zone for time_zone in ZONES if str(time_zone) == name)
        )
        assert (there.date(), there.hour, there.minute, there.second) == (day, 23, 59, 59)


def test_in_a_form_it_is_the_end_of_the_day_in_utc_as_the_form_says() -> None:
    assert utc_end("2026-12-01", "it") == datetime(2026, 12, 1, 23, 59, 59, tzinfo=UTC)
    assert utc_end("2026-12-01T09:00", "it") == datetime(2026, 12, 1, 9, tzinfo=UTC)


def test_a_time_that_is_said_is_meant(zone: Callable[[str], None]) -> None:
    zone("Europe/Berlin")
    assert end_of("2026-12-01T09:00") == datetime(2026, 12, 1, 8, tzinfo=UTC)
    assert end_of("2026-12-01T09:00+00:00") == datetime(2026, 12, 1, 9, tzinfo=UTC)


def test_a_day_from_which_something_holds_is_its_beginning(zone: Callable[[str], None]) -> None:
    zone("Europe/Berlin")
    assert moment_of("2026-12-01") == datetime(2026, 11, 30, 23, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "2026-02-30", "1.12.2026"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is not a time"):
        end_of(text)


def test_it_is_shown_with_its_zone(zone: Callable[[str], None]) -> None:
    zone("Europe/Berlin")
    assert local("2026-12-01T22:59:59.000000000Z") == "2026-12-01 23:59:59 CET"
    tied = conditions(None, [], "2026-12-01", ["ana:2026-12-02:mend it"])
    assert sentences(tied) == [
        "The approval is good until 2026-12-01 23:59:59 CET.",
        "To be mended by ana until 2026-12-02 23:59:59 CET: mend it",
    ]
