"""The page Approvers in a real browser: without JavaScript, wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from airlock.domain.people.actors import Channel, Person
from airlock.services.people import enrolment, recognition
from airlock.testing.approvers import seen_account
from tests.integration.door_kit import Doors, running
from tests.integration.test_pages_browser import as_person, shot, status
from tests.integration.test_pages_browser import browser as browser

pytestmark = pytest.mark.browser
WHY = "leads the credit team since May"


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with running(tmp_path_factory.mktemp("doors")) as found:
        for name in ("lea", "leo", "ludo"):
            newcomer(found, name)
        yield found


def newcomer(doors: Doors, name: str, **changed: str) -> None:
    """Have somebody log in whom Airflow calls an algorithm lead."""
    world, roles = doors.world, frozenset({"algorithm_lead"})
    account = seen_account(name, **changed)
    recognition.recognise(
        world.store, world.rulebook, name, name.title(), roles, Channel.PAGE, account
    )


def test_from_a_proposal_to_an_approver_and_back(browser: Browser, doors: Doors) -> None:
    admin = as_person(browser, doors, "admin")
    admin.goto(f"{doors.url}/airlock/approvers")
    assert "lea as algorithm lead" in admin.inner_text("main")
    admin.fill("#person", "lea")
    admin.fill("#role", "algorithm_lead")
    admin.fill("#reason", WHY)
    admin.click("button:has-text('Propose'):not(:has-text('all'))")
    assert "Another person has to confirm it" in status(admin)
    assert "another person confirms" in admin.inner_text("main")

    sam = as_person(browser, doors, "sam")
    sam.goto(f"{doors.url}/airlock/approvers")
    sam.click("summary:has-text('Confirm')")
    sam.fill("textarea[id^=approve-enr]", "spoke to her lead")
    shot(sam, "approvers-confirm")
    sam.click("button.approve:has-text('Confirm')")
    assert "counts from now on" in status(sam)
    row = sam.get_by_role("row", name="lea algorithm lead admin")
    assert "admin" in row.inner_text()
    assert "sam" in row.inner_text()
    row.locator("summary").click()
    row.locator("textarea").fill("left the team")
    row.locator("button").click()
    assert "counts no more" in status(sam)


def test_many_at_once_and_a_refusal_that_keeps_what_was_typed(
    browser: Browser, doors: Doors
) -> None:
    admin = as_person(browser, doors, "admin")
    admin.goto(f"{doors.url}/airlock/approvers")
    admin.fill("#text", "person,role,reason\nghost,algorithm_lead,no such account\n")
    admin.click("button:has-text('Propose all')")
    assert "knows no active account 'ghost'" in admin.inner_text("[role=alert]")
    assert "ghost" in admin.input_value("#text")
    admin.fill("#text", f"person,role,reason\nleo,algorithm_lead,{WHY}\nludo,algorithm_lead,{WHY}")
    admin.click("button:has-text('Propose all')")
    sam = as_person(browser, doors, "sam")
    sam.goto(f"{doors.url}/airlock/approvers")
    sam.click("summary:has-text('Confirm all')")
    sam.fill("textarea[id^=approve-sha256]", "the list of the department")
    sam.click("button:has-text('Confirm all')")
    found = enrolment.enrolments(doors.world.store, state="active")
    assert {"leo", "ludo"} <= {one["person"] for one in found}


def test_how_it_looks(browser: Browser, doors: Doors) -> None:
    newcomer(doors, "luis", password="set by somebody")
    newcomer(doors, "nils")
    store, book = doors.world.store, doors.world.rulebook
    both = frozenset({"algorithm_lead", "risk_committee"})
    recognition.keep_person(store, Person("nils", "Nils", both))
    admin = doors.world.actor("admin")
    enrolment.propose(store, book, admin, "nils", "algorithm_lead", WHY)
    with pytest.raises(Exception, match="looks like 'lena'"):
        newcomer(doors, "l\u0435na")
    for scheme in ("light", "dark"):
        for width in (1400, 390):
            size = {"width": width, "height": 900}
            page = as_person(browser, doors, "sam", viewport=size, color_scheme=scheme)
            page.goto(f"{doors.url}/airlock/approvers")
            shot(page, f"approvers-{scheme}-{width}")
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"the page is {wide} wide in a window of {width}"
    vera = as_person(browser, doors, "vera")
    vera.goto(f"{doors.url}/airlock/approvers")
    assert vera.locator("form").count() == 1, "she may end what she is enrolled for, nothing else"
    assert "How somebody becomes an approver" in vera.inner_text("aside")
