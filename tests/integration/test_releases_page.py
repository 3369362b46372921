"""The Releases page over real HTTP: what it shows to whom, and how it takes answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock.domain.approval.release import Decision
from airlock.services.queries import releases
from tests.integration.door_kit import Doors, running, text_of


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    with running(tmp_path) as found:
        yield found


def form_of(page: str) -> dict[str, str]:
    """Return the hidden fields of the answer form."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))


def test_who_may_answer_gets_the_form_and_a_redirect_that_says_what_was_done(
    doors: Doors,
) -> None:
    release_id = doors.world.open()
    http = doors.page("lena")
    assert f'href="/airlock/releases/{release_id}"' in http.get("/releases").text
    form = form_of(http.get(f"/releases/{release_id}").text)
    sent = {**form, "decision": "approve", "reason": "Good numbers,\r\nboth of them."}
    answer = http.post(f"/releases/{release_id}/votes", data=sent)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/airlock/releases/{release_id}?done=approve"
    again = http.post(f"/releases/{release_id}/votes", data=sent)
    assert again.status_code == 303, "a form sent twice answers once"
    shown = text_of(http.get(answer.headers["location"].removeprefix("/airlock")).text)
    assert "Your approval is recorded. The release is now awaiting approval at level 2" in shown
    (vote,) = releases.outcome(doors.world.store, release_id).votes
    assert (vote.reason, vote.channel) == ("Good numbers,\nboth of them.", "page")


def test_others_see_why_they_cannot_answer(doors: Doors) -> None:
    release_id = doors.world.open()
    doors.world.approve(release_id, "lena")
    sentences = {
        "vera": "needs 1 x compliance_officer; you hold viewer",
        "ana": "you requested this release: nobody judges own work",
        "lena": "you have already answered this release",
    }
    for who, sentence in sentences.items():
        page = doors.page(who).get(f"/releases/{release_id}").text
        assert sentence in text_of(page)
        assert 'name="decision"' not in page


def test_a_refused_answer_keeps_what_was_typed(doors: Doors) -> None:
    release_id = doors.world.open()
    form = form_of(doors.page("lena").get(f"/releases/{release_id}").text)
    sent = {
        **form,
        "decision": "reject",
        "reason": 'no <b>way</b> "x"',
        "subject": f"sha256:{'0' * 64}",
    }
    answer = doors.page("lena").post(f"/releases/{release_id}/votes", data=sent)
    assert answer.status_code == 409
    assert ">no &lt;b&gt;way&lt;/b&gt; &#34;x&#34;</textarea>" in answer.text


def test_whatever_people_type_is_escaped(doors: Doors) -> None:
    release_id = doors.world.open()
    evil = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
    doors.world.vote(release_id, "lena", Decision.REJECT, reason=evil)
    for path in ("/releases", f"/releases/{release_id}"):
        page = doors.page("vera").get(path).text
        assert "<script" not in page
        assert "<img" not in page
        assert "&lt;script&gt;alert(1)" in page


def test_every_state_has_a_page(doors: Doors) -> None:
    world = doors.world
    promoted = world.open("run-1")
    world.approve_all(promoted)
    world.promote(promoted)
    blocked = world.request(world.measure("run-2", auc=0.5)).release
    assert blocked is not None
    rejected = world.open("run-3")
    world.vote(rejected, "lena", Decision.REJECT)
    expected = {promoted: "promoted", blocked.id: "blocked by a gate", rejected: "rejected"}
    for release_id, words in expected.items():
        assert words in text_of(doors.page("vera").get(f"/releases/{release_id}").text)
    shown = text_of(doors.page("vera").get(f"/releases/{promoted}").text)
    assert "alias champion moved from nothing to version 1" in shown
    assert "Signature good" in shown


def test_the_list_is_filtered_by_state_and_model(doors: Doors) -> None:
    release_id = doors.world.open()
    page = doors.page("vera")
    assert release_id in page.get("/releases?state=AWAITING_APPROVAL&model=credit").text
    assert "No release is like that" in page.get("/releases?state=PROMOTED").text
    assert page.get("/releases?state=&model=").status_code == 200


