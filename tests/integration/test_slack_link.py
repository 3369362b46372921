"""The account in Slack at every door, and the way from a button in Slack to a fresh login."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, unquote

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from airlock.config.settings import SlackSettings
from airlock.entrypoints.http.pages.review import is_fresh
from airlock.services.people import slack_links
from tests.integration.door_kit import Doors, running, text_of
from tests.integration.duty_kit import fresh
from tests.integration.form_kit import form_at, has_form

pytestmark = pytest.mark.slack

TEAM, ACCOUNT = "T0AIRLOCK", "U0LENA"
CODE = re.compile(r"/airlock link ([A-Z0-9]{6}-[A-Z0-9]{6})")
OTHER = f"sha256:{'0' * 64}"


@dataclass
class Logins:
    """Plays Airflow's login: everybody logged in at a time the test says, or it is not known."""

    at: datetime | None = None

    def logged_in_at(self, request: Request) -> datetime | None:
        return self.at

    def log_in_again(self, request: Request, back: str) -> Response | None:
        return RedirectResponse(f"/auth/login/?next={quote(back, safe='')}", 307)

    def ago(self, **span: float) -> None:
        self.at = datetime.now(UTC) - timedelta(**span)


@pytest.fixture(scope="module")
def logins() -> Logins:
    return Logins()


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, logins: Logins) -> Iterator[Doors]:
    folder = tmp_path_factory.mktemp("doors")
    with running(folder, slack=SlackSettings(bot_token="xoxb-1"), logins=logins) as found:
        yield found


@pytest.fixture
def linked(doors: Doors) -> Iterator[Doors]:
    """Return doors behind which lena has an account."""
    store, lena = doors.world.store, doors.world.actor("lena")
    slack_links.redeem(store, TEAM, ACCOUNT, slack_links.offer(store, lena).code)
    yield doors
    slack_links.end(store, lena, "lena")


# linking


def test_without_slack_every_door_says_so_and_the_rest_works(tmp_path: Path) -> None:
    with running(tmp_path) as doors:
        page = doors.page("lena").get("/slack")
        assert (page.status_code, "Slack is not set up" in page.text) == (200, True)
        assert not has_form(page.text, "/slack/code")
        refused = doors.page("lena").post("/slack/code")
        assert (refused.status_code, "Slack is not set up here" in refused.text) == (409, True)
        rest = doors.rest("lena")
        assert rest.get("/me/slack").json() == {"configured": False, "link": None}
        assert "docs/howto/slack.md" in rest.post("/me/slack/code").json()["nextStep"]
        said = doors.cli("lena", "user", "link-slack")
        assert (said.code, "Slack is not set up here" in said.err) == (1, True)


def test_the_page_shows_a_code_once_and_what_it_linked(doors: Doors) -> None:
    page = doors.page("lena")
    assert "No account is linked" in text_of(page.get("/slack").text)
    assert form_at(page.get("/slack").text, "/slack/code") == {}
    shown = page.post("/slack/code")
    assert (shown.status_code, shown.headers["cache-control"]) == (200, "no-store")
    code = CODE.search(shown.text)
    assert code is not None
    assert not CODE.search(page.get("/slack").text)

    slack_links.redeem(doors.world.store, TEAM, ACCOUNT, code[1])
    words = text_of(page.get("/slack").text)
    assert f"account {ACCOUNT} workspace or organisation {TEAM} linked" in words
    again = page.post("/slack/code")
    assert (again.status_code, "are linked already" in again.text) == (409, True)
    assert not CODE.search(again.text)
    assert ACCOUNT not in doors.page("vera").get("/slack").text

    ended = page.post("/slack/end")
    assert (ended.status_code, ended.headers["location"]) == (303, "/airlock/slack?done=ended")
    assert "The link is ended." in text_of(page.get("/slack?done=ended").text)
    assert slack_links.of(doors.world.store, "lena") is None
    told = doors.cli("sam", "audit", "list", "--stream", "access").out
    assert f"lena is {ACCOUNT} in Slack ({TEAM}) from now on" in told
    assert f"lena is no longer {ACCOUNT} in Slack" in told


