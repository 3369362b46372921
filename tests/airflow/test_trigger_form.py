"""Airflow's own trigger form in a real browser: every DAG of ours, and every field of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator

from tests.airflow.browsing import Person
from tests.airflow.harness import RunningPlatform
from tests.support import sample

pytestmark = pytest.mark.browser
PIPELINE = "doctor-visits"
#: Its rows have a time, so that its runs have a window.
TIMED = "employment"
EMPTY = {
    "since": None,
    "until": None,
    "reason": None,
    "after_rejection": None,
    "raise_tier": None,
    "dry_run": False,
}
#: What a platform DAG cannot run without, and something to fill in.
NEEDED = {"airlock_promote": ("release", "rel-0000"), "airlock_mail": ("message", "mail/nobody")}


class TriggerForm:
    """The form of one DAG, opened as people open it."""

    def __init__(self, person: Person, platform: RunningPlatform, dag: str) -> None:
        self._airflow, self._dag, self._page = platform.airflow, dag, person.page
        self._before = set(self._runs())
        self._page.goto(f"{person.url}/dags/{dag}")
        self._page.get_by_role("button", name="Trigger").first.click()
        self.dialog = self._page.get_by_role("dialog")
        self.button.wait_for()

    @property
    def button(self) -> Locator:
        return self.dialog.get_by_role("button", name="Trigger").last

    def type(self, name: str, text: str) -> None:
        self.dialog.locator(f"#element_{name}").fill(text)

    def choose(self, name: str, option: str) -> None:
        self.dialog.locator(f"#element_{name}").get_by_role("combobox").click()
        self._page.get_by_role("option", name=option).click()

    def switch(self, name: str) -> None:
        self.dialog.locator(f"input[name=element_{name}]").locator("xpath=..").click()

    def trigger(self) -> dict[str, Any]:
        """Press the button; return the run, which goes no further."""
        self.button.click()
        new = self._airflow.wait(
            lambda: set(self._runs()) - self._before, "the run to be there", 120
        )
        run: dict[str, Any] = self._runs()[new.pop()]
        return run

    def _runs(self) -> dict[str, dict[str, Any]]:
        rows = self._airflow.get(f"dags/{self._dag}/dagRuns", order_by="-run_after", limit=50)
        return {row["dag_run_id"]: row for row in rows["dag_runs"] if row["run_type"] == "manual"}


@pytest.fixture(scope="module")
def ana(browser: Browser, platform: RunningPlatform) -> Iterator[Person]:
    person = Person(browser, platform, "ana")
    yield person
    person.close()


def stop(platform: RunningPlatform, run: dict[str, Any]) -> None:
    """End a run that has been looked at: it would train for a minute."""
    path = f"dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}"
    platform.airflow.wait(  # Airflow answers 500 if its scheduler changes the run at that moment
        lambda: platform.airflow.patch(path, {"state": "failed"}).is_success,
        "the run to be ended",
        60,
    )


def dags(platform: RunningPlatform) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = platform.airflow.get("dags", tags="airlock")["dags"]
    assert rows
    return rows


def test_every_field_of_every_form_says_what_it_does(platform: RunningPlatform) -> None:
    for row in dags(platform):
        params = platform.airflow.get(f"dags/{row['dag_id']}/details")["params"]
        for name, param in params.items():
            assert param["schema"]["title"], (row["dag_id"], name)
            assert len(param["description"]) > 40, (row["dag_id"], name)


def test_every_form_of_ours_opens_ready_or_says_what_it_needs(
    platform: RunningPlatform, ana: Person
) -> None:
    for row in dags(platform):
        dag = row["dag_id"]
        form = TriggerForm(ana, platform, dag)
        ana.shot(f"trigger-{dag}")
        assert form.button.is_disabled() == (dag in NEEDED), dag
        if dag in NEEDED:
            assert "This field is required" in form.dialog.inner_text()
            form.type(*NEEDED[dag])
            assert form.button.is_enabled(), dag


@pytest.mark.parametrize("user", sample(["ana", "admin"], 2))
def test_an_ordinary_run_needs_nothing_filled_in(
    browser: Browser, platform: RunningPlatform, user: str
) -> None:
    person = Person(browser, platform, user)
    run = TriggerForm(person, platform, TIMED).trigger()
    assert run["conf"] == EMPTY
    assert run["triggering_user_name"] == user
    platform.airflow.await_task(TIMED, run["dag_run_id"], "pin_data", "success")
    pinned = platform.airflow.xcom(TIMED, run["dag_run_id"], "pin_data")
    stop(platform, run)
    assert pinned["window"] == {"since": None, "until": None}
    person.close()


Fill = Callable[[TriggerForm], None]
#: Field -> how it is filled in, and what the run gets.
FIELDS: dict[str, tuple[Fill, Any]] = {
    "since": (lambda form: form.type("since", "1984-01-01"), "1984-01-01"),
    "until": (lambda form: form.type("until", "1990-12-31"), "1990-12-31"),
    "reason": (lambda form: form.type("reason", "new rows"), "new rows"),
    "after_rejection": (lambda form: form.type("after_rejection", "rel-0000"), "rel-0000"),
    "raise_tier": (lambda form: form.choose("raise_tier", "medium"), "medium"),
    "dry_run": (lambda form: form.switch("dry_run"), True),
}


@pytest.mark.parametrize("names", sample([tuple(FIELDS), *((name,) for name in FIELDS)], 7))
def test_each_field_reaches_the_run(
    platform: RunningPlatform, ana: Person, names: tuple[str, ...]
) -> None:
    """All filled in at once; in `make test-all` each alone, too."""
    form = TriggerForm(ana, platform, PIPELINE)
    for name in names:
        fill, _ = FIELDS[name]
        fill(form)
    run = form.trigger()
    stop(platform, run)
    assert run["conf"] == EMPTY | {name: FIELDS[name][1] for name in names}


@pytest.mark.parametrize("dag", list(NEEDED))
def test_a_platform_dag_runs_with_what_its_form_asks_for(
    platform: RunningPlatform, ana: Person, dag: str
) -> None:
    form = TriggerForm(ana, platform, dag)
    form.type(*NEEDED[dag])
    run = form.trigger()
    stop(platform, run)
    assert run["conf"] == dict([NEEDED[dag]])
