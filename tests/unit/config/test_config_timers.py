"""Time in a policy: what is filled in, and holidays that become part of the digest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airlock.config.load import load_rulebook
from airlock.domain.approval.calendar import BusinessClock, WallClock
from airlock.domain.approval.policy import Rulebook, Tier

if TYPE_CHECKING:
    from tests.unit.config.conftest import Checkout

GERMAN = (
    "clock: {kind: business, timeZone: Europe/Berlin, country: DE, "
    'years: {first: 2026, last: 2027}, holidays: ["2026-12-24"]}'
)


def rulebook(checkout: Checkout) -> Rulebook:
    return Rulebook.from_document(load_rulebook(checkout.config).document)


def test_the_mandated_times_are_filled_in(checkout: Checkout) -> None:
    shipped = rulebook(checkout)
    file = checkout.policy("approvals")
    lines = [line for line in file.read_text().splitlines() if "timers:" not in line]
    file.write_text("\n".join(line for line in lines if "clock: {kind: wall}" not in line))
    assert rulebook(checkout).digest == shipped.digest
    high = shipped.plan("production", Tier.HIGH).timing
    assert (high.remind, high.expire) == (timedelta(hours=72), timedelta(hours=216))
    assert high.clock == WallClock()


def test_holidays_become_dates_of_the_policy(checkout: Checkout) -> None:
    wall = rulebook(checkout).digest
    checkout.edit(checkout.policy("approvals"), "clock: {kind: wall}", GERMAN)
    with_holidays = rulebook(checkout)
    days = with_holidays.document["approval"]["spec"]["clock"]["holidays"]
    assert {"2026-10-03", "2026-12-24", "2026-12-25", "2027-01-01"} <= set(days)
    assert with_holidays.digest != wall
    clock = with_holidays.plan("production", Tier.LOW).timing.clock
    assert isinstance(clock, BusinessClock)
    afternoon = datetime(2026, 12, 23, 15, tzinfo=UTC)  # 16:00 in Berlin
    monday = datetime(2026, 12, 28, 9, tzinfo=UTC)
    assert clock.after(afternoon, timedelta(hours=2)) == monday


def test_a_policy_with_a_business_clock_reads_back_as_itself(checkout: Checkout) -> None:
    checkout.edit(checkout.policy("approvals"), "clock: {kind: wall}", GERMAN)
    assert rulebook(checkout).digest == rulebook(checkout).digest
