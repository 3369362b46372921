"""Operators of Airlock's own DAGs.

What a task may do is what a worker may do. It cannot fire a timer, because a timer can end a
release; it asks the deciding process to, and fails where somebody sees it if nobody listens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator

from airlock_airflow import edge


class SweepTimersOperator(BaseOperator):
    """Ask for a sweep if timers are due; fail if they have been due for minutes."""

    def execute(self, context: Mapping[str, Any]) -> int:
        """Return how many timers are due."""
        from airlock.services import timing

        with edge.translated():
            return timing.ask(edge.airlock().store)


class DetectChangesOperator(BaseOperator):
    """Ask whether MLflow is as released; fail if it is not, or if nobody could look."""

    def execute(self, context: Mapping[str, Any]) -> None:
        """Wait for the deciding process's answer."""
        from airlock.services import detecting

        with edge.translated():
            detecting.ask(edge.airlock().store)
