"""Where a task's page in Airflow links to: what Airlock keeps of the run, measured and decided.

A link is made when the task ends, whatever its end, so a gate that said no has it too. It names the
run, not the release, because gates end before the release is opened; Airlock finds the one by the
other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

PAGE = "/airlock/releases"


class ReleaseLink(BaseOperatorLink):
    """The release of this run, or the one the operator was given."""

    name = "Release"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address of the page."""
        release = getattr(operator, "release", "")
        return f"{PAGE}/{quote(release, safe='')}" if release else _of_run(ti_key)


class EvidenceLink(BaseOperatorLink):
    """All gates of this run: what each measured, its limit, and the evidence behind it."""

    name = "Evidence"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address of the page, at its table of gates."""
        return f"{_of_run(ti_key)}#gates"


def _of_run(ti_key: TaskInstanceKey) -> str:
    return f"{PAGE}?{urlencode({'dag': ti_key.dag_id, 'run': ti_key.run_id})}"
