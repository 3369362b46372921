"""What was measured, on a card: one table of gates and metrics, waivers, changed thresholds.

Rules:
* One table in a message, at most 20 rows, every cell rich text and none empty: Slack drops the
  whole message otherwise. What did not pass comes first, so clipping never hides it.
* `monospaced` says the same without a table, for when Slack refuses the table.
* Whoever approves sees what was waived, by whom and until when, and which gates asked for
  something else when they last said no.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from airlock.adapters.slack.views.blocks import (
    WIDE,
    Part,
    Room,
    bullets,
    clip,
    length,
    line,
    mrkdwn,
    one_line,
    rich,
    rich_when,
    section,
    words,
)
from airlock.adapters.slack.views.vote_trail import View, name
from airlock.domain.number_format import NONE, change, number

Row = tuple[str, str, str, str, str]

CELL, FIGURE = 60, 24
#: Rows kept for metrics when there are more gates than fit.
METRICS = 5
_HEAD: Row = ("Check", "Champion", "Candidate", "Threshold", "Result")
_MARKS = {
    "PASSED": "\N{WHITE HEAVY CHECK MARK} passed",
    "FAILED": "\N{CROSS MARK} failed",
    "ERRORED": "\N{BLACK QUESTION MARK ORNAMENT} could not tell",
    "WAIVED": "\N{WARNING SIGN}\N{VARIATION SELECTOR-16} waived",
}
_ORDER = ("FAILED", "ERRORED", "WAIVED")
_COUNTED = (("FAILED", "failed"), ("ERRORED", "could not be judged"), ("WAIVED", "waived"))
_WIDTHS = (30, 12, 12, 12, 18)
_LINES = 10


def summary(view: View) -> str:
    """Count the verdicts in words of ours."""
    gates = view.get("gates") or []
    if not gates:
        return "no gate was judged"
    counts = Counter(str(gate["verdict"]) for gate in gates)
    others = [f"{counts[verdict]} {label}" for verdict, label in _COUNTED if counts[verdict]]
    return ", ".join([f"{counts['PASSED']} of {len(gates)} gates passed", *others])


def table(view: View, room: Room = WIDE) -> Part:
    """Return gates and metrics as the one table a message may have."""
    rows = [_HEAD, *_rows(view, room.rows - 1)]
    cells = [
        [_cell(text, bold=n == 0 or column == 0) for column, text in enumerate(row)]
        for n, row in enumerate(rows)
    ]
    columns = [{"is_wrapped": True}, *({"align": "right"} for _ in range(3)), {"is_wrapped": True}]
    return {"type": "table", "rows": cells, "column_settings": columns}


def monospaced(view: View, room: Room = WIDE) -> list[Part]:
    """Return the same as the table in preformatted sections."""
    rows = [_HEAD, *_rows(view, room.rows - 1)]
    lines = [_padded(row) for row in rows]
    chunks = [lines[n : n + _LINES] for n in range(0, len(lines), _LINES)]
    return [section(mrkdwn("```" + "\n".join(chunk) + "```")) for chunk in chunks]


def _rows(view: View, room: int) -> list[Row]:
    gates = sorted(view.get("gates") or [], key=_rank)
    metrics = {str(metric["metric"]): metric for metric in view.get("metrics") or []}
    gate_metrics = {metric for gate in gates if (metric := _metric(gate)) in metrics}
    others = [metric for key, metric in metrics.items() if key not in gate_metrics]
    if len(gates) + len(others) > room:
        room -= 1  # for the line that says so
    visible = gates[: max(room - len(others), room - METRICS)]
    also = others[: room - len(visible)]
    rows = [_gate_row(gate, metrics) for gate in visible] + [_metric_row(metric) for metric in also]
    left = len(gates) + len(others) - len(rows)
    return [*rows, _row(f"and {left} more, on the page")] if left else rows or [_row(NONE)]


def _rank(gate: Mapping[str, Any]) -> int:
    verdict = gate["verdict"]
    return _ORDER.index(verdict) if verdict in _ORDER else len(_ORDER)


def _metric(gate: Mapping[str, Any]) -> str:
    """Return the metric a gate is about, or nothing."""
    return str(gate["key"]).partition(":")[2]


def _gate_row(gate: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Any]]) -> Row:
    unit = str(gate.get("unit") or "")
    about = metrics.get(_metric(gate))
    result = _MARKS.get(gate["verdict"], str(gate["verdict"]).lower())
    weight = "" if gate.get("enforcement", "hard") == "hard" else f", {gate['enforcement']}"
    return _row(
        gate["key"],
        _figure(about["champion"] if about else None),
        _figure(gate["measured"], unit),
        _limit(gate, unit),
        f"{result}{weight}",
    )


def _limit(gate: Mapping[str, Any], unit: str) -> str:
    sign = {"at least": "\N{GREATER-THAN OR EQUAL TO} ", "at most": "\N{LESS-THAN OR EQUAL TO} "}
    limit = _figure(gate["threshold"], unit)
    return limit if limit == NONE else sign.get(str(gate.get("limit")), "") + limit


def _metric_row(metric: Mapping[str, Any]) -> Row:
    return _row(
        metric["metric"],
        _figure(metric["champion"]),
        _figure(metric["candidate"]),
        NONE,
        change(metric)[1],
    )


def _row(check: object, *figures: str) -> Row:
    first, second, third, fourth = (one_line(text, FIGURE) for text in (*figures, *[NONE] * 4)[:4])
    return one_line(check, CELL), first, second, third, fourth


def _figure(value: float | None, unit: str = "") -> str:
    return f"{number(value)} {unit}".strip() if value is not None else NONE


def _cell(text: str, *, bold: bool) -> Part:
    return rich(line(words(text, bold=True) if bold else words(text)))


def _padded(row: Row) -> str:
    aligned = [_aligned(cell, column) for column, cell in enumerate(row)]
    text = "  ".join(aligned).rstrip().replace("`", "\N{MODIFIER LETTER GRAVE ACCENT}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _aligned(cell: str, column: int) -> str:
    width = _WIDTHS[column]
    text = clip(cell, width)
    pad = " " * (width - length(text))
    return text + pad if column in (0, len(_WIDTHS) - 1) else pad + text


def waivers(view: View, room: Room = WIDE) -> list[Part]:
    """Return the waivers with who gave each and until when, void ones too."""
    entries = list(view.get("waivers") or [])
    if not entries:
        return []
    visible = sorted(entries, key=lambda waiver: bool(waiver["void"]))[: room.waivers]
    lines = [_waiver(view, waiver, room.reason_length) for waiver in visible]
    return [rich(_title("Waived", len(entries), len(visible)), bullets(*lines))]


def _waiver(view: View, waiver: Mapping[str, Any], limit: int) -> Part:
    void = f" (void: {one_line(waiver['void'], 80)})" if waiver["void"] else ""
    return line(
        words(one_line(waiver["gate"], CELL), bold=True),
        words(f" by {one_line(name(view, waiver['by']), 60)} until "),
        rich_when(waiver["until"]),
        words(f": {one_line(waiver['why'], limit)}{void}"),
    )


def changed(view: View, room: Room = WIDE) -> list[Part]:
    """Return the options that gates have changed since they last failed."""
    changes = list(view.get("changedSinceFailure") or [])
    if not changes:
        return []
    lines = [_change(change) for change in changes[: room.changes]]
    title = "Asked for otherwise when it last said no"
    return [rich(_title(title, len(changes), len(lines)), bullets(*lines))]


def _change(change: Mapping[str, Any]) -> Part:
    then, now = (_option(change[key]) for key in ("then", "now"))
    return line(
        words(one_line(change["gate"], CELL), bold=True),
        words(
            f" {one_line(change['option'], 40)}: {then} then, {now} now "
            f"(did not pass in {one_line(change['release'], 40)})"
        ),
    )


def _option(value: object) -> str:
    if value is None:
        return "not set"
    return one_line(value if isinstance(value, str) else json.dumps(value, default=str), 40)


def _title(text: str, total: int, visible: int) -> Part:
    more = f" ({total - visible} more on the page)" if total > visible else ""
    return line(words(f"\N{WARNING SIGN}\N{VARIATION SELECTOR-16} {text}{more}", bold=True))


def blocking(view: View, most: int = 6) -> Sequence[Part]:
    """Return the gates that block a release, with their messages."""
    gates = [gate for gate in view.get("gates") or [] if gate["verdict"] in ("FAILED", "ERRORED")]
    if not gates:
        return []
    lines = [
        line(
            words(one_line(gate["key"], CELL), bold=True),
            words(f" {_MARKS[gate['verdict']]}: {one_line(gate['message'], 240)}"),
        )
        for gate in sorted(gates, key=_rank)[:most]
    ]
    return [rich(_title("Did not pass", len(gates), len(lines)), bullets(*lines))]
