"""The documents hold together: what they link to and name exists, and README stays short."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from airlock.domain.approval.states import State
from airlock.domain.gates import Verdict
from tests.bench.__main__ import MODULES
from tests.support import ROOT

pytestmark = pytest.mark.unit

README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    *DOCS,
    *sorted((ROOT / "deploy").rglob("*.md")),
    *sorted((ROOT / "include/models").rglob("*.md")),
]
#: A decision names the files of its day, so its paths are not held against today's tree.
TODAY = [page for page in PAGES if "adr" not in page.parts]
#: Files that a reader of a how-to is about to write, by the page that says so.
TO_BE_WRITTEN = {
    "add-a-model.md": ("include/models/churn", "include/pipelines/churn.yaml", "tests/models/"),
    "gate.md": ("include/airlock/gates/", "include/airlock/adapters/jobs/", "tests/unit/gates/"),
}
_LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+?)\s*$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```\s*$", re.MULTILINE | re.DOTALL)
_MERMAID = re.compile(r"^```mermaid\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"`((?:include|plugins|dags|tests|docs|deploy)/[\w./-]*)(?::(\w[\w.]*))?`")
_NAMED = re.compile(r"\b(docs/[a-z0-9/-]+\.md)(?:#([a-z0-9-]+))?")
_DECISION = re.compile(r"\bADR (\d{4})\b")
_TEST_FILE = re.compile(r"`(test_\w+\.py)`")
_BENCH = re.compile(r"python -m tests\.bench (\w+)")
_LONGEST_README = 150


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def links(page: Path) -> Iterator[tuple[str, str]]:
    """Yield file and anchor of every link that stays in the checkout."""
    for target in _LINK.findall(_FENCE.sub("", page.read_text())):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            yield file, anchor


def anchors(page: Path) -> set[str]:
    """Return the anchors a forge makes of a page's headings; a repeated one has a number."""
    counts: dict[str, int] = {}
    for heading in _HEADING.findall(_FENCE.sub("", page.read_text())):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        counts[anchor] = counts.get(anchor, -1) + 1
    numbered = {f"{anchor}-{last}" for anchor, last in counts.items() if last}
    return set(counts) | numbered


def defined(path: Path) -> set[str]:
    """Return the functions, classes and constants of a module, and `Class.method`."""
    return set(_defined(ast.parse(path.read_text()).body))


def _defined(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from _defined(node.body, f"{node.name}.")
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))


def test_the_readme_is_short() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) <= _LONGEST_README, "README is the first reading: move the rest to docs/"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for file, anchor in links(page):
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{name(page)} links to {file}, which does not exist"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{name(page)}: {name(target)} has no #{anchor}"


@pytest.mark.parametrize("page", TODAY, ids=name)
def test_each_path_exists_and_each_name_in_it_is_defined(page: Path) -> None:
    later = TO_BE_WRITTEN.get(page.name, ())
    for path, symbol in _PATH.findall(page.read_text()):
        if not path.startswith(later or "-"):
            assert (ROOT / path).exists(), f"{name(page)} names {path}, which does not exist"
        if symbol:
            assert symbol in defined(ROOT / path), f"{name(page)}: {path} defines no {symbol}"
    for test in _TEST_FILE.findall(page.read_text()):
        assert list((ROOT / "tests").rglob(test)), f"{name(page)} names {test}, which is no test"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_diagram_has_a_semicolon_which_ends_a_statement_in_mermaid(page: Path) -> None:
    for diagram in _MERMAID.findall(page.read_text()):
        wrong = [line.strip() for line in diagram.splitlines() if ";" in line]
        assert not wrong, f"{name(page)}: this diagram cannot be drawn: {wrong[0]}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [README]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        targets = {(page.parent / file).resolve() for file, _ in links(page) if file}
        waiting += sorted((targets - reached) & set(DOCS))
    template = ROOT / "docs/adr/template.md"
    assert set(DOCS) - reached - {template} == set()


def sources() -> list[Path]:
    """Return the files of the product that name documents, in sentences or comments."""
    folders = ("dags", "deploy", "include", "plugins")
    kinds = (".py", ".sql", ".yaml", ".html", ".sh")
    paths = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    single = [ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / "docker-compose.yml"]
    return single + sorted(path for path in paths if path.suffix in kinds)


def test_each_document_that_the_product_names_exists() -> None:
    decisions = {page.name[:4] for page in DOCS if page.parent.name == "adr"}
    pages = set()
    for path in sources():
        text = path.read_text()
        for document, anchor in _NAMED.findall(text):
            page = ROOT / document
            pages.add(page)
            assert page.is_file(), f"{name(path)} names {document}, which does not exist"
            assert not anchor or anchor in anchors(page), f"{name(path)}: {document} #{anchor}?"
        unknown = set(_DECISION.findall(text)) - decisions
        assert not unknown, f"{name(path)} names ADR {', '.join(sorted(unknown))}: there is none"
    assert len(pages) > 5


def words() -> list[str]:
    """Return the words of the glossary, in its order."""
    text = (ROOT / "docs/glossary.md").read_text()
    return re.findall(r"^\| ([^|]+?) \| [^|]+ \|$", text.partition("\n## ")[0], re.MULTILINE)[1:]


def test_the_glossary_is_in_order_and_says_each_word_once() -> None:
    sorted_by = [word.casefold() for word in words()]
    assert len(sorted_by) > 100
    for before, after in pairwise(sorted_by):
        assert before < after, f"the glossary has {after!r} after {before!r}"


def test_the_glossary_has_every_state_and_verdict() -> None:
    terms = {state.value for state in State} | {verdict.value for verdict in Verdict}
    assert terms - set(words()) == set()


def test_each_benchmark_is_on_the_page_of_figures_and_exists() -> None:
    named = set(_BENCH.findall((ROOT / "docs/figures.md").read_text()))
    assert named == set(MODULES)
