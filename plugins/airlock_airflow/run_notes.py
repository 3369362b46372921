"""What Airflow has noted on a run: why it has failed, for the page that looks for its release."""

from __future__ import annotations

import logging

log = logging.getLogger("airlock.plugin")


def run_note(dag_id: str, run_id: str) -> str:
    """Return the note on a run; empty if there is none, or Airflow's database does not answer."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.exc import SQLAlchemyError

    query = select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
    try:
        with create_session() as session:
            run = session.scalar(query)
            return str(run.note or "") if run else ""
    except SQLAlchemyError as error:
        log.warning("the note of run %s could not be read: %s", run_id, type(error).__name__)
        return ""
