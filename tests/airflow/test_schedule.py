"""When a pipeline's clock first runs it, whatever the moment it is switched on."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import pendulum
import pytest
import time_machine
from airflow.serialization.encoders import coerce_to_core_timetable
from airflow.timetables.base import TimeRestriction

from airlock.config.load import load_pipelines
from airlock.config.pipeline import Triggers
from airlock_airflow import steps
from airlock_airflow.pipeline import schedule
from tests.any_day import ZONES, days, moments
from tests.support import ROOT

UNRESTRICTED = TimeRestriction(earliest=None, latest=None, catchup=False)
SHIPPED = {
    config.spec.triggers.cron
    for config in load_pipelines(ROOT / "include", Path(ROOT)).valid
    if config.spec.triggers.cron
}
CRONS = sorted(SHIPPED | {"0 2 * * *", "0 2 * * 1", "0 2 1 * *", "0 0 29 2 *", "*/5 * * * *"})
#: Every 13th of the battery's: all days, and in turn all hours and zones.
MOMENTS = sorted({moment for zone in ZONES for moment in moments(zone, days())})[::13]


@pytest.mark.parametrize(
    ("cron", "with_events"), [*((cron, False) for cron in CRONS), ("0 2 * * 1", True)]
)
def test_switched_on_at_any_hour_of_400_days_nothing_that_is_past_is_run(
    cron: str, with_events: bool
) -> None:
    planned = schedule(
        "employment", Triggers.model_validate({"cron": cron, "onCommit": with_events})
    )
    timetable = coerce_to_core_timetable(planned)
    with time_machine.travel(0, tick=False) as clock:
        for moment in MOMENTS:
            clock.move_to(moment)
            first = timetable.next_dagrun_info(
                last_automated_data_interval=None, restriction=UNRESTRICTED
            )
            assert first is not None
            assert first.run_after >= moment, f"switched on at {moment}"


def test_the_data_of_a_scheduled_run_end_with_the_day_of_its_slot_however_late_it_is() -> None:
    timed = SimpleNamespace(time_column="day")
    for moment in MOMENTS:
        run = SimpleNamespace(run_type="scheduled", logical_date=pendulum.instance(moment))
        expected = date.fromisoformat(moment.isoformat()[:10])
        with time_machine.travel(moment + timedelta(days=3, hours=5), tick=False):
            assert steps._end({"dag_run": run}, timed) == expected


#: How long before the moment a pipeline is switched on its last slot was; and one still to come.
SHIFTS = [timedelta(minutes=-1), timedelta(hours=-1), timedelta(hours=-15), timedelta(minutes=3)]


@pytest.mark.parametrize("shift", SHIFTS, ids=str)
@pytest.mark.parametrize("weekly", [False, True])
def test_a_slot_that_is_past_is_left_out_and_one_that_falls_due_is_run(
    shift: timedelta, weekly: bool
) -> None:
    for moment in MOMENTS[::7]:
        slot = (moment + shift).replace(second=0, microsecond=0)
        week = slot.isoweekday() % 7 if weekly else "*"
        triggers = Triggers.model_validate({"cron": f"{slot.minute} {slot.hour} * * {week}"})
        timetable = coerce_to_core_timetable(schedule("employment", triggers))
        with time_machine.travel(moment, tick=False):
            first = timetable.next_dagrun_info(
                last_automated_data_interval=None, restriction=UNRESTRICTED
            )
        assert first is not None
        past = slot < moment
        assert first.run_after == slot + timedelta(days=(7 if weekly else 1) if past else 0)
