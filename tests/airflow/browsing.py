"""People in front of a real browser, for the tests in this folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Frame, Page, sync_playwright

from tests.airflow.harness import RunningPlatform
from tests.support import ROOT

SHOTS = ROOT / "build" / "screenshots"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the system's Chromium, or the one Playwright brought."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        program = next(
            (
                str(p)
                for p in map(Path, ("/usr/bin/chromium", "/usr/bin/google-chrome"))
                if p.exists()
            ),
            None,
        )
        # Chromium's own sandbox needs rights a container may not give; the pages are ours.
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


def address(platform: RunningPlatform) -> str:
    """Return the address people use; Airflow's login leads there from any other."""
    return platform.platform.site().public_url or platform.airflow.url


class Person:
    """Somebody in front of a browser of their own."""

    def __init__(self, browser: Browser, platform: RunningPlatform, user: str) -> None:
        self.user, self.url = user, address(platform)
        self._context = browser.new_context(viewport={"width": 1400, "height": 950})
        self.page: Page = self._context.new_page()
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.goto(self.url)
        self.page.fill("input[name=username]", user)
        self.page.fill("input[name=password]", platform.users[user])
        self.page.click("input[type=submit], button[type=submit]")
        self.page.wait_for_url(f"{self.url}/")

    def open_releases(self) -> Frame:
        """Click "Releases" in Airflow's navigation and return the page inside."""
        self.page.get_by_role("link", name="Releases").first.click()
        self.page.wait_for_selector("iframe")
        return self.frame("/airlock/releases")

    def frame(self, address: str) -> Frame:
        """Return the frame inside Airflow that shows an address of Airlock."""
        for _ in range(100):
            for frame in self.page.frames:
                if address in frame.url and frame.locator("h1").count():
                    frame.locator("h1").wait_for(state="visible")
                    return frame
            self.page.wait_for_timeout(100)
        raise AssertionError(f"{address} never appeared; {[f.url for f in self.page.frames]}")

    def shot(self, name: str) -> None:
        self.page.wait_for_timeout(300)  # a frame is painted a moment after it is there
        self.page.screenshot(path=SHOTS / f"{name}.png")

    def close(self) -> None:
        self._context.close()
