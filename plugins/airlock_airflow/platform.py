"""Operators of Airlock's own DAGs.

What a task may do is what a worker may do. It cannot fire a timer, because a timer can end a
release; it asks the deciding process to, and fails where somebody sees it if nobody listens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from html import escape
from typing import Any

from airflow.sdk import BaseOperator

from airlock.domain.clock import spelled
from airlock_airflow import edge


class SweepTimersOperator(BaseOperator):
    """Ask for a sweep if timers are due; fail if they have been due for minutes."""

    def execute(self, context: Mapping[str, Any]) -> int:
        """Return how many timers are due."""
        from airlock.services.approvals import deadlines

        with edge.translated(context):
            return deadlines.ask(
                edge.airlock().store, edge.airlock().proposals, edge.origin(context)
            )


class SendMailOperator(BaseOperator):
    """Send an e-mail that waits in Airlock's outbox, by the connection `smtp_default`.

    *message*: its key. Whom it goes to and what it says is read from the outbox, so whoever may
    start a run can have nothing else sent, to nobody else. It has three minutes: a server that
    answers byte by byte passes every limit on a single answer.
    """

    template_fields: Sequence[str] = ("message",)

    def __init__(self, *, message: str, **more: Any) -> None:
        super().__init__(**{"execution_timeout": timedelta(minutes=3), **more})
        self.message = message

    def execute(self, context: Mapping[str, Any]) -> str:
        """Send it; return whom it went to."""
        from airflow.providers.smtp.hooks.smtp import SmtpHook

        from airlock.domain.errors import NotFound
        from airlock.ports import MAIL

        with edge.translated(context):
            with edge.airlock().store.begin() as unit:
                mail = unit.letter(MAIL, self.message)
            if mail is None:
                raise NotFound(f"no e-mail waits under {self.message!r}")
        to, text = str(mail["to"]), escape(spelled(str(mail["text"])))
        html = text.replace("\n", "<br>\n")
        with SmtpHook() as smtp:
            smtp.send_email_smtp(to=to, subject=str(mail["subject"]), html_content=html)
        return to


class DetectChangesOperator(BaseOperator):
    """Ask whether MLflow is as released; fail if it is not, or if nobody could look."""

    def execute(self, context: Mapping[str, Any]) -> None:
        """Wait for the deciding process's answer."""
        from airlock.services.registry import drift

        with edge.translated(context):
            drift.ask(edge.airlock().store, edge.airlock().proposals, edge.origin(context))
