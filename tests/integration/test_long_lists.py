"""Lists longer than a page, through each door: every release can be reached, newest or oldest."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from airlock.services.approvals import decide
from tests.integration.door_kit import Doors, running
from tests.seeding import clone

COUNT = 201


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    folder = tmp_path_factory.mktemp("doors")
    with running(folder) as opened:
        first = opened.world.open()
        decide.settle(opened.world.store, opened.world.signer, first)
        clone(f"sqlite:///{folder / 'airlock.db'}", first, COUNT - 1, log=False)
        yield opened


@pytest.mark.parametrize("params", [{}, {"waiting": "me"}])
def test_rest_names_the_next_page_in_its_link_header(doors: Doors, params: dict[str, Any]) -> None:
    http, found, pages = doors.rest("lena"), [], 0
    answer = http.get("/releases", params={**params, "limit": 80})
    while True:
        found += [row["id"] for row in answer.json()]
        pages += 1
        if "next" not in answer.links:
            break
        answer = http.get(f"{doors.url}{answer.links['next']['url']}")
        assert answer.status_code == 200
    assert (len(set(found)), len(found), pages) == (COUNT, COUNT, 3)


def test_a_made_up_place_is_422_with_the_next_step(doors: Doors) -> None:
    answer = doors.rest("lena").get("/releases", params={"after": "nowhere"})
    assert answer.status_code == 422
    assert "Take it as the page before gave it" in answer.json()["nextStep"]


def test_the_command_line_reads_as_far_as_asked(doors: Doors) -> None:
    for limit, expected in ((3, 3), (200, 200), (1000, COUNT)):
        output = doors.cli("vera", "release", "list", "--json", "--limit", str(limit)).out
        assert len({row["id"] for row in json.loads(output)}) == expected


def test_the_page_leads_to_the_oldest_release_and_to_the_last_in_the_inbox(doors: Doors) -> None:
    http = doors.page("lena")
    for section, words in (("all", "Older ones"), ("inbox", "More that waits")):
        found: set[str] = set()
        page = http.get("/releases").text
        while True:
            part = page.partition(f'<h2 id="{section}">')[2].partition("</section>")[0]
            found |= set(re.findall(r'href="/airlock/releases/(rel-[0-9a-f]+)"', part))
            onward = re.search(rf'<a rel="next" href="/airlock([^"]+)">{words}</a>', part)
            if onward is None:
                break
            page = http.get(html.unescape(onward.group(1))).text
        assert len(found) == COUNT, section


def test_filtering_finds_what_is_on_no_first_page(doors: Doors) -> None:
    newest = doors.rest("lena").get("/releases", params={"limit": 200}).json()
    models = {row["model"] for row in newest}
    page = doors.page("lena").get("/releases").text
    offered = set(re.findall(r"<option>([^<]+)</option>", page))
    (hidden,) = offered - models
    shown = doors.page("lena").get("/releases", params={"model": hidden}).text
    assert "1 release, newest first" in shown
