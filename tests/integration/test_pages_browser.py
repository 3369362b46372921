"""The forms beyond a plain vote in a real browser, without JavaScript, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from airlock.services.queries import duties, releases
from tests.integration.door_kit import Doors, running
from tests.integration.duty_kit import after_lena, fresh, later
from tests.support import ROOT

pytestmark = pytest.mark.browser
SHOTS = ROOT / "build" / "screenshots"
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/google-chrome")


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with running(tmp_path_factory.mktemp("doors")) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        program = next((one for one in CHROMIUM if Path(one).exists()), None)
        # Chromium's own sandbox needs rights a container may not give; the pages are ours.
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


def as_person(browser: Browser, doors: Doors, user: str, **options: Any) -> Page:
    """Return a page of somebody who has logged in."""
    wide = {"width": 1300, "height": 900}
    chosen = {"java_script_enabled": False, "viewport": wide, **options}
    context = browser.new_context(**chosen)
    context.add_cookies([{"name": "_token", "value": user, "url": doors.url}])
    return context.new_page()


def shot(page: Page, name: str) -> None:
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def status(page: Page) -> str:
    return page.inner_text("[role=status]")


def test_an_approval_under_conditions_and_its_finding(browser: Browser, doors: Doors) -> None:
    release_id = fresh(doors)
    lena = as_person(browser, doors, "lena")
    lena.goto(f"{doors.url}/airlock/releases/{release_id}")
    shot(lena, "answer-closed")
    lena.fill("textarea#reason", "Good enough to begin with a quarter of the traffic.")
    lena.click("summary:has-text('conditions')")
    lena.fill("#share", "25")
    lena.fill("#segments", "staff, beta")
    lena.fill("#expires", later(30).strftime("%Y-%m-%dT12:00"))
    lena.fill("#finding1", "explain the age effect")
    lena.fill("#owner1", "nobody")
    lena.fill("#due1", later(7).strftime("%Y-%m-%d"))
    lena.click("summary:has-text('More to be mended')")
    lena.fill("#finding3", "measure it again")
    lena.fill("#owner3", "vera")
    lena.fill("#due3", later(9).strftime("%Y-%m-%d"))
    shot(lena, "answer-conditions")
    lena.click("button[value=approve]")
    assert "somebody active whom Airlock knows" in lena.inner_text("[role=alert]")
    assert lena.input_value("#finding1") == "explain the age effect"
    assert lena.input_value("#share") == "25"
    shot(lena, "answer-conditions-refused")
    lena.fill("#owner1", "ana")
    lena.click("button[value=approve]")
    assert "Your approval is recorded." in status(lena)
    shot(lena, "answer-conditions-done")
    after_lena(doors, release_id)

    carla = as_person(browser, doors, "carla", color_scheme="dark")
    carla.goto(f"{doors.url}/airlock/findings")
    carla.click("summary")
    carla.fill("textarea", "Read the analysis; the effect is explained.")
    shot(carla, "findings-dark")
    carla.click("button:has-text('Close it')")
    assert "The finding is closed." in status(carla)
    shot(carla, "findings-closed-dark")
    assert [one["closed_by"] for one in duties.finding_rows(doors.world.store).rows] == [
        "carla",
        None,
    ]


def test_a_delegation_from_its_form_to_its_end(browser: Browser, doors: Doors) -> None:
    lena = as_person(browser, doors, "lena")
    lena.goto(f"{doors.url}/airlock/releases")
    lena.click("nav >> text=Delegations")
    shot(lena, "delegations-empty")
    lena.fill("#to", "vera")
    lena.fill("#end", (later(0) + timedelta(days=10)).strftime("%Y-%m-%dT18:00"))
    lena.fill("#reason", "On leave until the first.")
    lena.click("button:has-text('Delegate')")
    assert "The delegation is recorded." in status(lena)
    shot(lena, "delegations-given")
    vera = as_person(browser, doors, "vera", viewport={"width": 390, "height": 844})
    vera.goto(f"{doors.url}/airlock/delegations")
    shot(vera, "delegations-phone")
    lena.click("button:has-text('End now')")
    assert "The delegation is ended." in status(lena)
    (one,) = duties.delegation_rows(doors.world.store, giver="vera", taker="vera").rows
    assert one["revoked_at"]


def test_an_emergency_from_the_first_to_the_review(browser: Browser, doors: Doors) -> None:
    release_id = fresh(doors)
    address = f"{doors.url}/airlock/releases/{release_id}"
    lena, carla, sam = (as_person(browser, doors, name) for name in ("lena", "carla", "sam"))
    lena.goto(address)
    lena.click("summary:has-text('Break the glass')")
    lena.fill("#incident", "INC-2041")
    lena.fill("textarea#glass", "The champion refuses every second applicant.")
    shot(lena, "emergency-first")
    lena.click("button:has-text('Break the glass')")
    assert "you broke the glass" in status(lena)
    carla.goto(address)
    carla.fill("textarea#glass", "Seen in the monitoring, I agree.")
    shot(carla, "emergency-agree")
    carla.click("button:has-text('Agree')")
    assert releases.outcome(doors.world.store, release_id).state.value == "APPROVED"
    shot(carla, "emergency-broken")
    sam.goto(address)
    sam.fill("textarea#review", "It was right; the incident is written up.")
    shot(sam, "emergency-review")
    sam.click("button:has-text('Record the review')")
    assert "Your review is recorded." in status(sam)
    shot(sam, "emergency-reviewed")
