"""Delegations, findings and the log, longer than a page: each door leads to every row."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, event, insert

from airlock.adapters.sql_store.people.duty_tables import delegation, finding
from airlock.adapters.sql_store.tables import audit_event
from airlock.domain.errors import Invalid
from airlock.services.audit import access_log
from airlock.services.queries import duties
from tests.integration.door_kit import Doors, running
from tests.support import sample

SIZES = sample((201, 10_000), 2)
#: The pages show so many rows of each list.
ON_PAGE = 100


@pytest.fixture(scope="module", params=SIZES)
def doors(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Doors]:
    folder = tmp_path_factory.mktemp("doors")
    with running(folder) as opened:
        release_id = opened.world.open()
        for user in ("lena", "vera", "carla", "mara", "sam"):
            opened.rest(user).get("/me")
        engine = create_engine(f"sqlite:///{folder / 'airlock.db'}")
        with engine.begin() as connection:
            fill(connection, release_id, request.param)
        engine.dispose()
        opened.count = request.param  # type: ignore[attr-defined]
        yield opened


def fill(connection: Connection, release_id: str, count: int) -> None:
    """Make so many delegations of each side, findings of each kind, and events."""
    rows: list[dict[str, Any]]
    sides = (("lena", "vera"), ("carla", "lena"), ("carla", "mara"))
    for giver, taker in sides:
        rows = [
            {
                "id": f"del-{giver[0]}{taker[0]}{n:06d}",
                "giver": giver,
                "taker": taker,
                "start": f"2026-01-01T00:00:00.{n // 2:06d}000Z",  # two begin at once
                "end": "2026-02-01T00:00:00.000000000Z",
                "reason": "on leave",
                "made_at": "2026-01-01T00:00:00.000000000Z",
            }
            for n in range(count)
        ]
        connection.execute(insert(delegation), rows)
    for closed in (None, "carla"):
        rows = [
            {
                "id": f"fin-{'c' if closed else 'o'}{n:06d}",
                "release": release_id,
                "model": "credit" if n else "other",
                "text": "mend it",
                "owner": "ana",
                "due": f"2027-01-01T00:00:00.{n // 2:06d}000Z",
                "raised_by": "lena",
                "closed_by": closed,
                "closed_at": f"2026-03-01T00:00:00.{n // 2:06d}000Z" if closed else None,
            }
            for n in range(count)
        ]
        connection.execute(insert(finding), rows)
    entry: dict[str, Any] = {"stream": "seeded", "what": "Seeded", "prev": b"", "hash": b""}
    rows = [{**entry, "seq": n, "body": body(n)} for n in range(1, count + 1)]
    connection.execute(insert(audit_event), rows)


def body(seq: int) -> bytes:
    who = {"id": "seed", "roles": []}
    content = {"stream": "seeded", "seq": seq, "what": "Seeded", "who": who, "why": "", "data": {}}
    more = {"at": "2026-01-01T00:00:00.000000000Z", "channel": "api", "resource": "r"}
    return json.dumps({**content, **more, "old": None, "new": None}).encode()


def walked(doors: Doors, path: str, **params: Any) -> list[dict[str, Any]]:
    """Return all rows of a list in REST, page by page."""
    http, pages = doors.rest("sam"), []
    answer = http.get(path, params={**params, "limit": 1000})
    while True:
        assert answer.status_code == 200
        pages.append(answer.json())
        if "next" not in answer.links:
            return [row for page in pages for row in page]
        answer = http.get(f"{doors.url}{answer.links['next']['url']}")


def test_rest_leads_to_every_row_once(doors: Doors) -> None:
    count = doors.count  # type: ignore[attr-defined]
    for path, params, expected in (
        ("/delegations", {}, 3 * count),
        ("/delegations", {"person": "lena"}, 2 * count),
        ("/findings", {}, 2 * count),
        ("/findings", {"closed": "true"}, count),
        ("/findings", {"model": "other"}, 2),
    ):
        rows = walked(doors, path, **params)
        assert (len({row["id"] for row in rows}), len(rows)) == (expected, expected), path
    due = [row["due"] for row in walked(doors, "/findings", closed="false")]
    assert due == sorted(due), "the most urgent first"
    seqs = [row["seq"] for row in walked(doors, "/audit/events", stream="seeded")]
    assert sorted(seqs) == list(range(1, count + 1))
    assert len(walked(doors, "/audit/events", what="Seeded")) == count


def test_the_command_line_reads_as_far_as_asked(doors: Doors) -> None:
    count = doors.count  # type: ignore[attr-defined]
    for command in (
        ("delegate", "list", "--person", "vera"),
        ("audit", "list", "--stream", "seeded"),
    ):
        for limit in (3, 200, 1500):
            said = doors.cli("sam", *command, "--json", "--limit", str(limit))
            assert len(json.loads(said.out)) == min(limit, count), said.err
    newest = json.loads(doors.cli("sam", "audit", "list", "--what", "Seeded", "--json").out)
    assert [row["seq"] for row in newest] == list(range(count - 99, count + 1))


LISTS = (
    ("/delegations", "mine", "Older ones", "lena"),
    ("/delegations", "lent", "Older ones", "lena"),
    ("/delegations", "others", "Older ones", "lena"),
    ("/findings", "open", "More to be mended", "lena"),
    ("/findings", "closed", "Older ones", "lena"),
    ("/log?what=Seeded", "events", "Older ones", "sam"),
)


@pytest.mark.parametrize(("path", "section", "words", "user"), LISTS)
def test_the_pages_lead_on(doors: Doors, path: str, section: str, words: str, user: str) -> None:
    http, rows, pages = doors.page(user), 0, 0
    page = http.get(path).text
    while pages < 4:  # as far as the shorter list goes
        part = page.partition(f'<h2 id="{section}">')[2].partition("</section>")[0]
        marked = (
            r'<td class="time">' if section == "events" else r'<th scope="row">|<li class="panel'
        )
        rows += len(re.findall(marked, part))
        pages += 1
        onward = re.search(rf'<a rel="next" href="/airlock([^"]+)">{words}</a>', part)
        if onward is None:
            break
        page = http.get(html.unescape(onward.group(1))).text
    count = doors.count  # type: ignore[attr-defined]
    assert rows == min(count, 4 * ON_PAGE), section


def test_a_page_costs_what_its_rows_do(doors: Doors) -> None:
    """However long the list: no more rows are fetched than a page has, and one."""
    store = doors.world.store
    fetched: list[int] = []
    engine = store._engine  # type: ignore[attr-defined]

    def noted(_c: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "LIMIT" in statement:
            fetched.append(1)

    event.listen(engine, "after_cursor_execute", noted)
    try:
        for page in (
            duties.delegation_rows(store, limit=10),
            duties.finding_rows(store, limit=10),
            access_log.page(store, limit=10),
        ):
            assert len(page.rows) == 10
            assert page.next
    finally:
        event.remove(engine, "after_cursor_execute", noted)
    assert len(fetched) == 3, "each list is limited where it is read"


@pytest.mark.parametrize("after", ["nowhere", "/", "a/", "/b", "x" * 30])
def test_a_made_up_place_is_refused(doors: Doors, after: str) -> None:
    store = doors.world.store
    for read in (duties.delegation_rows, duties.finding_rows, access_log.page):
        with pytest.raises(Invalid, match="no place where a page ended"):
            read(store, after=after)
    for path in ("/delegations", "/findings", "/audit/events"):
        answer = doors.rest("sam").get(path, params={"after": after})
        assert answer.status_code == 422, path
