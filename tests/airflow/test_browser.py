"""The Releases page in a real browser inside a real Airflow, as the people who use it."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Browser

from tests.airflow.browsing import SHOTS, Person
from tests.airflow.harness import RunningPlatform
from tests.airflow.releases import open_release

pytestmark = pytest.mark.browser


def test_two_people_answer_inside_airflow_and_one_is_refused(
    browser: Browser, platform: RunningPlatform
) -> None:
    release_id = open_release(platform, "browser")
    lena, luis = (Person(browser, platform, name) for name in ("lena", "luis"))
    for person in (lena, luis):
        frame = person.open_releases()
        person.shot(f"list-{person.user}")
        frame.locator(f'a.card[href$="{release_id}"]').click()
        frame.wait_for_selector("textarea[name=reason]")
        frame.fill("textarea[name=reason]", f"{person.user} looked at the numbers")
    lena.shot("release-lena-before")

    frame = lena.frame(release_id)
    frame.click("button[value=approve]")
    frame.wait_for_selector("[role=status]")
    assert "Your approval is recorded" in frame.inner_text("[role=status]")
    lena.shot("release-lena-approved")

    frame = luis.frame(release_id)
    frame.click("button[value=approve]")
    frame.wait_for_selector("[role=alert]")
    refused = frame.inner_text("[role=alert]")
    assert "level 1 is not open" in refused.lower()
    assert "luis looked at the numbers" not in frame.inner_text("ol.levels")
    luis.shot("release-luis-refused")

    events = platform.airflow.as_user("vera").get(f"/airlock/api/v1/releases/{release_id}/events")
    told = [(one["what"], one["who"]["id"], one["channel"]) for one in events.json()]
    assert ("VoteCast", "lena", "page") in told
    assert ("VoteRefused", "luis", "page") in told
    policy = [text for text in lena.said + luis.said if "Content Security Policy" in text]
    assert [text for text in policy if "/airlock" in text] == []
    lena.close()
    luis.close()


def test_who_may_not_answer_has_no_buttons(browser: Browser, platform: RunningPlatform) -> None:
    release_id = open_release(platform, "browser")
    for user, reason in (
        ("vera", "needs 1 x algorithm_lead; you hold viewer"),
        ("ana", "nobody judges own work"),
    ):
        person = Person(browser, platform, user)
        person.page.goto(f"{person.url}/airlock/releases/{release_id}")
        assert person.page.locator("button[name=decision]").count() == 0
        assert reason in person.page.inner_text("aside")
        person.page.screenshot(path=SHOTS / f"release-{user}.png", full_page=True)
        person.close()


def test_it_works_without_javascript_in_the_dark_and_on_a_phone(
    browser: Browser, platform: RunningPlatform
) -> None:
    release_id = open_release(platform, "browser")
    person = Person(browser, platform, "lena")
    context = browser.new_context(
        java_script_enabled=False, color_scheme="dark", viewport={"width": 390, "height": 844}
    )
    context.add_cookies(person.page.context.cookies())
    page = context.new_page()
    page.goto(f"{person.url}/airlock/releases/{release_id}")
    page.screenshot(path=SHOTS / "release-phone-dark.png", full_page=True)
    page.fill("textarea[name=reason]", "works without scripts")
    page.click("button[value=reject]")
    assert "Your rejection is recorded. It is final." in page.inner_text("[role=status]")
    context.close()
    person.close()


def test_without_a_login_the_page_leads_to_airflows_login_and_back(
    browser: Browser, platform: RunningPlatform
) -> None:
    release_id = open_release(platform, "browser")
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{platform.airflow.url}/airlock/releases/{release_id}")
    page.screenshot(path=SHOTS / "login.png")
    page.get_by_role("link", name="Log in to Airflow").click()
    page.fill("input[name=username]", "vera")
    page.fill("input[name=password]", platform.users["vera"])
    page.click("input[type=submit], button[type=submit]")
    page.wait_for_url(f"**/airlock/releases/{release_id}")
    assert page.locator("h1").inner_text().startswith("browser")
    context.close()


def test_the_button_in_slack_leads_to_a_fresh_login_and_back(
    browser: Browser, platform: RunningPlatform
) -> None:
    release_id = open_release(platform, "review")
    api = platform.airflow.as_user("lena")
    digest = api.get(f"/airlock/api/v1/releases/{release_id}").json()["subject"]["digest"]
    lena = Person(browser, platform, "lena")
    page, button = lena.page, f"/airlock/releases/{release_id}/review?digest={digest}"
    page.goto(f"{lena.url}{button}")
    assert digest in page.inner_text("[role=status]")  # she logged in seconds ago
    assert page.locator("button[value=approve]").count() == 1

    tokens = [one for one in page.context.cookies() if one["name"] == "_token"]
    page.context.clear_cookies(name="session")
    page.goto(f"{lena.url}{button}")  # a token of a minute ago, but nobody logged in with it
    page.fill("input[name=username]", "lena")
    page.fill("input[name=password]", platform.users["lena"])
    lena.shot("review-login")
    page.click("input[type=submit], button[type=submit]")
    page.wait_for_url(f"{lena.url}{button}&again=1")
    page.screenshot(path=SHOTS / "review-lena.png", full_page=True)
    page.fill("textarea[name=reason]", "looked at it after a fresh login")
    page.click("button[value=approve]")
    assert "Your approval is recorded" in page.inner_text("[role=status]")

    page.context.clear_cookies(name="session")
    page.goto(f"{lena.url}{button}&again=1")  # it does not go round in circles
    assert "This needs a fresh login" in page.inner_text("h1")
    page.goto(f"{lena.url}/airlock/slack")
    page.screenshot(path=SHOTS / "slack-not-set-up.png", full_page=True)
    old = {"Authorization": f"Bearer {tokens[0]['value']}"}
    me = httpx.get(f"{lena.url}/airlock/api/v1/me", headers=old, timeout=30)
    assert me.status_code == 401  # its owner was logged out
    lena.close()
