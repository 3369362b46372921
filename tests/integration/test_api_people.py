"""Rights at a moment, over real HTTP: one's own, and others' with the permission."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.door_kit import Doors, running


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    with running(tmp_path) as found:
        yield found


def test_anybody_may_see_their_own_rights(doors: Doors) -> None:
    found = doors.rest("lena").get("/people/lena/rights").json()
    assert (found["active"], found["roles"]) == (True, ["algorithm_lead"])
    assert "release:vote" in found["permissions"]


def test_the_rights_of_others_need_a_permission(doors: Doors) -> None:
    assert doors.rest("vera").get("/people/lena/rights").status_code == 403
    assert doors.rest("admin").get("/people/lena/rights").json()["roles"] == ["algorithm_lead"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("at=2020-01-01T00:00:00Z", 404),
        ("at=2100-01-01T00:00:00%2B02:00", 200),
        ("at=2020-01-01T00:00:00", 422),
        ("at=yesterday", 422),
    ],
)
def test_a_moment_has_a_time_zone(doors: Doors, query: str, status: int) -> None:
    assert doors.rest("lena").get(f"/people/lena/rights?{query}").status_code == status


def test_somebody_unknown_is_404(doors: Doors) -> None:
    assert doors.rest("admin").get("/people/nobody/rights").status_code == 404
