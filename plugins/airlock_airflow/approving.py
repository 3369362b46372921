"""One level of approval as a task: it parks until Airlock's database says the level is decided.

Order, in `execute` and whenever the task is woken: look; if undecided write the Required Action,
note in Airlock's database that this task waits, look again, park. So a decision at any moment is
either seen or rings the bell. The bell's payload is never read: only the database decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airlock.domain.clock import spelled
from airlock_airflow import edge, waiting
from airlock_airflow.links import ReleaseLink

if TYPE_CHECKING:
    from airlock.domain.approval.release import Release

#: Airflow 3.3 can fail a task that is woken while its parking process is being reaped; the retry
#: finds the same decision.
WAIT_RETRIES = 5
_SHORTLY = timedelta(seconds=5)


class ApprovalGateOperator(BaseOperator):
    """Wait until one level of the release is decided, holding no worker slot.

    :param level: which level, counted from 1.
    :param release: the release's id; by default the release this DAG run has opened.
    """

    template_fields = ("release",)
    ui_color = "#fce8e6"
    operator_extra_links = (ReleaseLink(),)

    def __init__(self, *, level: int, release: str = "", **kwargs: Any) -> None:
        defaults = {"retries": WAIT_RETRIES, "retry_delay": _SHORTLY, "trigger_rule": "none_failed"}
        super().__init__(**{**defaults, **kwargs})
        if level < 1:
            raise ValueError(f"level counts from 1, found {level}")
        self.level = level
        self.release = release

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Look, and wait if it is not decided yet."""
        return self._look(context)

    def resume(
        self, context: Mapping[str, Any], event: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Look again. Who woke the task, and with what, does not matter: *event* is not read."""
        return self._look(context)

    def _look(self, context: Mapping[str, Any]) -> dict[str, Any]:
        with edge.translated(context):
            release_id = self.release or release_of(context).id
            before = _view(release_id)
            if self.level > len(before["levels"]):
                edge.skip(f"tier {before['tier']} has {len(before['levels'])} levels: not needed")
            if _is_undecided(before, self.level):
                self._announce(context, before)
                _park(context, release_id, self.level)
                # Read again: a decision between the first look and the parking must not be lost.
                before = _view(release_id)
                if _is_undecided(before, self.level):
                    self.log.info("waiting for level %s of %s", self.level, release_id)
                    waiting.park("resume")
            return self._decided(before)

    def _announce(self, context: Mapping[str, Any], view: Mapping[str, Any]) -> None:
        user = edge.settings().service_user_id
        if not user:
            from airlock.domain.errors import Unreachable

            raise Unreachable(
                "AIRLOCK_SERVICE_USER_ID is not set, so nobody could be woken",
                next_step="`airlock up` sets it once Airflow's users exist.",
            )
        waiting.announce(
            context["ti"].id,
            subject=_subject(view, self.level),
            body=_body(view, self.level),
            service_user_id=user,
        )

    def _decided(self, view: Mapping[str, Any]) -> dict[str, Any]:
        level = view["levels"][self.level - 1]
        if level["state"] == "complete":
            people = [f"{vote['person']}: {vote['reason']}" for vote in level["votes"]]
            return answer("approved", view["version"], "; ".join(people), view["id"])
        if level["state"] == "rejected":
            return answer("rejected", view["version"], view["why"], view["id"])
        edge.skip(f"refused: release {view['id']} is {view['state']} ({view['why']})")


def _view(release_id: str) -> dict[str, Any]:
    from airlock.services.queries import releases

    airlock = edge.airlock()
    return releases.show(airlock.store, airlock.keyring, release_id, None)


def _is_undecided(view: Mapping[str, Any], level: int) -> bool:
    still_open = view["state"] in ("REQUESTED", "AWAITING_APPROVAL")
    return still_open and view["levels"][level - 1]["state"] in ("open", "waiting")


def _park(context: Mapping[str, Any], release_id: str, level: int) -> None:
    """Have the decider remember whom to wake; it forgets the task once it was woken."""
    from airlock.domain.evidence.proposals import Kind

    body = {"release": release_id, "level": level, "task": context["ti"].task_id}
    edge.airlock().proposals.submit(Kind.PARK, edge.origin(context), body)


def _subject(view: Mapping[str, Any], level: int) -> str:
    at = view["levels"][level - 1]
    return (
        f"Release {view['id']}: {view['model']} version {view['version']}, "
        f"level {level} ({at['name']})"
    )


def _body(view: Mapping[str, Any], level: int) -> str:
    at = view["levels"][level - 1]
    return "\n\n".join(
        (
            f"**{at['name']}** has to agree: {at['needs']}. Tier {view['tier']}, requested by "
            f"{view['requester']}.",
            f"Answer on the page **[Releases](/airlock/releases/{view['id']})**, or with "
            f'`airlock release approve {view["id"]} --reason "..."`.',
            *(
                f"The gate **{waiver['gate']}** did not pass: {waiver['by']} waived it until "
                f"{spelled(waiver['until'])}. Why is on the page."
                for waiver in view["waivers"]
                if not waiver["void"]
            ),
            "Nothing can be answered here: this entry only shows that the run waits.",
        )
    )


def release_of(context: Mapping[str, Any]) -> Release:
    """Return the release this DAG run has opened, or skip the task if it has opened none."""
    with edge.airlock().store.begin() as work:
        release = work.by_origin(edge.origin(context))
    if release is None:
        edge.skip("no release was opened in this run")
    return release


def answer(word: str, version: str, why: str, release: str | None = None) -> dict[str, Any]:
    """Return what the tasks of a release leave behind for people to read."""
    return {"outcome": word, "release": release, "version": version, "why": spelled(why)}
