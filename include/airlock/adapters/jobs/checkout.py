"""The candidate's code as git keeps it: exported, compared, and never the folder somebody edits.

Rules:
* What is looked at is the tree of the candidate's commit, written out afresh. Marks in the
  repository that hide files or lines from git's own tools (`export-ignore`, `-diff`) do not count.
* The code is the model's package and every file of the repository that it imports or names, as
  separation of duties has it (`airlock.adapters.git_code`); but for Airlock's own packages.
* A candidate made from code that is in no commit is refused, and so is code on disk that is not,
  byte by byte, that of the commit: nobody could say which of the two was trained.
* What changed since the champion is every line of the code that `git diff` adds, renames counting
  as new. If nobody can say what the champion's code was, every line is new.
"""

from __future__ import annotations

import io
import re
import shutil
import tokenize
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from airlock.adapters.git_code.imports import imported
from airlock.adapters.git_code.runner import run_git
from airlock.adapters.jobs.collection_context import Scene
from airlock.domain.digest import file_digest
from airlock.domain.errors import Refused

#: Where Airlock's own packages lie in a checkout.
AIRLOCKS = tuple(
    f"include/{package}/"
    for package in ("airlock", "airlock_evidence", "airlock_mlflow", "airlock_platform")
)
_PATIENCE_S = 120
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_FILE_MODES = ("100644", "100755")
_DIFF = ("diff-tree", "-r", "--text", "--no-ext-diff", "--no-textconv", "--no-renames")
_PATCH = ("-p", "--unified=0", "--no-color", "--src-prefix=a/", "--dst-prefix=b/")
_HUNK = re.compile(r"@@ -[0-9]+(?:,[0-9]+)? \+[0-9]+(?:,([0-9]+))? @@")


@dataclass(frozen=True, slots=True)
class Base:
    """What the candidate is compared with: the champion's commit, or why there is none."""

    commit: str | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """The package *folder* at *commit*, written out below *tree*.

    *files* are its own, then those *outside* of it that it uses, each sorted; *unclear* is what
    could not be followed.
    """

    tree: Path
    commit: str
    folder: str
    files: tuple[str, ...]
    outside: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """The Python files of the code, but for the tests that lie in the package."""
        inner = f"{self.folder}/tests/"
        return tuple(
            path for path in self.files if path.endswith(".py") and not path.startswith(inner)
        )

    @property
    def others(self) -> tuple[str, ...]:
        """Every other file of the code."""
        return tuple(path for path in self.files if path not in self.sources)


def digests(code: Code) -> dict[str, str]:
    """Return the current digests of the exported sources; nothing for a deleted one."""
    places = ((path, code.tree / path) for path in code.sources)
    return {path: file_digest(at) for path, at in places if at.is_file() and not at.is_symlink()}


@contextmanager
def exported(root: Path, folder: str, registered: str, into: Path) -> Iterator[Code]:
    """Write a candidate's commit out below *into* for as long as it is needed.

    *root* is the checkout, *folder* the package in it, *registered* the commit as it was noted.

    Raises:
        Refused: if the candidate's code is in no commit, or the package on disk is another one.
    """
    commit = _candidate_commit(root, registered)
    folder = folder.strip("/")
    tree = into / "tree"
    tree.mkdir()
    try:
        index = {"GIT_INDEX_FILE": str(into / "index")}
        _git(root, "read-tree", commit, **index)
        _git(root, "checkout-index", "--all", "--force", f"--prefix={tree}/", **index)
        code = _code(root, tree, commit, folder)
        _same_on_disk(root, code)
        _plain_lines(code)
        yield code
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def base_of(scene: Scene) -> Base:
    """Return the commit the candidate's lines are compared with."""
    if scene.champion is None:
        return Base(None, "no champion: the first release, so every line is new")
    registered = scene.champion.code_commit
    if "+" in registered:
        return Base(None, "the champion's code was in no commit, so every line is new")
    try:
        return Base(_resolved(scene.root, registered))
    except Refused:
        return Base(None, f"git knows no commit {registered} of the champion, so every line is new")


def added_lines(root: Path, base: str, code: Code) -> dict[str, list[int]]:
    """Return the lines each Python source of the code gained since *base*.

    Read with diff-cover's parser, and held against the counts and names git itself gives: a change
    the parser loses is refused, never taken for no change.
    """
    from diff_cover.diff_reporter import GitDiffReporter
    from diff_cover.git_diff import GitDiffError

    where = (base, code.commit, "--", code.folder, *code.outside)
    diff = _git(root, *_DIFF, *_PATCH, *where).split("\n")
    # The parser takes git's remark that a file ends without a line end for a line of the file.
    plain = "\n".join(line for line in diff if not line.startswith("\\ "))
    reporter = GitDiffReporter(
        compare_branch=base, git_diff=_Diff(plain), ignore_staged=True, ignore_unstaged=True
    )
    try:
        paths = reporter.src_paths_changed()
        added = {path: list(reporter.lines_changed(path)) for path in paths}
    except GitDiffError as error:
        raise _unreadable(str(error)) from error
    counted = sum(int(hunk[1] or 1) for hunk in map(_HUNK.match, diff) if hunk)
    parsed = sum(map(len, added.values()))
    if counted != parsed:
        raise _unreadable(f"git counts {counted} new lines, the parser {parsed}")
    named = _git(root, *_DIFF, "--name-only", "-z", *where).split("\0")
    lost = sorted({*named} & {*code.sources} - {*added})
    if lost:
        raise _unreadable(f"the parser does not see {', '.join(lost[:5])}")
    return {path: added[path] for path in code.sources if path in added}


