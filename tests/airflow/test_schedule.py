"""When a pipeline's clock first runs it, whatever the moment it is switched on."""

from __future__ import annotations

from datetime import timedelta
from unittest import mock

import pendulum
import pytest
from airflow.serialization.encoders import coerce_to_core_timetable
from airflow.timetables.base import TimeRestriction

from airlock.config.pipeline import Triggers
from airlock_airflow.pipeline import schedule

#: A Monday; both shipped pipelines run on Mondays, hours before the first moments below.
MONDAY = pendulum.datetime(2026, 11, 30, 2, 30, tz="UTC")
UNRESTRICTED = TimeRestriction(earliest=None, latest=None, catchup=False)


@pytest.mark.parametrize("cron", ["0 2 * * *", "0 2 * * 1", "0 2 1 * *", "*/5 * * * *"])
def test_switched_on_at_any_hour_of_400_days_nothing_that_is_past_is_run(cron: str) -> None:
    timetable = coerce_to_core_timetable(schedule("employment", Triggers(cron=cron)))
    for hour in range(0, 400 * 24, 7):
        moment = MONDAY + timedelta(hours=hour)
        with mock.patch("airflow.timetables.trigger.utcnow", return_value=moment):
            planned = timetable.next_dagrun_info(
                last_automated_data_interval=None, restriction=UNRESTRICTED
            )
        assert planned is not None
        assert planned.run_after >= moment, f"switched on at {moment}"
