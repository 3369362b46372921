"""Cron expressions, as Airflow's schedules understand them: five fields or a preset."""

from __future__ import annotations

from datetime import UTC, datetime

from airlock.config.problems import nearest, show
from airlock.config.schemas import Trouble, refuse

PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}

# Any fixed day does: whether an expression ever fires must not depend on today.
_START = datetime(2024, 1, 1, tzinfo=UTC)


def check_cron(expression: str) -> str:
    """Return the expression as five fields if it parses and some day fires, else refuse it.

    However it was written, one schedule is spelled one way: single spaces, names in lower case,
    presets as the fields they stand for.
    """
    if expression in PRESETS:
        return PRESETS[expression]
    if expression.startswith("@"):
        expected = f"five fields or one of {', '.join(PRESETS)}"
        refuse(Trouble((), expected, show(expression), nearest(expression, PRESETS)))
    from croniter import CroniterError, croniter  # 100 ms: only when somebody has a schedule

    fields = expression.split()
    if len(fields) != 5:
        expected = "five fields: minute hour day-of-month month day-of-week"
        refuse(Trouble((), expected, f"{len(fields)} in {show(expression)}"))
    try:
        croniter(expression, _START, max_years_between_matches=9).get_next(datetime)
    except (CroniterError, ValueError, TypeError, KeyError) as error:
        refuse(Trouble((), "a cron expression that fires", f"{show(expression)} ({error})"))
    return " ".join(fields).lower()
