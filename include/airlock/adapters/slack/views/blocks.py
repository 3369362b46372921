"""The parts a Slack message is made of, and how strange text is kept from becoming layout.

Rules:
* What people write, and names, is data. It goes into `plain`, `header` or rich text, which Slack
  does not parse. Where it has to stand in a sentence of ours (`mrkdwn`), it passes through `safe`
  first: nothing in it can then mention, link, format or start a line.
* Nobody's text carries control characters or turns the direction of writing: `clean`.
* Every text is clipped to Slack's limit. Lengths are counted as JavaScript does, which is never
  less than Python's. A message also has a limit as a whole, which Slack does not publish and which
  people met between 11,000 and 13,000 characters: `fitting` shows fewer things until it keeps it.
* `mrkdwn` is verbatim: Slack makes no link or mention of its own accord.
* Nothing is ever empty: Slack refuses empty texts, and a table's empty cell drops the message.

Pure functions: no network, no clock, no vendor library.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airlock.domain.clock import spelled
from airlock.domain.number_format import NONE as NONE

#: A block, an element or a text object, as JSON.
Part = dict[str, Any]

HEADER, SECTION, FIELD, CONTEXT, BUTTON, LABEL = 150, 3000, 2000, 2000, 75, 75
#: A message's text: above this Slack refuses to change it (`msg_too_long`).
TEXT = 4000
MESSAGE_BLOCKS, VIEW_BLOCKS, IN_CONTEXT = 50, 100, 10
#: All texts of a message together.
TOTAL = 9500
MORE = "\N{HORIZONTAL ELLIPSIS}"

_ACCOUNT = re.compile(r"[UW][A-Z0-9]{2,30}")
_ADDRESS = re.compile(r"https?://[!#-;=?-z~]{1,2500}")
#: Control characters, halves of a character, and what turns the direction of writing.
_STRANGE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
#: Formatting at the edge of a word; inside one Slack leaves it alone, except a backtick.
_FORMAT = re.compile(r"(?<![0-9A-Za-z])[*_~]|[*_~](?![0-9A-Za-z])|`")
#: An emoji's name between colons; two digits between them are a time of day.
_SHORTCODE = re.compile(r":(?!\d\d:)(?=[\w+'-]+:)")
_WEIGHING = frozenset({"text", "fallback", "format", "value", "url", "accessibility_label"})
_ALIKE = {
    "*": "\N{ASTERISK OPERATOR}",
    "_": "\N{FULLWIDTH LOW LINE}",
    "~": "\N{TILDE OPERATOR}",
    "`": "\N{MODIFIER LETTER GRAVE ACCENT}",
}


@dataclass(frozen=True, slots=True)
class Room:
    """How many things of each kind a message shows, and how much of what somebody said."""

    rows: int
    waivers: int
    changes: int
    answers: int
    reason_length: int


WIDE = Room(rows=20, waivers=6, changes=8, answers=10, reason_length=300)
ROOMS = (
    WIDE,
    Room(rows=20, waivers=4, changes=5, answers=6, reason_length=150),
    Room(rows=12, waivers=2, changes=3, answers=3, reason_length=80),
)


def length(text: str) -> int:
    """Return the length of a text as Slack counts it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def clean(text: object) -> str:
    """Return a text with times in words, without control characters and turned directions."""
    lines = spelled(str(text)).replace("\r\n", "\n").replace("\t", " ")
    return _STRANGE.sub("\N{REPLACEMENT CHARACTER}", lines).strip()


def clip(text: str, limit: int) -> str:
    """Return at most *limit* characters of a text, and say that there is more."""
    if length(text) <= limit:
        return text
    head = text.encode("utf-16-le")[: 2 * (limit - 1)].decode("utf-16-le", "ignore")
    return head.rstrip() + MORE


def one_line(text: object, limit: int) -> str:
    """Return a text on one line, clipped, never empty."""
    return clip(" ".join(clean(text).split()), limit) or NONE