def test_a_run_in_airflow_leads_to_its_release(doors: Doors) -> None:
    release_id = doors.world.open("manual__2026-11-21T00:00:00+00:00")
    query = {"dag": "credit", "run": "manual__2026-11-21T00:00:00+00:00"}
    answer = doors.page("vera").get("/releases", params=query)
    assert answer.headers["location"] == f"/airlock/releases/{release_id}"
    none = doors.page("vera").get("/releases", params={**query, "run": "other"})
    assert "Run other has opened no release (yet)." in text_of(none.text)
    doors.app.state.run_note = lambda dag, run: f"failed: <b>task train of {dag}/{run}</b> failed"
    why = doors.page("vera").get("/releases", params={**query, "run": "other"})
    assert "failed: <b>task train of credit/other</b> failed" in text_of(why.text)
    assert "<b>" not in why.text


def test_the_requester_can_withdraw_on_the_page(doors: Doors) -> None:
    release_id = doors.world.open()
    url = f"/releases/{release_id}"
    assert "Withdraw this release" in doors.page("ana").get(url).text
    assert "Withdraw this release" not in doors.page("lena").get(url).text
    refused = doors.page("lena").post(f"{url}/withdrawal", data={"reason": "not mine", "key": "a"})
    assert refused.status_code == 403
    done = doors.page("ana").post(f"{url}/withdrawal", data={"reason": "wrong data", "key": "a"})
    assert (done.status_code, done.headers["location"]) == (303, f"/airlock{url}?done=withdraw")


def test_without_a_login_a_page_leads_to_airflows_login_and_back(doors: Doors) -> None:
    answer = doors.page().get("/releases/rel-1")
    assert answer.status_code == 401
    assert 'href="/api/v2/auth/login?next=%2Fairlock%2Freleases%2Frel-1"' in answer.text
    style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style is not None, "who has no login cannot load the style sheet"
    assert "&#34;" not in style[1]


def test_an_unknown_release_and_bad_input_are_pages_too(doors: Doors) -> None:
    for path, status in (("/releases/rel-0", 404), ("/releases/%00", 422), ("/nowhere", 404)):
        answer = doors.page("vera").get(path)
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith("text/html")
    release_id = doors.world.open()
    answer = doors.page("lena").post(f"/releases/{release_id}/votes", data={"decision": "approve"})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "", "Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Authorization": "Basic bGVuYTp4"},
    ],
)
def test_a_form_on_another_site_changes_nothing(doors: Doors, headers: dict[str, str]) -> None:
    release_id = doors.world.open()
    form = form_of(doors.page("lena").get(f"/releases/{release_id}").text)
    sent = {**form, "decision": "approve", "reason": "looks good"}
    http = doors.page("lena")
    http.headers.update(headers)
    answer = http.post(f"/releases/{release_id}/votes", data=sent)
    assert answer.status_code in (401, 403)
    assert releases.outcome(doors.world.store, release_id).votes == ()


def test_an_old_browser_is_known_by_its_origin(doors: Doors) -> None:
    release_id = doors.world.open()
    http = doors.page("lena")
    del http.headers["Sec-Fetch-Site"]
    form = form_of(http.get(f"/releases/{release_id}").text)
    sent = {**form, "decision": "approve", "reason": "looks good"}
    url = f"/releases/{release_id}/votes"
    assert http.post(url, data=sent).status_code == 403, "no word about where it comes from"
    null = http.post(url, data=sent, headers={"Origin": "null"})
    assert null.status_code == 403
    assert http.post(url, data=sent, headers={"Origin": doors.url}).status_code == 303


def test_every_answer_carries_the_security_headers(doors: Doors) -> None:
    for client, path in (
        (doors.page("vera"), "/releases"),
        (doors.page(), "/releases"),
        (doors.rest("vera"), "/me"),
        (doors.rest("vera"), "/nowhere"),
    ):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'self'" in policy
        assert "script" not in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_the_pages_hold_no_script_and_are_labelled(doors: Doors) -> None:
    release_id = doors.world.open()
    for path in ("/releases", f"/releases/{release_id}"):
        page = doors.page("lena").get(path).text
        assert "<script" not in page
        assert " style=" not in page
        assert page.count("<h1") == 1
        assert '<html lang="en">' in page
        assert page.count("<table") == page.count("<caption")
    fields = re.findall(r'<(?:textarea|select|input type="text")[^>]*\bid="(\w+)"', page)
    assert fields
    assert all(f'for="{name}"' in page for name in fields)
