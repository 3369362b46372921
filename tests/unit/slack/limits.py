"""Slack's published limits, as a check of our own beside the models of slack_sdk.

Those models do not look at lengths of lists in a message, at empty texts, at tables or at ids that
occur twice. `problems` returns one sentence per broken limit, none if everything is kept. It knows
the blocks and elements we use and calls any other one a problem.

What Slack does not publish: how long a message may be in all. People were refused from 11,300
characters on; we stay under 10,000.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Part = Mapping[str, Any]
Problems = Iterator[str]

TOTAL, VIEW_BYTES = 10_000, 250_000
_ADDRESS = re.compile(r"https?://[^\s<>\"|]+")
_INPUTS = ("plain_text_input", "static_select", "users_select", "datetimepicker", "checkboxes")


def problems(blocks: Sequence[Part], surface: str = "message") -> list[str]:
    """Return every limit the blocks of a message or of a view break."""
    most = 50 if surface == "message" else 100
    breaches = [*_count("blocks", blocks, 1, most)]
    ids = Counter(block["block_id"] for block in blocks if "block_id" in block)
    breaches += [
        f"block_id {block_id!r} occurs twice" for block_id, times in ids.items() if times > 1
    ]
    if sum(block.get("type") == "table" for block in blocks) > 1:
        breaches.append("only one table is allowed")
    for number, block in enumerate(blocks):
        breaches += [f"block {number}: {problem}" for problem in _block(block, surface)]
    total = sum(length(text) for text in texts(blocks))
    if surface == "message" and total > TOTAL:
        breaches.append(f"all texts together have {total} characters, found more than {TOTAL}")
    return breaches


def message_problems(text: str, blocks: Sequence[Part]) -> list[str]:
    """Return every limit a message breaks."""
    return [*_long("text", text, 4000), *problems(blocks)]


def view_problems(view: Part) -> list[str]:
    """Return every limit a modal or a home breaks."""
    breaches = problems(view["blocks"], "view")
    breaches += _long("private_metadata", view.get("private_metadata", "-"), 3000)
    breaches += _long("callback_id", view.get("callback_id", "-"), 255)
    if len(json.dumps(view).encode()) > VIEW_BYTES:
        breaches.append("the view has more than 250 kB")
    if view["type"] == "home":
        return breaches + [
            f"a home has no {field}" for field in ("title", "submit", "close") if field in view
        ]
    for name in ("title", "submit", "close"):
        if name in view:
            breaches += [f"{name}: {problem}" for problem in _text(view[name], 24, "plain_text")]
    asks = any(block["type"] == "input" for block in view["blocks"])
    breaches += ["a modal needs a title"] if "title" not in view else []
    return breaches + (["a modal that asks needs submit"] if asks and "submit" not in view else [])


def length(text: str) -> int:
    """Return the length in UTF-16 units, which is never less than in characters."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def texts(part: Any) -> Iterator[str]:
    """Return every text people would see."""
    if isinstance(part, Mapping):
        if isinstance(part.get("text"), str):
            yield part["text"]
        for value in part.values():
            yield from texts(value)
    elif isinstance(part, list | tuple):
        for element in part:
            yield from texts(element)


def _block(block: Part, surface: str) -> Problems:
    yield from _long("block_id", block.get("block_id", "-"), 255)
    kinds: dict[str, Callable[[Part], Problems]] = {
        "header": lambda part: _text(part.get("text"), 150, "plain_text"),
        "section": _section,
        "context": _context,
        "actions": _actions,
        "rich_text": _rich,
        **({"table": _table} if surface == "message" else {"input": _input}),
    }
    kind = block.get("type", "none")
    if kind not in kinds:
        yield f"unknown type {kind!r} in a {surface}"
        return
    yield from kinds[kind](block)


def _section(block: Part) -> Problems:
    if "text" not in block and "fields" not in block:
        yield "neither text nor fields"
    if "text" in block:
        yield from _text(block["text"], 3000)
    if "fields" in block:
        yield from _count("fields", block["fields"], 1, 10)
        for field in block["fields"]:
            yield from _text(field, 2000)
    if "accessory" in block:
        yield from _button(block["accessory"])


