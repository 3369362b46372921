"""The pages beyond a vote: delegations, findings, emergencies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from airlock.domain.clock import readable
from airlock.services.approvals import delegation as delegation_service
from airlock.services.queries import duties, releases
from tests.integration.door_kit import Doors, running, text_of
from tests.integration.duty_kit import (
    GATE,
    after_lena,
    blocked,
    delegation,
    finding,
    fresh,
    later,
    seen,
    smashed,
)
from tests.integration.form_kit import conditional, form_at, has_form, sent


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    with running(tmp_path) as found:
        yield found


# delegations


def test_a_delegation_is_given_used_and_ended_on_the_page(doors: Doors) -> None:
    span = {"start": later(-0.01).isoformat()[:16], "end": later(3).isoformat()[:16]}
    given = sent(
        doors, "lena", "/delegations", "/delegations", to="vera", reason="on leave", **span
    )
    assert (given.status_code, given.headers["location"]) == (
        303,
        "/airlock/delegations?done=given",
    )
    shown = text_of(doors.page("lena").get("/delegations?done=given").text)
    assert "The delegation is recorded." in shown
    assert "vera lena" in shown
    assert "in force on leave" in shown

    release_id = fresh(doors)
    page = doors.page("vera").get(f"/releases/{release_id}").text
    assert "You answer for lena . Both names are kept." in text_of(page)
    action = f"/releases/{release_id}/votes"
    fields = {"decision": "approve", "reason": "looked at it for lena"}
    assert sent(doors, "vera", f"/releases/{release_id}", action, **fields).status_code == 303
    (vote,) = releases.outcome(doors.world.store, release_id).votes
    assert (vote.person, vote.behind) == ("vera", "lena")

    (one,) = duties.delegation_rows(doors.world.store).rows
    ended = sent(doors, "vera", "/delegations", f"/delegations/{one['id']}/end")
    assert (ended.status_code, ended.headers["location"]) == (
        303,
        "/airlock/delegations?done=ended",
    )
    page = doors.page("lena").get("/delegations").text
    assert "ended early" in text_of(page)
    assert not has_form(page, f"/delegations/{one['id']}/end")


def test_sending_a_delegation_twice_makes_one(doors: Doors) -> None:
    http = doors.page("lena")
    hidden = form_at(http.get("/delegations").text, "/delegations")
    span = {"start": later(0).isoformat()[:16], "end": later(3).isoformat()[:16]}
    form = {**hidden, "to": "vera", "reason": "on leave", **span}
    assert [http.post("/delegations", data=form).status_code for _ in range(2)] == [303, 303]
    assert len(duties.delegation_rows(doors.world.store).rows) == 1


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"to": "nobody"}, 422, "expected another active person"),
        ({"to": "admin"}, 403, "holds admin, which never votes"),
        ({"end": "2020-01-01T00:00"}, 422, "has to end after it starts"),
        ({"start": "", "end": ""}, 422, "the start of a delegation is a day and a time in UTC"),
        ({"end": "2999-01-01T00:00"}, 422, "at most 90 days"),
        ({"reason": "x"}, 422, "a reason of 3 to 2000 characters"),
    ],
)
def test_a_refused_delegation_keeps_what_was_typed(
    doors: Doors, fields: dict[str, str], status: int, sentence: str
) -> None:
    span = {"start": later(0).isoformat()[:16], "end": later(3).isoformat()[:16]}
    typed = {"to": "vera", "reason": "<b>on leave</b>", **span, **fields}
    answer = sent(doors, "lena", "/delegations", "/delegations", **typed)
    assert answer.status_code == status
    assert sentence in text_of(answer.text)
    assert f'value="{typed["to"]}"' in answer.text
    if "reason" not in fields:
        assert ">&lt;b&gt;on leave&lt;/b&gt;</textarea>" in answer.text
    assert duties.delegation_rows(doors.world.store).rows == []


def test_who_has_nothing_to_lend_is_told_so_and_everybody_sees_who_stands_in(doors: Doors) -> None:
    one = delegation(doors, "lena", "luis")
    page = doors.page("vera").get("/delegations").text
    words = text_of(page)
    assert "You hold no role that votes." in words
    assert not has_form(page, "/delegations")
    assert not has_form(page, f"/delegations/{one}/end"), "not hers to end"
    assert "algorithm lead mina" in words
    assert "nobody is left holders of risk committee" in words
    assert "Delegations between others" in words
    refused = doors.page("vera").post(f"/delegations/{one}/end", data={"key": "k"})
    assert (refused.status_code, "is between lena and luis" in refused.text) == (403, True)


def test_who_answers_in_two_capacities_chooses(doors: Doors) -> None:
    delegation(doors, "lena", "luis")
    release_id = fresh(doors)
    page = f"/releases/{release_id}"
    shown = doors.page("luis").get(page).text
    assert '<option value="" selected>in your own role</option>' in shown
    assert '<option value="lena">for lena</option>' in shown
    fields = {"decision": "approve", "reason": "asked by lena", "behind": "lena"}
    assert sent(doors, "luis", page, f"{page}/votes", **fields).status_code == 303
    (vote,) = releases.outcome(doors.world.store, release_id).votes
    assert (vote.person, vote.behind) == ("luis", "lena")


# findings


def test_a_finding_is_closed_by_somebody_else_with_a_reason(doors: Doors) -> None:
    one = finding(doors, owner="carla")
    action = f"/findings/{one}/closing"
    page = doors.page("carla").get("/findings").text
    assert "It is yours to mend, so somebody else closes it." in text_of(page)
    assert not has_form(page, action)
    assert not has_form(doors.page("vera").get("/findings").text, action)
    refused = doors.page("carla").post(action, data={"reason": "done, really", "key": "k"})
    assert (refused.status_code, "nobody judges own work" in refused.text) == (403, True)

    short = sent(doors, "mara", "/findings", action, reason="x")
    assert short.status_code == 422
    assert ">x</textarea>" in short.text
    assert "<details open>" in short.text
    done = sent(doors, "mara", "/findings", action, reason="read the analysis")
    assert (done.status_code, done.headers["location"]) == (303, "/airlock/findings?done=closed")
    words = text_of(doors.page("mara").get("/findings?done=closed").text)
    assert "The finding is closed." in words
    assert "Nothing is open." in words
    (closed,) = duties.finding_rows(doors.world.store).rows
    assert closed["closed_by"] == "mara"
    release = text_of(doors.page("vera").get(f"/releases/{closed['release']}").text)
    assert "closed explain the age effect" in release


def test_an_unknown_finding_is_a_page(doors: Doors) -> None:
    answer = doors.page("mara").post(
        "/findings/fin-00000000/closing", data={"reason": "abc", "key": "k"}
    )
    assert (answer.status_code, "no finding" in answer.text) == (404, True)


# emergencies


def test_two_people_break_the_glass_and_a_third_reviews(doors: Doors) -> None:
    release_id = fresh(doors)
    page = f"/releases/{release_id}"
    action = f"{page}/emergency"
    for user in ("vera", "ana", "mara", "admin"):
        assert not has_form(doors.page(user).get(page).text, action), user
    fields = {"incident": "INC-7", "reason": "production burns"}
    first = sent(doors, "lena", page, action, **fields)
    assert (first.status_code, first.headers["location"]) == (
        303,
        f"/airlock{page}?done=emergency",
    )
    waiting = doors.page("carla").get(page).text
    assert "Agree to break the glass" in text_of(waiting)
    assert 'value="INC-7"' in waiting, "the incident is that of the first"
    assert not has_form(doors.page("lena").get(page).text, action), "not twice"
    assert sent(doors, "carla", page, action, **fields).status_code == 303
    assert releases.outcome(doors.world.store, release_id).state.value == "APPROVED"

    words = text_of(doors.page("vera").get(page).text)
    assert "Glass broken by lena and carla" in words
    assert "lead skipped in an emergency" in words, "nobody approved here"
    assert not has_form(doors.page("lena").get(page).text, f"{page}/review"), "was involved"
    short = sent(doors, "sam", page, f"{page}/review", reason="x")
    assert (short.status_code, ">x</textarea>" in short.text) == (422, True)
    done = sent(doors, "sam", page, f"{page}/review", reason="it was right to do so")
    assert done.status_code == 303
    words = text_of(doors.page("sam").get(f"{page}?done=review").text)
    assert "Your review is recorded." in words
    assert "reviewed by sam" in words


def test_a_refused_emergency_keeps_what_was_typed(doors: Doors) -> None:
    release_id = fresh(doors)
    page = f"/releases/{release_id}"
    typed = {"incident": " ", "reason": "production burns"}
    refused = sent(doors, "lena", page, f"{page}/emergency", **typed)
    assert refused.status_code == 422
    assert "an incident id of 1 to 100 letters" in text_of(refused.text)
    assert ">production burns</textarea>" in refused.text
    stale = {"subject": f"sha256:{'0' * 64}", "incident": "INC-7", "reason": "production burns"}
    answer = doors.page("lena").post(f"{page}/emergency", data={**stale, "key": "k"})
    assert (answer.status_code, "you looked at 000000" in answer.text.lower()) == (409, True)
    assert 'value="INC-7"' in answer.text
    assert releases.outcome(doors.world.store, release_id).emergency is None


def test_an_unreviewed_emergency_leaves_no_glass_to_break(doors: Doors) -> None:
    smashed(doors, "lena", "carla")
    release_id = fresh(doors)
    page = f"/releases/{release_id}"
    assert not has_form(doors.page("luis").get(page).text, f"{page}/emergency")
    form = {"incident": "INC-8", "reason": "again", "subject": seen(doors, release_id), "key": "k"}
    refused = doors.page("luis").post(f"{page}/emergency", data=form)
    assert (refused.status_code, "nobody has reviewed" in refused.text) == (409, True)


# all of them


def test_every_page_is_labelled_and_holds_no_script(doors: Doors) -> None:
    one = finding(doors)
    delegation(doors, "carla", "lena")
    delegation(doors, "lena", "luis")
    delegation(doors, "mara", "mina")
    release_id = smashed(doors, "carla")
    for path in ("/delegations", "/findings", f"/releases/{release_id}"):
        page = doors.page("lena").get(path).text
        assert "<script" not in page
        assert " style=" not in page
        assert page.count("<h1") == 1
        assert page.count("<table") == page.count("<caption")
        assert "None" not in text_of(page)
        fields = re.findall(r'<(?:textarea|select|input)[^>]*\bid="([\w-]+)"', page)
        assert fields, path
        assert all(f'for="{name}"' in page for name in fields), path
        ids = re.findall(r'\bid="([\w-]+)"', page)
        assert len(ids) == len(set(ids)), path
    assert one in doors.page("lena").get("/findings").text


def test_whatever_people_type_is_escaped(doors: Doors) -> None:
    evil = '<script>alert(1)</script>"><img src=x>'
    world = doors.world
    start, end = later(0), later(1)
    delegation_service.delegate(
        world.store, world.rulebook, world.actor("lena"), "vera", start, end, evil
    )
    release_id = fresh(doors)
    day = (later(0) + timedelta(days=9)).strftime("%Y-%m-%d")
    conditional(
        doors,
        release_id,
        segments=evil,
        findingText=[evil],
        findingOwner=["ana"],
        findingDue=[day],
    )
    after_lena(doors, release_id)
    for path in ("/delegations", "/findings", f"/releases/{release_id}"):
        page = doors.page("lena").get(path).text
        assert "<script" not in page
        assert "<img" not in page
        assert "&lt;script&gt;alert(1)" in page


# waivers


def test_a_gate_is_waived_on_the_page_and_every_approver_sees_it(doors: Doors) -> None:
    release_id = blocked(doors)
    page, action = f"/releases/{release_id}", f"/releases/{release_id}/waivers"
    assert not has_form(doors.page("lena").get(page).text, action)
    assert not has_form(doors.page("ana").get(page).text, action)
    day = later(30).isoformat()[:10]
    fields = {"gate": GATE, "until": day, "reason": "a small segment"}
    refused = sent(doors, "carla", page, action, **{**fields, "until": "soon"})
    assert refused.status_code == 422
    assert "a small segment" in refused.text
    done = sent(doors, "carla", page, action, **fields)
    assert (done.status_code, done.headers["location"].endswith("?done=waive")) == (303, True)
    shown = text_of(doors.page("lena").get(f"{page}?done=waive").text)
    assert "Your waiver is recorded. The release is now awaiting approval at level 1" in shown
    assert f"{GATE} by carla" in shown
    assert "a small segment" in shown
    assert "WAIVED soft" in shown
    told = doors.cli("lena", "release", "show", release_id).out
    spoken = readable(datetime.fromisoformat(f"{day}T23:59:59+00:00"), None)
    assert f"{GATE} waived by carla until {spoken}: a small segment" in told


def test_a_lowered_threshold_is_on_the_page_and_in_the_terminal(doors: Doors) -> None:
    from airlock.services.approvals import policy_registry
    from airlock.testing import pipeline_document

    earlier = blocked(doors)
    document = pipeline_document()
    document["spec"]["gates"][0]["threshold"] = 0.55
    policy_registry.register(doors.world.store, doors.world.rulebook.document, [document])
    doors.world.pipeline = document
    release_id = fresh(doors)
    shown = text_of(doors.page("lena").get(f"/releases/{release_id}").text)
    assert f"threshold 0.7 0.55 {earlier}" in shown
    told = doors.cli("lena", "release", "show", release_id).out
    assert "these gates asked for something else when they last said no:" in told
