"""What stands beside a release on its page: deadline, links, plots, card, and its code's diff."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock.adapters.git_code.own import OwnCheckout
from airlock.domain.digest import digest_bytes
from airlock.ports import CodeChange
from tests.integration.door_kit import Doors, running, text_of, with_real_keys
from tests.unit.test_git_history import MODEL, TRAIN, Repository

PLOT = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    with running(tmp_path) as found:
        with_real_keys(found)  # everybody may read evidence
        yield found


def keep(doors: Doors, name: str, content: bytes) -> str:
    """Put a file into the evidence store and return its digest."""
    place = doors.folder / name
    place.write_bytes(content)
    digest: str = doors.app.state.airlock.files.put(place)
    return digest


def measured(doors: Doors, **files: str) -> str:
    """Open a release whose model card has these files."""
    named = {name.replace("_svg", ".svg").replace("card", "model_card.html"): digest
             for name, digest in files.items()}  # fmt: skip
    card = {"files": named, "captions": {"roc.svg": "ROC: true against <false>."}}
    return doors.world.open(more={"model-card": card})


def test_plots_and_card_are_shown_to_who_may_read_evidence(doors: Doors) -> None:
    plot, card = keep(doors, "roc.svg", PLOT), keep(doors, "c.html", b"<p>card</p>")
    release_id = measured(doors, roc_svg=plot, card=card)
    page = doors.page("vera").get(f"/releases/{release_id}").text
    assert f'<img src="/airlock/releases/{release_id}/files/{plot}"' in page
    assert "ROC: true against &lt;false&gt;." in page
    assert f'href="/airlock/releases/{release_id}/files/{card}">Model card' in page
    for digest, content, kind in (
        (plot, PLOT, "image/svg+xml"),
        (card, b"<p>card</p>", "text/html; charset=utf-8"),
    ):
        answer = doors.page("vera").get(f"/releases/{release_id}/files/{digest}")
        assert (answer.content, answer.headers["content-type"]) == (content, kind)
        policy = answer.headers["content-security-policy"]
        assert "sandbox" in policy
        assert "script-src" not in policy
        assert policy.startswith("default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert doors.page().get(f"/releases/{release_id}/files/{plot}").status_code == 401


def test_only_files_of_this_release_that_people_look_at_are_sent(doors: Doors) -> None:
    plot, data = keep(doors, "roc.svg", PLOT), keep(doors, "rows.parquet", b"rows")
    missing, large = digest_bytes(b"gone"), keep(doors, "big.svg", b"x" * ((8 << 20) + 1))
    named = {"rows.parquet": data, "gone.svg": missing, "large.svg": large, "x.svg": 7}
    card = {"files": named}
    without, having = doors.world.open("run-1"), ""
    other = doors.world.request(
        doors.world.measure("run-2", more={"model-card": card}), "supersede"
    )
    assert other.release is not None
    having = other.release.id
    page = doors.page("vera")
    expected = {
        (without, plot): 404,  # in the store, but not of this release
        (having, plot): 404,
        (having, data): 404,  # of this release, but nothing people look at
        (having, missing): 404,
        (having, large): 409,
        (having, "sha256:../../etc"): 422,
        (having, "sha256:00"): 422,
    }
    for (release_id, digest), status in expected.items():
        answer = page.get(f"/releases/{release_id}/files/{digest}")
        assert answer.status_code == status, digest
    assert page.get(f"/releases/{having}").status_code == 200


def test_a_changed_file_is_not_sent(doors: Doors) -> None:
    plot = keep(doors, "roc.svg", PLOT)
    release_id = measured(doors, roc_svg=plot)
    place = doors.app.state.airlock.files.get(plot)
    place.chmod(0o600)
    place.write_bytes(b"<svg/>")
    answer = doors.page("vera").get(f"/releases/{release_id}/files/{plot}")
    assert answer.status_code == 409
    assert "was changed" in text_of(answer.text)


def test_who_may_not_read_evidence_gets_no_plot(tmp_path: Path) -> None:
    with running(tmp_path) as doors:
        plot = keep(doors, "roc.svg", PLOT)
        release_id = measured(doors, roc_svg=plot)
        page = doors.page("vera")
        assert "<img" not in page.get(f"/releases/{release_id}").text
        assert page.get(f"/releases/{release_id}/files/{plot}").status_code == 403


def test_the_page_says_until_when_and_leads_to_airflow_and_mlflow(doors: Doors) -> None:
    release_id = doors.world.open("manual__2026-11-21T00:00:00+00:00")
    for path in ("/releases", f"/releases/{release_id}"):
        shown = text_of(doors.page("lena").get(path).text)
        due = r"answer(?:ed)? before \d\d \w{3} \d{4}, \d\d:\d\d UTC \(\d+ days?"
        assert re.search(due, shown), path
    page = doors.page("lena").get(f"/releases/{release_id}").text
    run = "/dags/credit/runs/manual__2026-11-21T00%3A00%3A00%2B00%3A00"
    assert f'href="{run}"' in page
    assert 'href="https://mlflow.example.org/#/models/credit/versions/1"' in page
    assert 'href="https://mlflow.example.org/#/runs/mlflow-manual__' in page
    assert "at least 0.7" in text_of(page), "a limit says which way it is one"


def test_no_page_shows_a_time_as_the_log_has_it(doors: Doors) -> None:
    world = doors.world
    rejected = world.open("run-0")
    stamp = "2026-12-03T12:00:00.000106000Z"
    world.approve(rejected, "lena", reason=f"good until {stamp}")
    for path in ("/releases", f"/releases/{rejected}", "/delegations", "/findings", "/approvers"):
        shown = doors.page("lena").get(path).text
        assert not STAMP.search(shown), path
    assert "good until 03 Dec 2026, 12:00:00 UTC" in text_of(
        doors.page("lena").get(f"/releases/{rejected}").text
    )
    assert not STAMP.search(doors.cli("lena", "release", "show", rejected).out)


def test_times_are_shown_and_typed_in_the_zone_the_reader_chose(doors: Doors) -> None:
    page = doors.page("lena")
    assert "times in UTC" in page.get("/releases").text
    answer = page.post("/zone", data={"name": "Asia/Kathmandu"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/airlock/zone?done=chosen")
    cookie = answer.headers["set-cookie"]
    assert "airlock_zone=Asia/Kathmandu" in cookie.replace('"', "")
    assert {"HttpOnly", "Path=/airlock"} <= set(cookie.split("; "))
    page.cookies.set("airlock_zone", "Asia/Kathmandu")
    assert "times in UTC+05:45" in page.get("/delegations").text
    typed = {"to": "vera", "start": "2030-05-01T09:00", "end": "2030-05-02", "reason": "on leave"}
    assert page.post("/delegations", data={**typed, "key": "k"}).status_code == 303
    with doors.world.store.begin() as unit:
        (made,) = unit.delegations()
    assert made.start.startswith("2030-05-01T03:15:00")
    assert made.end.startswith("2030-05-02T18:14:59"), "a bare day ends where the reader is"
    assert "01 May 2030, 09:00 UTC+05:45" in text_of(page.get("/delegations").text)
    page.cookies.set("airlock_zone", "../../etc/passwd")
    assert "times in UTC" in page.get("/releases").text


class Code:
    """A checkout with one change."""

    def change(self, folder: str, before: str, after: str) -> CodeChange:
        text = f"diff --git a/{folder}/train.py\n-x = 1\n+x = '<script>'\n"
        return CodeChange((("a.py", 1, 1), ("big.csv", 9000, 0)), text, ("big.csv",))


def test_the_code_page_shows_the_diff_to_the_champion_escaped(doors: Doors) -> None:
    world = doors.world
    first = world.open("run-1")
    world.approve_all(first)
    world.promote(first)
    doors.app.state.airlock.code = Code()
    world.code.head = "feedfeedfeed+dirty:sha256:" + "a" * 64
    second = world.open("run-2", champion="1")
    page = doors.page("vera").get(f"/releases/{second}/code").text
    assert "+x = &#39;&lt;script&gt;&#39;" in page
    assert "<script" not in page
    shown = text_of(page)
    assert "held changes that are in no commit" in shown
    assert "big.csv" in shown
    assert "not shown" in shown
    main = text_of(doors.page("vera").get(f"/releases/{second}").text)
    assert "uncommitted changes" in main
    assert "What it changes against version 1" in main
    assert "this is the first release" in text_of(
        doors.page("vera").get(f"/releases/{first}/code").text
    )


def test_what_changed_is_unknown_where_nobody_can_say(doors: Doors) -> None:
    first = doors.world.open("run-1")
    doors.world.approve_all(first)
    doors.world.promote(first)
    for run, champion in (("run-2", "1"), ("run-3", "77")):
        opened = doors.world.request(doors.world.measure(run, champion=champion), "supersede")
        assert opened.release is not None
        answer = doors.page("vera").get(f"/releases/{opened.release.id}/code")
        assert "What changed is unknown" in text_of(answer.text), champion


def test_git_tells_what_changed_between_two_commits(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "full")
    repository.write(f"{MODEL}/rows.csv", "a\n" * 2_000)
    repository.write(f"{MODEL}/blob.bin", "\0\1")
    repository.write("elsewhere.py", "y = 1\n")
    after = repository.change("lena", "x = 2\n")
    found = OwnCheckout(repository.root).change(MODEL, repository.base, after)
    assert [(path, added) for path, added, _ in found.files] == [
        (f"{MODEL}/blob.bin", None),
        (f"{MODEL}/rows.csv", 2000),
        (TRAIN, 1),
    ]
    assert set(found.left_out) == {f"{MODEL}/blob.bin", f"{MODEL}/rows.csv"}
    assert "-x = 1\n+x = 2\n" in found.text
    assert "a\n+a" not in found.text
    same = OwnCheckout(repository.root).change(MODEL, after, after)
    assert (same.files, same.text) == ((), "")


@pytest.mark.parametrize("before", ["f" * 40, "--output=/tmp/x", "HEAD", ""])
def test_a_commit_git_does_not_have_is_unknown_not_unchanged(tmp_path: Path, before: str) -> None:
    from airlock.domain.errors import Refused

    repository = Repository(tmp_path / "full")
    with pytest.raises(Refused):
        OwnCheckout(repository.root).change(MODEL, before, repository.base)
