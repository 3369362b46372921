"""Which files of the repository outside its folder a model's code uses, found without running it.

Followed, through every file reached:
* `import` and `from ... import`, absolute (below `include/` and beside the file, which is where a
  training child looks) and relative, with each package's `__init__.py`, in `if` and `try` as well;
* `importlib.import_module("...")` and `__import__("...")` with a literal name;
* literal names of files: as they stand, and as the end of `a / "b" / "c"` and `join(a, "b", "c")`,
  looked for beside the file, in the folders above it, in `include/` and in the repository's root.

Not covered, because nothing in the text says it: names that are computed, `exec` of text, changes
of `sys.path`, entry points, other programs that are started, and compiled caches of Python.
"""

from __future__ import annotations

import ast
import importlib.machinery
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SUFFIXES = tuple(importlib.machinery.all_suffixes())
_LARGEST = 4_000_000
_MOST_FILES = 5_000
_LONGEST_NAME = 300
_SKIPPED = frozenset({"__pycache__", ".git", ".venv", ".airlock"})


@dataclass(frozen=True, slots=True)
class Reach:
    """Paths from the root of the checkout, and what could not be followed, as sentences."""

    files: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()


def imported(root: Path, folder: str) -> Reach:
    """Return the files outside *folder* that its Python files use, in the checkout *root*."""
    root = root.resolve()
    inside = root / folder
    todo = sorted(path for path in inside.rglob("*.py") if path.is_file())
    # Python runs the packages around a module before the module itself.
    around = [place / "__init__.py" for place in inside.parents if place.is_relative_to(root)]
    todo += [path for path in around if path.is_file()]
    reached, unclear = set(todo), []
    while todo:
        path = todo.pop()
        if len(reached) > _MOST_FILES:
            unclear.append(f"{folder} uses more than {_MOST_FILES} files")
            break
        try:
            names = _used(path, root)
        except (SyntaxError, ValueError, RecursionError, OSError, MemoryError) as error:
            unclear.append(f"{_relative(path, root)} cannot be read as Python ({error})")
            continue
        for name in names:
            if name not in reached and not _SKIPPED & {*name.parts[len(root.parts) :]}:
                reached.add(name)
                if name.suffix == ".py":
                    todo.append(name)
    outside = (path for path in reached if not path.is_relative_to(inside))
    return Reach(tuple(sorted(_relative(path, root) for path in outside)), tuple(unclear))


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _used(path: Path, root: Path) -> set[Path]:
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"larger than {_LARGEST} bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(path.read_bytes())
    absolute = (root / "include", path.parent)
    files: set[Path] = set()
    for node in ast.walk(tree):
        for bases, names in _modules(node, path, absolute):
            for base in bases:
                if base.is_relative_to(root):
                    files |= {*_module(base, names)}
        files |= {*_named_files(node, path, root)}
    return files


def _modules(
    node: ast.AST, path: Path, absolute: tuple[Path, ...]
) -> Iterator[tuple[tuple[Path, ...], list[str]]]:
    """Yield where to look and the parts of each module that *node* imports."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield absolute, alias.name.split(".")
    elif isinstance(node, ast.ImportFrom):
        bases = absolute
        if node.level:
            bases = (path.parent if node.level == 1 else path.parents[node.level - 1],)
        parts = node.module.split(".") if node.module else []
        for alias in node.names:
            yield bases, [*parts, *([] if alias.name == "*" else [alias.name])]
    elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            level = len(first.value) - len(first.value.lstrip("."))
            bases = (path.parents[level - 1],) if level else absolute
            yield bases, [part for part in first.value.split(".") if part]


def _called(node: ast.Call) -> str:
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def _module(base: Path, parts: list[str]) -> Iterator[Path]:
    """Yield the files Python runs for a module, as far as they are below *base*."""
    yield from _files(base, "__init__") if not parts else ()
    for part in parts:
        yield from _files(base, part)
        base = base / part
        if not base.is_dir():
            return
        yield from _files(base, "__init__")


def _files(base: Path, stem: str) -> Iterator[Path]:
    for suffix in _SUFFIXES:
        path = base / f"{stem}{suffix}"
        if path.is_file():
            yield path


def _named_files(node: ast.AST, path: Path, root: Path) -> Iterator[Path]:
    """Yield the files that a literal, or the literal end of a joined path, names."""
    above = [place for place in path.parents if place.is_relative_to(root)]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        name, bases = node.value, [path.parent, root / "include", root]
    else:
        name, bases = "/".join(_joined(node)), [*above, root / "include"]
    if not 2 < len(name) <= _LONGEST_NAME or "\0" in name or "\n" in name:
        return
    for base in bases:
        file = Path(*_normal(base / name.lstrip("/")))
        if file.is_relative_to(root) and file != root and file.is_file():
            yield file
    if name.startswith("/") and Path(name).is_relative_to(root) and Path(name).is_file():
        yield Path(name)


def _normal(path: Path) -> list[str]:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and len(parts) > 1:
            parts.pop()
        elif part != "..":
            parts.append(part)
    return parts


def _joined(node: ast.AST) -> list[str]:
    """Return the literal parts at the end of `x / "a" / "b"`, `join(x, "a")`, `x.joinpath("a")`."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        last = _text(node.right)
        return [] if last is None else [*_joined(node.left), last]
    if isinstance(node, ast.Call) and _called(node) in ("join", "joinpath", "Path", "PurePath"):
        parts: list[str] = []
        for argument in node.args:
            text = _text(argument)
            parts = [] if text is None else [*parts, text]
        return parts
    return []


def _text(node: ast.AST) -> str | None:
    plain = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return node.value if plain else None  # type: ignore[attr-defined]
