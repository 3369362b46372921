"""What Slack sends, read with care: who, from where, and what was seen when it was sent.

Rules:
* Who it was is in the request itself: the id of the account, never its name, its e-mail address or
  anything a form carried along.
* A button and a form say only what their reader was looking at (`Seen`). They are read strictly,
  and whoever gets them checks every word of it again.
* Whatever is not where it belongs reads as nothing; an odd shape is refused, never guessed at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from airlock.domain.errors import Refused

Payload = Mapping[str, Any]

_SHAPES = {
    "release": r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}",
    "digest": r"sha256:[0-9a-f]{64}",
    "decision": r"approve|reject",
}
_MOST = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Where a request comes from. *team*: the organisation if there is one, else the workspace;
    *home*: the workspace of the account, if it is said."""

    app: str
    team: str
    account: str
    home: str = ""
    channel: str = ""
    trigger: str = ""
    enterprise: bool = False


def sender(payload: Payload) -> Sender:
    """Read who sent a payload, of whatever kind it is."""
    if "command" in payload:
        return _of_command(payload)
    if payload.get("type") == "event_callback":
        return _of_event(payload)
    enterprise = text(payload, "enterprise", "id") or text(payload, "team", "enterprise_id")
    return Sender(
        app=text(payload, "api_app_id"),
        team=enterprise or text(payload, "team", "id"),
        account=text(payload, "user", "id"),
        home=text(payload, "user", "team_id"),
        channel=text(payload, "channel", "id") or text(payload, "container", "channel_id"),
        trigger=text(payload, "trigger_id"),
        enterprise=bool(enterprise),
    )


def _of_command(payload: Payload) -> Sender:
    enterprise = text(payload, "enterprise_id")
    return Sender(
        app=text(payload, "api_app_id"),
        team=enterprise or text(payload, "team_id"),
        account=text(payload, "user_id"),
        channel=text(payload, "channel_id"),
        trigger=text(payload, "trigger_id"),
        enterprise=bool(enterprise),
    )


def _of_event(payload: Payload) -> Sender:
    enterprise = text(payload, "enterprise_id") or text(payload, "context_enterprise_id")
    return Sender(
        app=text(payload, "api_app_id"),
        team=enterprise or text(payload, "team_id"),
        account=text(payload, "event", "user"),
        enterprise=bool(enterprise),
    )


def text(payload: Any, *path: str) -> str:
    """Return the text at a place, or nothing."""
    for name in path:
        if not isinstance(payload, Mapping):
            return ""
        payload = payload.get(name)
    return payload if isinstance(payload, str) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedVersion:
    """The version a person reviewed; *decision* is what the button was for."""

    release: str
    round: int
    level: int
    digest: str
    decision: str = ""

    @classmethod
    def of(cls, encoded: str, decision: str = "") -> Self:
        """Read the value of a button, or what a form carried along.

        Raises:
            Refused: if it is not one of ours.
        """
        try:
            document = json.loads(encoded)
        except (ValueError, RecursionError):
            document = None
        values = {"decision": decision, **document} if isinstance(document, dict) else {}
        if decision:
            values["decision"] = decision
        if values.keys() != cls.__dataclass_fields__.keys() or not _is_ours(values):
            raise Refused(
                "this button or form is not one of Airlock's, or of another version",
                next_step="Use the newest message about the release, or its page in Airflow.",
            )
        return cls(**values)


def _is_ours(values: Mapping[str, Any]) -> bool:
    words = all(
        isinstance(values[name], str) and re.fullmatch(shape, values[name])
        for name, shape in _SHAPES.items()
    )
    counts = (values["round"], values["level"])
    return words and all(type(count) is int and 0 <= count <= _MOST for count in counts)


def pressed(payload: Payload) -> tuple[str, str]:
    """Return (action id, value) of the button that was pressed; empty if there is not one."""
    actions = payload.get("actions")
    if not isinstance(actions, list) or len(actions) != 1:
        return "", ""
    return text(actions[0], "action_id"), text(actions[0], "value")


def field(payload: Payload, name: str) -> Any:
    """Return the value of a form's field: text, choice, account or time; None if empty."""
    node: Any = payload
    for step in ("view", "state", "values", name, name):
        node = node.get(step) if isinstance(node, Mapping) else None
    if not isinstance(node, Mapping):
        return None
    if isinstance(node.get("selected_option"), Mapping):
        return node["selected_option"].get("value")
    kinds = ("value", "selected_user", "selected_date_time", "selected_options")
    return next((node[kind] for kind in kinds if node.get(kind) is not None), None)


def words(payload: Payload, name: str) -> str:
    """Return the text typed into a field, or chosen there."""
    value = field(payload, name)
    return value.strip() if isinstance(value, str) else ""