@pytest.mark.attack
@pytest.mark.parametrize("path", ["/slack/code", "/slack/end"])
def test_another_site_cannot_send_the_forms(linked: Doors, path: str) -> None:
    answer = linked.page("lena").post(path, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert not CODE.search(answer.text)
    assert slack_links.of(linked.world.store, "lena") is not None
    assert linked.page().post(path).status_code == 401


def test_the_same_by_rest(doors: Doors) -> None:
    rest = doors.rest("lena")
    made = rest.post("/me/slack/code")
    assert made.status_code == 201
    assert made.json()["type"] == f"/airlock link {made.json()['code']}"
    link = slack_links.redeem(doors.world.store, TEAM, ACCOUNT, made.json()["code"])
    expected = {"team": TEAM, "account": ACCOUNT, "since": link.linked_at}
    assert rest.get("/me/slack").json() == {"configured": True, "link": expected}
    assert rest.post("/me/slack/code").status_code == 409
    assert [rest.delete("/me/slack").json() for _ in range(2)] == [
        {"ended": True},
        {"ended": False},
    ]
    for method, path in (("GET", ""), ("POST", "/code"), ("DELETE", "")):
        assert doors.rest().request(method, f"/me/slack{path}").status_code == 401


@pytest.mark.attack
@pytest.mark.parametrize("user", ["ana", "vera", "sam", "carla", "lena"])
def test_only_an_administrator_ends_the_link_of_somebody(linked: Doors, user: str) -> None:
    refused = linked.rest(user).delete("/people/lena/slack")
    assert (refused.status_code, "people:erase" in refused.json()["detail"]) == (403, True)
    assert slack_links.of(linked.world.store, "lena") is not None


def test_an_administrator_ends_a_link_and_the_log_says_who(linked: Doors) -> None:
    assert linked.rest("admin").delete("/people/lena/slack").json() == {"ended": True}
    assert slack_links.of(linked.world.store, "lena") is None
    events = linked.rest("sam").get("/audit/events", params={"stream": "access"}).json()
    (last,) = [one for one in events if one["what"] == "SlackUnlinked"][-1:]
    assert (last["who"]["id"], last["data"]["person"]) == ("admin", "lena")
    assert linked.rest("admin").delete("/people/nobody/slack").json() == {"ended": False}


def test_the_same_by_command(doors: Doors) -> None:
    said = doors.cli("lena", "user", "link-slack")
    code = CODE.search(said.out)
    assert said.code == 0, said.err
    assert code is not None
    assert "It works once, until" in said.out
    assert json.loads(doors.cli("lena", "user", "link-slack", "--json").out)["code"] != code[1]
    assert "There was no link." in doors.cli("lena", "user", "link-slack", "--end").out
    for_lena = slack_links.offer(doors.world.store, doors.world.actor("lena")).code
    slack_links.redeem(doors.world.store, TEAM, ACCOUNT, for_lena)
    assert doors.cli("lena", "user", "link-slack").code == 1
    assert doors.cli("vera", "user", "link-slack", "--end", "--of", "lena").code == 1
    ended = doors.cli("admin", "user", "link-slack", "--end", "--of", "lena", "--json")
    assert (ended.code, json.loads(ended.out)) == (0, {"ended": True})
    wrong = doors.cli("admin", "user", "link-slack", "--of", "lena")
    assert (wrong.code, "for whoever is logged in" in wrong.err) == (2, True)


def test_the_page_is_labelled_and_holds_no_script(linked: Doors) -> None:
    for page in (linked.page("lena").get("/slack"), linked.page("vera").post("/slack/code")):
        assert (page.text.count("<h1"), "<script" in page.text) == (1, False)
        assert "None" not in text_of(page.text)
        ids = re.findall(r'\bid="([\w-]+)"', page.text)
        assert len(ids) == len(set(ids))
        assert 'href="/airlock/slack" aria-current="page"' in page.text


# a fresh login


def review(
    doors: Doors, release_id: str, user: str = "lena", digest: str = "", more: str = ""
) -> httpx.Response:
    """Click the button in Slack: it shows the subject, unless a test says another digest."""
    seen = digest or doors.body(release_id)["subjectDigest"]
    return doors.page(user).get(f"/releases/{release_id}/review?digest={seen}{more}")


@pytest.mark.parametrize(
    ("minutes", "recent"),
    [(0, True), (4.9, True), (5.1, False), (600, False), (-0.5, True), (-2, False)],
)
def test_a_login_is_fresh_for_five_minutes(minutes: float, recent: bool) -> None:
    now = datetime.now(UTC)
    assert is_fresh(now - timedelta(minutes=minutes), now) is recent


def test_a_login_nobody_knows_of_is_not_fresh() -> None:
    assert not is_fresh(None, datetime.now(UTC))


def test_who_has_just_logged_in_answers_on_the_ordinary_form(doors: Doors, logins: Logins) -> None:
    logins.ago(minutes=1)
    release_id = fresh(doors)
    page = review(doors, release_id)
    assert page.status_code == 200
    assert "and that is the subject still" in text_of(page.text)
    hidden = form_at(page.text, f"/releases/{release_id}/votes")
    form = {**hidden, "decision": "approve", "reason": "looked at the numbers"}
    assert doors.page("lena").post(f"/releases/{release_id}/votes", data=form).status_code == 303
    assert not has_form(review(doors, release_id, "vera").text, f"/releases/{release_id}/votes")


@pytest.mark.parametrize("minutes", [6.0, None])
def test_who_has_not_is_sent_to_log_in_once_and_back(
    doors: Doors, logins: Logins, minutes: float | None
) -> None:
    release_id = fresh(doors)
    logins.at = None
    if minutes:
        logins.ago(minutes=minutes)
    sent = review(doors, release_id)
    assert sent.status_code == 307
    address, _, back = sent.headers["location"].partition("?next=")
    digest = doors.body(release_id)["subjectDigest"]
    assert address == "/auth/login/"
    assert unquote(back) == f"/airlock/releases/{release_id}/review?digest={digest}&again=1"

    path = unquote(back).removeprefix("/airlock")
    stuck = doors.page("lena").get(path)  # whatever happened there, the login is not fresh
    assert stuck.status_code == 403
    assert "This needs a fresh login" in text_of(stuck.text)
    assert not has_form(stuck.text, f"/releases/{release_id}/votes")
    logins.ago(seconds=5)
    assert has_form(doors.page("lena").get(path).text, f"/releases/{release_id}/votes")


def test_where_logins_are_not_known_the_page_says_what_to_set(tmp_path: Path) -> None:
    with running(tmp_path) as doors:
        page = review(doors, fresh(doors))
        assert (page.status_code, "session_max_lifetime_minutes" in page.text) == (403, True)


def test_a_release_that_changed_is_not_what_slack_showed(doors: Doors, logins: Logins) -> None:
    logins.ago(minutes=1)
    release_id = fresh(doors)
    page = review(doors, release_id, digest=OTHER)
    words = text_of(page.text)
    assert (page.status_code, "The release has changed" in words) == (409, True)
    assert f"Slack showed {OTHER} it is now {doors.body(release_id)['subjectDigest']}" in words
    assert f'href="/airlock/releases/{release_id}"' in page.text
    assert not has_form(page.text, f"/releases/{release_id}/votes")


def test_a_review_without_a_digest_a_release_or_a_login_is_refused(
    doors: Doors, logins: Logins
) -> None:
    release_id = fresh(doors)
    assert doors.page("lena").get(f"/releases/{release_id}/review").status_code == 422
    assert review(doors, release_id, digest="sha256:abc").status_code == 422
    assert review(doors, release_id, more="&again=2").status_code == 422
    unknown = doors.page("lena").get(f"/releases/rel-00000000/review?digest={OTHER}")
    assert unknown.status_code == 404
    assert doors.page().get(f"/releases/{release_id}/review?digest={OTHER}").status_code == 401
