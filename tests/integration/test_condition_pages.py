"""Approving under conditions on the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airlock.services.queries import releases
from tests.integration.door_kit import Doors, running, text_of
from tests.integration.duty_kit import fresh, later
from tests.integration.form_kit import conditional


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    with running(tmp_path) as found:
        yield found


def test_an_approval_is_tied_to_conditions(doors: Doors) -> None:
    release_id = fresh(doors)
    day = later(30).strftime("%Y-%m-%d")
    answer = conditional(
        doors,
        release_id,
        share="25",
        segments="staff, beta ,",
        expires=f"{day}T12:00",
        findingText=["explain the age effect", "", ""],
        findingOwner=["ana", "", ""],
        findingDue=[day, "", ""],
    )
    assert answer.status_code == 303, text_of(answer.text)
    (vote,) = releases.outcome(doors.world.store, release_id).votes
    tied = vote.conditions
    assert (tied.max_traffic_share, tied.segments) == (0.25, ("staff", "beta"))
    assert str(tied.expires_at).startswith(f"{day}T12:00:00")
    (demand,) = tied.findings
    assert (demand.text, demand.owner) == ("explain the age effect", "ana")
    assert demand.due.startswith(f"{day}T23:59:59"), "a day is over when the day is"
    shown = text_of(doors.page("vera").get(f"/releases/{release_id}").text)
    assert "at most 25 % of the traffic only for staff, beta good until" in shown


def test_empty_condition_fields_are_no_condition(doors: Doors) -> None:
    release_id = fresh(doors)
    empty = {"share": "", "segments": " ", "expires": "", "findingText": ["", "", ""]}
    assert conditional(doors, release_id, **empty).status_code == 303
    (vote,) = releases.outcome(doors.world.store, release_id).votes
    assert not vote.conditions


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"share": "a lot"}, "the share of the traffic is a number of percent, found 'a lot'"),
        ({"share": "120"}, "maxTrafficShare is above 0 and at most 1, found 1.2"),
        ({"share": "nan"}, "the share of the traffic is a number of percent, found 'nan'"),
        ({"expires": "soon"}, "the end of an approval is a day and a time in UTC"),
        ({"expires": "2020-01-01T00:00"}, "a condition has to lie in the future"),
        ({"findingOwner": [""]}, "a finding needs what is to be mended, who mends it"),
        (
            {"findingText": ["abc"], "findingOwner": ["nobody"], "findingDue": ["2999-01-01"]},
            "a finding's owner is somebody active whom Airlock knows, found 'nobody'",
        ),
        ({"share": "50", "decision": "reject"}, "it carries no conditions"),
    ],
)
def test_a_refused_condition_keeps_everything_that_was_typed(
    doors: Doors, fields: dict[str, Any], sentence: str
) -> None:
    release_id = fresh(doors)
    typed = {
        "reason": "typed with care",
        "segments": "staff",
        "findingText": ["explain the age effect"],
        "findingOwner": ["ana"],
        "findingDue": ["2999-01-01"],
        **fields,
    }
    answer = conditional(doors, release_id, **typed)
    assert answer.status_code == 422
    assert sentence.lower() in text_of(answer.text).lower()
    assert ">typed with care</textarea>" in answer.text
    assert '<details class="conditions" open>' in answer.text
    for value in (typed.get("share", ""), "staff", *typed["findingText"], *typed["findingOwner"]):
        assert f'value="{value}"' in answer.text
    assert releases.outcome(doors.world.store, release_id).votes == ()