def _context(block: Part) -> Problems:
    yield from _count("elements", block["elements"], 1, 10)
    for element in block["elements"]:
        yield from _text(element, 2000)


def _actions(block: Part) -> Problems:
    yield from _count("elements", block["elements"], 1, 25)
    ids = Counter(button.get("action_id") for button in block["elements"])
    yield from (
        f"action_id {action_id!r} occurs twice" for action_id, times in ids.items() if times > 1
    )
    for button in block["elements"]:
        yield from _button(button)


def _button(button: Part) -> Problems:
    if button.get("type") != "button":
        yield f"expected a button, found {button.get('type')!r}"
        return
    yield from _text(button.get("text"), 75, "plain_text")
    yield from _long("action_id", button.get("action_id", ""), 255)
    yield from _long("value", button.get("value", "-"), 2000)
    yield from _long("accessibility_label", button.get("accessibility_label", "-"), 75)
    if button.get("style", "primary") not in ("primary", "danger"):
        yield f"unknown style {button['style']!r}"
    if "url" in button:
        yield from _url(button["url"])


def _url(url: str) -> Problems:
    yield from _long("url", url, 3000)
    if not _ADDRESS.fullmatch(url):
        yield f"{url[:40]!r} is no address"


def _rich(block: Part) -> Problems:
    if not block.get("elements"):
        yield "rich text without elements"
    for element in block.get("elements", ()):
        if element["type"] == "rich_text_list":
            if element.get("style") not in ("bullet", "ordered"):
                yield "a list needs a style"
            yield from _rich({"elements": element["elements"]})
        elif element["type"] in ("rich_text_section", "rich_text_quote", "rich_text_preformatted"):
            yield from _rich_parts(element["elements"])
        else:
            yield f"unknown rich text {element['type']!r}"


def _rich_parts(parts: Sequence[Part]) -> Problems:
    if not parts:
        yield "an empty line of rich text"
    for part in parts:
        if part["type"] == "text":
            yield from _long("rich text", part["text"], 3000)
        elif part["type"] == "date":
            if not (isinstance(part["timestamp"], int) and part["format"] and part["fallback"]):
                yield "a date needs a timestamp, a format and a fallback"
        else:
            yield f"unknown part of rich text {part['type']!r}"


def _table(block: Part) -> Problems:
    yield from _count("rows", block["rows"], 1, 100)
    yield from _count("column_settings", block.get("column_settings", [None]), 1, 20)
    if len({len(row) for row in block["rows"]}) > 1:
        yield "rows of different lengths"
    for row in block["rows"]:
        yield from _count("cells", row, 1, 20)
        for cell in row:
            if cell.get("type") != "rich_text":
                yield f"a cell of type {cell.get('type')!r}"
            else:
                yield from _rich(cell)


def _input(block: Part) -> Problems:
    yield from _text(block.get("label"), 2000, "plain_text")
    element = block["element"]
    if element["type"] not in _INPUTS:
        yield f"unknown input {element['type']!r}"
    yield from _long("action_id", element.get("action_id", ""), 255)
    most = {"static_select": 100, "checkboxes": 10}.get(element["type"])
    if most:
        yield from _count("options", element["options"], 1, most)
        for option in element["options"]:
            yield from _text(option["text"], 75)
            yield from _long("option value", option["value"], 150)
    if not 0 <= element.get("min_length", 0) <= element.get("max_length", 3000) <= 3000:
        yield "an input takes 0 to 3,000 characters"


def _text(text: Part | None, limit: int, kind: str = "") -> Problems:
    if text is None or text.get("type") not in ("plain_text", "mrkdwn"):
        yield f"expected a text, found {text}"
        return
    if kind and text["type"] != kind:
        yield f"expected {kind}, found {text['type']}"
    yield from _long("text", text["text"], limit)


def _long(name: str, text: str, limit: int) -> Problems:
    if not 1 <= length(text) <= limit or not text.strip():
        yield f"{name} has {length(text)} characters, expected 1 to {limit}"


def _count(name: str, entries: Sequence[Any], least: int, most: int) -> Problems:
    if not least <= len(entries) <= most:
        yield f"{len(entries)} {name}, expected {least} to {most}"