def _unreadable(why: str) -> Refused:
    return Refused(
        f"the changes since the champion cannot be read: {why}",
        next_step="Give the files plain names, with line ends as git expects them.",
    )


class _Diff:
    """A diff that is already there, as diff-cover asks for it."""

    range_notation = ".."

    def __init__(self, text: str) -> None:
        self._text = text

    def diff_committed(self, compare_branch: str) -> str:
        """Return the diff."""
        return self._text


def _candidate_commit(root: Path, registered: str) -> str:
    head, _, dirty = registered.partition("+")
    if dirty:
        raise Refused(
            f"the candidate's code is in no commit: {head[:12]} and changes nobody kept",
            next_step="Commit the code, then train again.",
        )
    return _resolved(root, head)


def _resolved(root: Path, commit: str) -> str:
    if not _COMMIT.fullmatch(commit):
        raise Refused(
            f"{commit[:60]!r} is not a commit; expected 7 to 64 hexadecimal digits",
            next_step="In an image without git this cannot be told; run it in a checkout.",
        )
    return _git(root, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}").strip()


def _code(root: Path, tree: Path, commit: str, folder: str) -> Code:
    reach = imported(tree, folder)
    outside = _not_airlocks(reach.files)
    own = _files(root, commit, f"{folder}/")
    if not own:
        raise Refused(
            f"commit {commit[:12]} has no folder {folder}",
            next_step="sourceCode.path must name the model's package as it is in git.",
        )
    reached = _files(root, commit, *outside) if outside else ()
    if lost := sorted({*outside} - {*reached}):
        raise Refused(
            f"{lost[0]}, which {folder} uses, is reached by a link",
            next_step="Import it by the path at which git keeps it.",
        )
    return Code(tree, commit, folder, (*own, *reached), reached, reach.unclear)


def _not_airlocks(paths: Iterable[str]) -> tuple[str, ...]:
    """Leave out what comes with Airlock, which has tests of its own."""
    return tuple(path for path in paths if not path.startswith(AIRLOCKS))


def _files(root: Path, commit: str, *paths: str) -> tuple[str, ...]:
    entries = _git(root, "ls-tree", "-r", "-z", "--full-tree", commit, "--", *paths)
    files = []
    for entry in filter(None, entries.split("\0")):
        meta, _, path = entry.partition("\t")
        if meta.split()[0] not in _FILE_MODES:
            raise Refused(
                f"{path} is a link or another repository, not a file",
                next_step="Put the file itself into the package.",
            )
        files.append(path)
    return tuple(sorted(files))


def _same_on_disk(root: Path, code: Code) -> None:
    """Refuse code on disk that is not that of the commit; ignored Python files count too."""
    here = {
        str(path.relative_to(root))
        for path in (root / code.folder).rglob("*.py")
        if path.is_file() or path.is_symlink()
    }
    here |= {*_not_airlocks(imported(root, code.folder).files)}
    odd = sorted(here - set(code.files))
    odd += [path for path in code.files if not _equal(root / path, code.tree / path)]
    if odd:
        raise Refused(
            f"{len(odd)} files of {code.folder}, or that it uses, on disk are not those of the "
            f"candidate's commit {code.commit[:12]}: {', '.join(odd[:5])}",
            next_step="Check the commit out, or commit the changes and train again.",
        )


def _plain_lines(code: Code) -> None:
    """Refuse a source whose lines git and Python would count differently."""
    for path in code.sources:
        text = (code.tree / path).read_bytes()
        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(text).readline)
        except SyntaxError:
            encoding = "an unknown encoding"
        if b"\r" in text.replace(b"\r\n", b"") or encoding not in ("utf-8", "utf-8-sig"):
            raise Refused(
                f"{path} cannot be counted line by line: it is in {encoding}, or has line ends of "
                "old Macintoshes",
                next_step="Save it as UTF-8 with ordinary line ends.",
            )


def _equal(first: Path, other: Path) -> bool:
    if first.is_symlink() or not first.is_file():
        return False
    return file_digest(first) == file_digest(other)


def _git(root: Path, *arguments: str, **environment: str) -> str:
    try:
        printed = run_git(root, *arguments, patience_s=_PATIENCE_S, more=environment)
    except Refused as error:
        raise Refused(
            error.message,
            next_step="Run this in a git checkout that has the candidate's commit.",
        ) from error
    return printed.decode("utf-8", "replace")
