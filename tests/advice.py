"""Every next step of the product, read from its source: what a refusal tells people to do.

`next_steps()` follows a `next_step=` to its texts: through constants, conditions, tables, local
names, and arguments of functions of the same file. What is handed on from another error has no text
of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from tests.support import ROOT

PLACES = ("include", "plugins", "dags")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class NextStep:
    """One text, with the place of the `next_step=` that prints it; no text: handed on."""

    place: str
    text: str


def next_steps() -> tuple[NextStep, ...]:
    """Return each text of each `next_step=` of the product."""
    paths = (path for path in sources() if "next_step=" in path.read_text("utf-8"))
    return tuple(step for path in paths for step in Source(path).next_steps())


def sources() -> list[Path]:
    """Return the files of the product."""
    return sorted(path for place in PLACES for path in (ROOT / place).rglob("*.py"))


@cache
def source(path: Path) -> Source:
    """Return a file that another imports a text from: each is read once."""
    return Source(path)


class Source:
    """One file, whose expressions can be followed to their texts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text("utf-8"))

    def next_steps(self) -> Iterator[NextStep]:
        """Yield the texts of the file's `next_step=`."""
        for function, keyword in self._keywords(self.tree, None):
            place = f"{self.path.relative_to(ROOT)}:{keyword.value.lineno}"
            texts = dict.fromkeys(self.texts(keyword.value, function))
            for text in texts or [""]:
                yield NextStep(place, text)

    def _keywords(
        self, node: ast.AST, function: ast.AST | None
    ) -> Iterator[tuple[ast.AST | None, ast.keyword]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.keyword) and child.arg == "next_step":
                yield function, child
            inner = child if isinstance(child, _FUNCTIONS) else function
            yield from self._keywords(child, inner)

    def texts(self, node: ast.AST | None, function: ast.AST | None) -> list[str]:
        """Return every text an expression can have."""
        if isinstance(node, ast.Name):
            return self._named(node.id, function)
        if isinstance(node, ast.Call):
            return self._called(node, function)
        return self._built(node, function)

    def _built(self, node: ast.AST | None, function: ast.AST | None) -> list[str]:
        match node:
            case ast.Constant(value=str(text)):
                return [text] if text else []
            case ast.JoinedStr():
                return self._joined(node, function)
            case ast.BinOp(left=left, right=right):
                ends = self.texts(right, function) or ["{…}"]
                return [a + b for a in self.texts(left, function) or ["{…}"] for b in ends]
            case ast.IfExp(body=one, orelse=other):
                return [text for value in (one, other) for text in self.texts(value, function)]
            case ast.BoolOp(values=values) | ast.Dict(values=values):
                return [text for value in values for text in self.texts(value, function)]
            case ast.Subscript(value=value):
                return self.texts(value, function)
        return []

    def _called(self, node: ast.Call, function: ast.AST | None) -> list[str]:
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in self.functions:
                return self._returned(self.functions[name])
            case ast.Call(func=ast.Name(id=name)):
                return self._imported(name)
            case ast.Call(func=ast.Attribute(attr="join"), args=[values]):
                return [f"{text} …" for text in self.texts(values, function)]
        return []

    def _joined(self, node: ast.JoinedStr, function: ast.AST | None) -> list[str]:
        whole = [""]
        for part in node.values:
            ends = [_value(part)]
            if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name):
                ends = self.texts(part.value, None) or ends  # a constant of the file
            whole = [text + end for text in whole for end in ends]
        return whole

    def _named(self, name: str, function: ast.AST | None) -> list[str]:
        """Return what a name stands for: set here, given by callers, or a constant."""
        if function is not None:
            assigned = [value for value in _assigned(function, name) if value is not None]
            if assigned:
                return [text for value in assigned for text in self.texts(value, function)]
            if name in _parameters(function):
                return self._given(function, name)
        if name in self.constants:
            return self.texts(self.constants[name], None)
        return self._imported(name)

    def _given(self, function: ast.AST, name: str) -> list[str]:
        assert isinstance(function, _FUNCTIONS)
        names = [one for one in _parameters(function) if one not in ("self", "cls")]
        position = names.index(name)
        texts = []
        for caller, call in _calls(self.tree, None, function.name):
            if caller is function or function.name == "__init__":
                continue
            value = next((word.value for word in call.keywords if word.arg == name), None)
            if value is None and position < len(call.args):
                value = call.args[position]
            texts += self.texts(value, caller)
        return texts

    def _returned(self, function: ast.AST) -> list[str]:
        values = (node.value for node in ast.walk(function) if isinstance(node, ast.Return))
        return [text for value in values for text in self.texts(value, function)]

    def _imported(self, name: str) -> list[str]:
        """Return the texts of a constant or a function of another file."""
        for node in self.tree.body:
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            if name in {alias.asname or alias.name for alias in node.names}:
                path = ROOT / "include" / (node.module.replace(".", "/") + ".py")
                other = source(path) if path.is_file() else self
                if name in other.functions:
                    return other._returned(other.functions[name])
                return other._named(name, None) if other is not self else []
        return []

    @cached_property
    def functions(self) -> dict[str, ast.AST]:
        return {node.name: node for node in ast.walk(self.tree) if isinstance(node, _FUNCTIONS)}

    @cached_property
    def constants(self) -> dict[str, ast.AST]:
        found: dict[str, ast.AST] = {}
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = node.value
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
                found[node.target.id] = node.value
        return found


def _value(part: ast.AST) -> str:
    """Return a piece of an f-string; what is put in stands as its last name."""
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    match part.value:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Call(func=ast.Name(id=name)):
            return f"{{{name}}}"
    return "{…}"


def _parameters(function: ast.AST) -> list[str]:
    assert isinstance(function, _FUNCTIONS)
    arguments = function.args
    return [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def _assigned(function: ast.AST, name: str) -> Iterator[ast.AST | None]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name) and target.id == name:
                    yield node.value


def _calls(
    node: ast.AST, function: ast.AST | None, name: str
) -> Iterator[tuple[ast.AST | None, ast.Call]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            called = child.func
            if name in (getattr(called, "id", None), getattr(called, "attr", None)):
                yield function, child
        yield from _calls(child, child if isinstance(child, _FUNCTIONS) else function, name)
