"""One release in a terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airlock.domain.clock import moment, time_left
from airlock.domain.number_format import NONE, number
from airlock.entrypoints.presentation.terminal import advised, say, table


def print_subject(view: dict[str, Any]) -> None:
    """Show what is about to be answered: the subject and what the gates measured."""
    subject = view["subject"]
    say(
        f"{view['model']} version {view['version']} into {view['environment']}, {view['tier']} risk"
    )
    say(f"subject {subject['digest']}")
    print_gates(view)
    print_waivers(view)
    _print_changed(view)


def print_gates(view: dict[str, Any]) -> None:
    """Show the gates with their numbers."""
    rows = [
        [
            gate["key"],
            gate["verdict"],
            gate["enforcement"],
            _measure(gate["measured"], gate["unit"]),
            f"{gate['limit']} {_measure(gate['threshold'], gate['unit'])}".strip()
            if gate["threshold"] is not None
            else NONE,
            number(gate["n"]),
            gate["message"],
        ]
        for gate in view["gates"]
    ]
    table(("gate", "verdict", "weight", "measured", "limit", "n", "message"), rows)


def print_waivers(view: dict[str, Any]) -> None:
    """Show who has accepted which result, until when, and what you could waive."""
    for waiver in view["waivers"]:
        ended = f" (void: {waiver['void']})" if waiver["void"] else ""
        say(
            f"{waiver['gate']} waived by {waiver['by']} until {waiver['until']}: "
            f"{waiver['why']}{ended}"
        )
    for key in view["youMayWaive"]:
        command = f'`airlock gate waive {view["id"]} {key} --until DAY --reason "..."`'
        say(advised(f"You may waive {key}: {command}"))


def _measure(value: float | None, unit: str) -> str:
    return f"{number(value)} {unit}".strip() if value is not None else NONE


def print_release(view: dict[str, Any]) -> None:
    """Show everything about a release."""
    place = f" at level {view['level']} of {len(view['levels'])}" if view["level"] else ""
    say(f"Release {view['id']} is {view['state']}{place}")
    if view["why"]:
        say(f"  {view['why']}")
    if view["afterRejection"]:
        say(f"  the same bytes were rejected before, as release {view['afterRejection']}")
    origin = view["origin"]
    say(f"requested by {view['requester']}, {view['openedAt']}, run {origin['runId']}")
    if view["deadline"]:
        left = time_left(moment(view["deadline"]), datetime.now(UTC))
        say(f"to be answered before {view['deadline']} ({left})")
    say()
    print_subject(view)
    _print_metrics(view)
    _print_levels(view)
    say()
    table(("what exactly is approved", ""), [[k, v] for k, v in view["subject"].items()])
    _print_grant(view)
    _print_emergency(view)


def _print_changed(view: dict[str, Any]) -> None:
    """Show what gates ask for now that asked for something else when they last said no."""
    rows = [
        [
            change["gate"],
            change["verdict"],
            change["release"],
            change["option"],
            change["then"],
            change["now"],
        ]
        for change in view["changedSinceFailure"]
    ]
    if rows:
        say("\nthese gates asked for something else when they last said no:")
        table(("gate", "said", "release", "option", "then", "now"), rows)


def _print_metrics(view: dict[str, Any]) -> None:
    if not view["metrics"]:
        return
    say()
    champion = f"champion v{view['championVersion']}" if view["championVersion"] else "no champion"
    rows = [
        [
            metric["metric"],
            number(metric["candidate"]),
            number(metric["champion"]),
            metric["direction"],
        ]
        for metric in view["metrics"]
    ]
    table(("metric", f"candidate v{view['version']}", champion, "better"), rows)


def _print_levels(view: dict[str, Any]) -> None:
    for level in view["levels"]:
        say(
            f"\nlevel {level['number']} ({level['name']}), needs {level['needs']}: {level['state']}"
        )
        for vote in level["votes"]:
            on_behalf = f" for {vote['behind']}" if vote["behind"] else ""
            say(
                f"  {vote['person']}{on_behalf}: {vote['decision']}, {vote['at']}: {vote['reason']}"
            )
            _print_conditions(vote["conditions"])
        for gap in level["missing"]:
            able = ", ".join(gap["candidates"]) or "nobody"
            say(f"  missing {gap['needs']}; may answer: {able}")
    if view["youMayAnswer"]:
        command = f'`airlock release approve {view["id"]} --reason "..."`'
        say(advised(f"\nYou may answer: {command}"))
    elif view["whyNot"]:
        say(f"\nYou cannot answer: {view['whyNot']}")


def _print_grant(view: dict[str, Any]) -> None:
    if view["grant"]:
        say()
        table(("grant", ""), [[key, value] for key, value in view["grant"].items()])


def _print_conditions(tied: dict[str, Any]) -> None:
    share, until = tied.get("max_traffic_share"), tied.get("expires_at")
    if share is not None:
        say(f"    at most {share:.1%} of the traffic")
    if tied.get("segments"):
        say(f"    only for {', '.join(tied['segments'])}")
    if until:
        say(f"    good until {until}")
    for finding in tied.get("findings", ()):
        say(f"    {finding['owner']} mends by {finding['due']}: {finding['text']}")


def _print_emergency(view: dict[str, Any]) -> None:
    glass = view["emergency"]
    if glass is None or glass["incident"] is None:
        return
    say(f"\nglass broken for {glass['incident']} by {' and '.join(glass['people'])}")
    review = glass["review"]
    if review is None:
        say(f"  {glass['missing']} more must agree; in all it takes {glass['needs']}")
    elif review["by"]:
        say(f"  reviewed by {review['by']}, {review['at']}")
    else:
        say(f"  a review is {'overdue since' if review['overdue'] else 'due by'} {review['due']}")
