"""HTML for the report: everything escaped, one style sheet inside, nothing loaded, no script."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from airlock_evidence.words import in_words

STYLE = """
:root { --ink: #1b2430; --quiet: #566273; --edge: #cfd6df; --soft: #f3f5f8;
  --good: #0f6b3c; --good-back: #dff3e7; --bad: #a3201d; --bad-back: #fbe4e2;
  --wait: #7a4b00; --wait-back: #fdefd2; --calm: #475364; --calm-back: #e6eaf0; }
* { box-sizing: border-box; }
html { background: #e9ecf1; }
body { margin: 0 auto; max-width: 62rem; padding: 2.6rem 3rem 3.5rem; background: #fff;
  color: var(--ink); overflow-wrap: break-word;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
header { border-bottom: 3px solid var(--ink); padding-bottom: 1rem; margin-bottom: 1.4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: .2rem 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; padding-bottom: .25rem;
  border-bottom: 1px solid var(--edge); break-after: avoid; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; break-after: avoid; }
p { margin: .35rem 0; }
.over { text-transform: uppercase; letter-spacing: .08em; font-size: .8rem; color: var(--quiet); }
.quiet { color: var(--quiet); }
.pill { display: inline-block; border-radius: 1rem; padding: .05rem .7rem; font-size: .87rem;
  font-weight: 600; color: var(--calm); background: var(--calm-back); white-space: nowrap; }
.good { color: var(--good); background: var(--good-back); }
.bad { color: var(--bad); background: var(--bad-back); }
.wait { color: var(--wait); background: var(--wait-back); }
.lead { background: var(--soft); border-left: 4px solid var(--ink); padding: .8rem 1.1rem; }
.alarm { background: var(--bad-back); border-left: 4px solid var(--bad); padding: .8rem 1.1rem;
  margin: .6rem 0; break-inside: avoid; }
dl { display: grid; grid-template-columns: 12rem minmax(0, 1fr); gap: .3rem 1.2rem; margin: 0; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
code { font: .9em ui-monospace, SFMono-Regular, Menlo, "Liberation Mono", monospace;
  overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; margin: .4rem 0 .8rem; font-size: .93rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .7rem .4rem 0;
  border-bottom: 1px solid var(--edge); overflow-wrap: break-word; }
td:last-child { overflow-wrap: anywhere; }
thead th { color: var(--quiet); font-weight: 400; font-size: .85rem; border-bottom-width: 2px;
  overflow-wrap: normal; }
tbody th { font-weight: 600; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.time { white-space: nowrap; }
.vote { border: 1px solid var(--edge); border-left: 4px solid var(--good); padding: .6rem .9rem;
  margin: .5rem 0; break-inside: avoid; }
.vote.no { border-left-color: var(--bad); }
.vote.void { border-left-color: var(--edge); color: var(--quiet); }
.vote blockquote { margin: .3rem 0 .4rem; white-space: pre-line; overflow-wrap: anywhere; }
.vote p { margin: 0; }
ul { margin: .3rem 0; padding-left: 1.2rem; }
footer { margin-top: 2.5rem; padding-top: .8rem; border-top: 1px solid var(--edge);
  color: var(--quiet); font-size: .87rem; }
@media (max-width: 45rem) {
  body { padding: 1.2rem; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: .4rem; }
  section { overflow-x: auto; }
  td:last-child { overflow-wrap: break-word; min-width: 12rem; }
}
@page { size: A4; margin: 16mm 14mm; }
@media print {
  html, body { background: #fff; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  .pill, .lead, .alarm { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2 { margin-top: 1.4rem; }
}
"""

_TONES = {
    "PROMOTED": "good",
    "APPROVED": "good",
    "PROMOTING": "good",
    "AWAITING_APPROVAL": "wait",
    "REQUESTED": "wait",
    "REJECTED": "bad",
    "BLOCKED": "bad",
    "EXPIRED": "bad",
    "ROLLED_BACK": "bad",
    "PASSED": "good",
    "WAIVED": "wait",
    "FAILED": "bad",
    "ERRORED": "bad",
}


class Markup(str):
    """HTML that is already safe."""


def text(value: Any) -> Markup:
    """Return a value as safe HTML, times in words; what is `Markup` stays as it is."""
    return value if isinstance(value, Markup) else Markup(html.escape(in_words(str(value))))


def code(value: Any) -> Markup:
    """Return a value people copy."""
    return Markup(f"<code>{text(value)}</code>")


def pill(word: str, tone: str = "") -> Markup:
    """Return a state or a verdict."""
    kind, label = tone or _TONES.get(word, ""), word.replace("_", " ").lower()
    return Markup(f'<span class="pill {kind}">{text(label)}</span>')


def pairs(rows: Iterable[tuple[Any, Any]]) -> str:
    """Return a list of names and values."""
    return "<dl>\n" + "".join(f"<dt>{text(k)}</dt><dd>{text(v)}</dd>\n" for k, v in rows) + "</dl>"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], numbers: Sequence[int] = ()) -> str:
    """Return a table whose first column names the row; *numbers* are columns of numbers."""

    def cell(tag: str, column: int, value: Any) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        if tag == "td" and column == 0:
            tag, scope = "th", ' scope="row"'
        number = ' class="num"' if column in numbers else ""
        return f"<{tag}{scope}{number}>{text(value)}</{tag}>"

    def line(tag: str, row: Sequence[Any]) -> str:
        return f"<tr>{''.join(cell(tag, at, value) for at, value in enumerate(row))}</tr>\n"

    body = "".join(line("td", row) for row in rows)
    return f"<table>\n<thead>{line('th', head)}</thead>\n<tbody>\n{body}</tbody>\n</table>"


def section(title: str, *parts: str) -> str:
    """Return a part of the report; nothing if there is nothing in it."""
    body = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{text(title)}</h2>\n{body}\n</section>\n" if body else ""


def paragraph(value: Any, kind: str = "") -> str:
    """Return one paragraph."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{text(value)}</p>"


def bullets(values: Iterable[Any]) -> str:
    """Return a list."""
    items: list[str] = [f"<li>{text(value)}</li>\n" for value in values]
    return f"<ul>\n{''.join(items)}</ul>" if items else ""


def page(title: str, body: str) -> str:
    """Return a whole document."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}</body>\n</html>\n"
    )