def safe(text: object, limit: int = 80) -> str:
    """Return a text that means nothing but itself inside a sentence in mrkdwn.

    What is returned has at most *limit* characters, escapes included.
    """
    calm = _FORMAT.sub(lambda match: _ALIKE[match[0]], one_line(text, limit))
    calm = _SHORTCODE.sub("\N{RATIO}", calm)
    return bounded(calm.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"), limit)


def bounded(text: str, limit: int = TEXT) -> str:
    """Return at most *limit* characters of a sentence in mrkdwn, and no half of an escape."""
    if length(text) <= limit:
        return text
    return re.sub(r"&[a-z]*$", "", clip(text, limit).removesuffix(MORE)) + MORE


def listed(parts: Iterable[str], limit: int, total: int) -> str:
    """Join what fits of the first parts of *total*, and count the rest. *parts* are safe."""
    fits: list[str] = []
    for part in parts:
        if length(", ".join([*fits, part])) > limit - 20:
            break
        fits.append(part)
    left = total - len(fits)
    if not left:
        return ", ".join(fits)
    return f"{', '.join(fits)} and {left} more" if fits else f"{left} people"


def plain(text: object, limit: int = SECTION) -> Part:
    """Return a text that Slack shows as it is."""
    return {"type": "plain_text", "text": clip(clean(text), limit) or NONE, "emoji": False}


def mrkdwn(text: str) -> Part:
    """Return a sentence of ours; whatever is not ours in it has passed through `safe`."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def header(text: str) -> Part:
    """Return a headline."""
    return {"type": "header", "text": plain(" ".join(clean(text).split()), HEADER)}


def section(text: Part, **more: Any) -> Part:
    """Return a paragraph."""
    return {"type": "section", "text": text, **more}


def fields(pairs: Iterable[tuple[str, str]]) -> Part:
    """Return labelled values in two columns; at most ten, the values safe."""
    values = [mrkdwn(f"*{label}*\n{value}") for label, value in pairs][:10]
    return {"type": "section", "fields": values}


def context(*texts: Part) -> Part:
    """Return a small line."""
    return {"type": "context", "elements": list(texts)[:IN_CONTEXT]}


def actions(*buttons: Part | None) -> list[Part]:
    """Return a row of those buttons that are there; no row if none is."""
    there = [element for element in buttons if element is not None]
    return [{"type": "actions", "elements": there}] if there else []


def button(action: str, text: str, says: str, value: str, style: str = "") -> Part:
    """Return a button; *says* is what a screen reader says."""
    element = {
        "type": "button",
        "action_id": action,
        "text": plain(text, BUTTON),
        "value": value,
        "accessibility_label": one_line(says, LABEL),
    }
    return element | ({"style": style} if style else {})


def link_button(action: str, text: str, says: str, url: str, style: str = "") -> Part | None:
    """Return a button that opens a page; None if the address is none."""
    if not _ADDRESS.fullmatch(url):
        return None
    element = button(action, text, says, "", style)
    del element["value"]
    return element | {"url": url}


def link(url: str, label: str) -> str:
    """Return a link for a sentence in mrkdwn; only its label if the address is none."""
    if not _ADDRESS.fullmatch(url):
        return safe(label)
    return f"<{url.replace('&', '&amp;')}|{safe(label)}>"


def mention(account: str) -> str:
    """Return a mention of an account, or an empty text if it is none."""
    return f"<@{account}>" if _ACCOUNT.fullmatch(account) else ""


def rich(*elements: Part) -> Part:
    """Return text that is data all through."""
    return {"type": "rich_text", "elements": list(elements)}


def line(*parts: Part) -> Part:
    """Return one line of rich text."""
    return {"type": "rich_text_section", "elements": list(parts)}


def bullets(*lines: Part) -> Part:
    """Return a list of rich text."""
    return {"type": "rich_text_list", "style": "bullet", "elements": list(lines)}


def quote(text: object, limit: int) -> Part:
    """Return what somebody said."""
    return {"type": "rich_text_quote", "elements": [words(clip(clean(text), limit))]}


def words(text: str, **style: bool) -> Part:
    """Return words of rich text."""
    return {"type": "text", "text": text or NONE} | ({"style": style} if style else {})


def moment(stamp: object) -> datetime | None:
    """Return a time, or None if it is none."""
    try:
        parsed = datetime.fromisoformat(str(stamp))
    except ValueError:
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def utc(stamp: object) -> str:
    """Return a time in words, in UTC; safe in mrkdwn."""
    parsed = moment(stamp)
    return parsed.strftime("%d %b %Y, %H:%M UTC") if parsed else safe(stamp, 40)


def when(stamp: object) -> str:
    """Return a time for mrkdwn: Slack shows it in the reader's own time."""
    parsed = moment(stamp)
    if parsed is None:
        return safe(stamp, 40)
    return f"<!date^{int(parsed.timestamp())}^{{date_short_pretty}} {{time}}|{utc(stamp)}>"


def rich_when(stamp: object) -> Part:
    """Return a time for rich text, in the reader's own time."""
    parsed = moment(stamp)
    if parsed is None:
        return words(one_line(stamp, 40))
    shape = "{date_short_pretty} {time}"
    at = int(parsed.timestamp())
    return {"type": "date", "timestamp": at, "format": shape, "fallback": utc(stamp)}


def packed(**values: Any) -> str:
    """Return values as compact JSON, for a button or a form to carry."""
    return json.dumps(values, separators=(",", ":"))


def fitting(draw: Callable[[Room], list[Part]]) -> list[Part]:
    """Return the blocks of a message, drawn with the most room that Slack takes."""
    blocks: list[Part] = []
    for room in ROOMS:
        blocks = draw(room)
        if weight(blocks) <= TOTAL:
            break
    return numbered(blocks)


def weight(part: object) -> int:
    """Count the characters of text in blocks."""
    if isinstance(part, dict):
        return sum(
            length(value) if key in _WEIGHING and isinstance(value, str) else weight(value)
            for key, value in part.items()
        )
    return sum(weight(child) for child in part) if isinstance(part, list) else 0


def numbered(blocks: Sequence[Part], limit: int = MESSAGE_BLOCKS) -> list[Part]:
    """Give every block an id that is new whenever anything in the message is.

    Slack keeps what was typed or shown for a block whose id stays.
    """
    limited = list(blocks)[:limit]
    bytes_ = json.dumps(limited, sort_keys=True).encode()
    revision = hashlib.sha256(bytes_).hexdigest()[:10]
    return [{"block_id": f"{revision}-{n}", **block} for n, block in enumerate(limited)]
