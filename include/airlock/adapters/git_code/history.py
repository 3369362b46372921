"""Who made the commits that changed some paths, or why git's history cannot say so completely.

Every side of every merge is walked and a merge that differs from one of its parents counts. Files
are followed through renames. Commits are read as they are stored: no setting, mail map or
signature changes what is found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from airlock.adapters.git_code.runner import COMMIT, Checkout, decoded
from airlock.domain.errors import Refused

_MOST_RENAMES = 20
_SHALLOW = "this checkout is a shallow clone, its history is cut (git fetch --unshallow)"
_ADDRESS = re.compile(r"[^\s<>,;:()\"']+@[^\s<>,;:()\"']+")
_IDENTITY = re.compile(r"\A(?:author|committer) .*<([^<>]*)> -?\d+ [-+]\d+\Z")
# `git merge --squash` lists the authors of what it squashed; forges write trailers.
_PERSON = re.compile(r"(?i)\A\s*(?:co-authored-by|co-committed-by|on-behalf-of|author)\s*:(.*)\Z")


def people(checkout: Checkout, paths: tuple[str, ...], since: str) -> tuple[set[str], str]:
    """Return the addresses behind all changes of *paths* after *since*, and what is missing."""
    reach, why = _reach(checkout, since)
    why = _cut(checkout, reach) or why
    addresses: set[str] = set()
    for commit in _commits(checkout, reach, paths):
        named, nameless = _people(commit)
        addresses |= named
        why = why or nameless
    return addresses, why


def newest(checkout: Checkout, paths: tuple[str, ...]) -> str:
    """Return the newest commit that changed *paths*, or ""."""
    listed = checkout.git("rev-list", "--full-history", "-1", checkout.head(), "--", *paths)
    return listed.decode().strip()


def last(checkout: Checkout, paths: tuple[str, ...]) -> tuple[str, str]:
    """Return the author of the last commit that changed *paths*, and what is missing."""
    commit = newest(checkout, paths)
    if not commit:
        return "", "no commit has it"
    if commit in _boundary(checkout):
        return "", _SHALLOW
    text = checkout.git("cat-file", "commit", commit).decode("utf-8", "replace")
    author = [_address(line) for line in _head(text) if line.startswith("author ")]
    return (author[0], "") if author and author[0] else ("", _nameless(text, commit))


def _reach(checkout: Checkout, since: str) -> tuple[tuple[str, ...], str]:
    """Return the commits to walk, and why those are not the requested ones."""
    head = checkout.head()
    if not since:
        return (head,), ""
    away = f"the commit {since[:12]} that serves is not in the history of {head[:12]}"
    if not COMMIT.fullmatch(since):
        return (head,), f"{since[:60]!r}, the code that serves, is no commit"
    try:
        resolved = checkout.git("rev-parse", "--verify", "--quiet", f"{since}^{{commit}}")
        base = resolved.decode().strip()
        checkout.git("merge-base", "--is-ancestor", base, head)
    except Refused:
        return (head,), away
    return (head, f"^{base}"), ""


def _cut(checkout: Checkout, reach: tuple[str, ...]) -> str:
    boundary = _boundary(checkout)
    if boundary and boundary & set(checkout.git("rev-list", *reach).decode().split()):
        return _SHALLOW
    return ""


def _boundary(checkout: Checkout) -> set[str]:
    """Return the commits whose parents a shallow clone has left out."""
    if checkout.git("rev-parse", "--is-shallow-repository").strip() != b"true":
        return set()
    place = decoded(checkout.git("rev-parse", "--git-path", "shallow").rstrip(b"\n"))
    return set((checkout.top / Path(place)).read_text("ascii").split())


def _commits(checkout: Checkout, reach: tuple[str, ...], paths: tuple[str, ...]) -> list[str]:
    """Return the stored text of every commit that changed *paths* or what they were called."""
    names = set(paths)
    for _ in range(_MOST_RENAMES):
        listed = checkout.git("rev-list", "--full-history", *reach, "--", *sorted(names))
        commits = listed.decode().split()
        before = _former_names(checkout, commits, names)
        if before <= names:
            return list(_texts(checkout, commits))
        names |= before
    raise Refused(f"{paths[0]} was renamed more than {_MOST_RENAMES} times")


def _former_names(checkout: Checkout, commits: list[str], names: set[str]) -> set[str]:
    if not commits:
        return set()
    output = checkout.git(
        "diff-tree", "--stdin", "--root", "-r", "-m", "-M", "-l0", "-z", "--no-commit-id",
        "--name-status", "--diff-filter=R", "--no-ext-diff", "--no-textconv",
        stdin="".join(f"{commit}\n" for commit in commits).encode(),
    )  # fmt: skip
    fields = iter(decoded(name) for name in output.split(b"\0") if name)
    former = set()
    for _status, old, new in zip(fields, fields, fields, strict=False):
        if any(new == path or new.startswith(f"{path}/") for path in names):
            former.add(old)
    return {old for old in former if not any(old.startswith(f"{path}/") for path in names)}


def _texts(checkout: Checkout, commits: list[str]) -> Iterator[str]:
    listed = "".join(f"{commit}\n" for commit in commits).encode()
    rest = checkout.git("cat-file", "--batch", stdin=listed) if commits else b""
    while rest:
        header, _, rest = rest.partition(b"\n")
        words = header.decode("ascii", "replace").split()
        if len(words) != 3 or words[1] != "commit":
            raise Refused(f"git has lost the commit {words[0][:12]}")
        size = int(words[2])
        yield f"{words[0]}\n" + rest[:size].decode("utf-8", "replace")
        rest = rest[size + 1 :]


def _people(stored: str) -> tuple[set[str], str]:
    """Return the people of one commit, and a sentence if one of them has no address."""
    commit, _, text = stored.partition("\n")
    head = [line for line in _head(text) if line.startswith(("author ", "committer "))]
    addresses = {_address(line) for line in head}
    for line in text.partition("\n\n")[2].splitlines():
        person = _PERSON.match(line)
        if person:
            addresses |= {address.casefold() for address in _ADDRESS.findall(person[1])}
    return addresses - {""}, _nameless(text, commit) if "" in addresses or not head else ""


def _head(text: str) -> list[str]:
    return text.partition("\n\n")[0].split("\n")


def _address(line: str) -> str:
    match = _IDENTITY.match(line)
    return " ".join(match[1].split()).casefold() if match else ""


def _nameless(text: str, commit: str) -> str:
    return f"the commit {commit[:12]} names no address of its author or committer"
