"""Refuse names that say nothing: pronouns and participles where a noun belongs.

`python -m tests.names [PATH...]` prints each place and ends with 1 if there is one. Everything
that is bound counts: variables, parameters, attributes, fields, functions and classes.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support import ROOT

FOLDERS = ("dags", "include", "plugins", "tests")
_WORDS = (
    "one ones it its they them those these me mine theirs thing things who whom whose which what "
    "found said told known given asked made wanted kept judged seen done taken shown held"
)
REFUSED = frozenset(_WORDS.split())


def bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node binds."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            yield name
        case ast.arg(arg=name):
            yield name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name


def refused(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and name of what a file binds and should not."""
    for node in ast.walk(ast.parse(path.read_text())):
        for name in bound(node):
            if name.strip("_").lower() in REFUSED:
                yield getattr(node, "lineno", 0), name


def main(places: list[str]) -> int:
    """Print every refused name below *places*, or below all code; return the exit code."""
    count = 0
    for place in places or FOLDERS:
        above = ROOT / place
        for path in [above] if above.is_file() else sorted(above.rglob("*.py")):
            for line, name in refused(path):
                count += 1
                print(f"{path.relative_to(ROOT)}:{line}: {name} says nothing; name what it is")
    print(f"{count} names to change." if count else "Every name says what it is.")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
