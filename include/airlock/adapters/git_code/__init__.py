"""Which code a run uses and who wrote it, as git knows it: complete, or unknown.

Rules:
* The code of a model is its folder and every file of the repository that it imports or names
  (`imports`), whether or not git ignores it.
* The commit is `HEAD`; if a file of the code differs from it byte for byte, the digest of what is
  really there is added, so that two different states never have one name.
* In an image without git the commit is given from outside. No commit known: refused.
* Who changed the code is answered completely (`history`), or as unknown with the reason. A short
  list is never given for a complete one.
* Code that is, byte for byte, what Airlock was shipped with is nobody's work here (`shipped`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from airlock.adapters.git_code import history, shipped
from airlock.adapters.git_code.imports import imported
from airlock.adapters.git_code.runner import Checkout
from airlock.adapters.git_code.state import Code, changes, code_of, name_of
from airlock.domain.errors import Refused
from airlock.domain.people.separation_of_duties import SHIPPED, UNKNOWN, unknown_because

__all__ = [
    "Authors",
    "author_of_last",
    "authors",
    "authors_since",
    "commit",
    "last_author",
    "last_commit",
]


@dataclass(frozen=True, slots=True)
class Authors:
    """Who changed some code: addresses in lower case, and why that is not all of them."""

    addresses: tuple[str, ...]
    why_unknown: str = ""

    @property
    def recorded(self) -> tuple[str, ...]:
        """The addresses, and one entry that says what nobody knows, if anything."""
        return (
            *self.addresses,
            *((unknown_because(self.why_unknown),) if self.why_unknown else ()),
        )


def commit(root: Path, folder: str, pinned: str = "") -> str:
    """Return the commit of the checkout *root* for the model's code in *folder*.

    Raises:
        Refused: if nobody can say which code this is.
    """
    if pinned:
        return pinned
    checkout = Checkout.at(root)
    head = checkout.head()
    code = code_of(checkout, folder, imported(root, folder))
    return f"{head}+dirty:{name_of(checkout, code)}" if changes(checkout, code) else head


def authors(root: Path, folder: str, since: str = "") -> tuple[str, ...]:
    """Return `authors_since` as it is recorded: addresses, and `unknown: why` if there is more."""
    return authors_since(root, folder, since).recorded


def authors_since(root: Path, folder: str, since: str = "") -> Authors:
    """Return the authors of the code of *folder* since a commit; all, without *since*.

    Authors, committers and co-authors count, of merges too. Changes in no commit, a history that
    is not all here, and a checkout without git are unknown.
    """
    reach = imported(root, folder)
    untouched = not reach.files and shipped.is_shipped(root, folder)
    if untouched and not since:
        return Authors(())
    try:
        checkout = Checkout.at(root)
        code = code_of(checkout, folder, reach)
        addresses, why = history.people(checkout, code.paths, since)
        why = "; ".join(filter(None, (why, *code.unclear, _uncommitted(checkout, code))))
    except (Refused, OSError) as error:
        why = "" if untouched else getattr(error, "message", str(error))
        return Authors((), why)
    return Authors(tuple(sorted(addresses)), why)


def last_author(root: Path, folder: str) -> str:
    """Return `author_of_last` as it is recorded: an address, `shipped`, or `unknown: why`."""
    return author_of_last(root, folder)


def author_of_last(root: Path, folder: str) -> str:
    """Return the author of the last commit that changed *folder*, as an e-mail address.

    `SHIPPED`, if the folder is what Airlock came with; unknown with the reason, if git cannot tell.
    """
    if shipped.is_shipped(root, folder):
        return SHIPPED
    place = (root / folder).resolve()
    if not place.is_relative_to(root.resolve()):  # policies in a repository of their own
        root, folder = place.parent, place.name
    try:
        checkout = Checkout.at(root)
        code = code_of(checkout, folder)
        why = _uncommitted(checkout, code)
        address, missing = history.last(checkout, code.paths)
        why = why or missing
    except (Refused, OSError) as error:
        return unknown_because(getattr(error, "message", str(error)))
    return unknown_because(why) if why else address or UNKNOWN


def last_commit(root: Path, folder: str) -> str:
    """Return the newest commit that changed *folder*, as `HEAD` knows it; "" if nobody can say."""
    try:
        checkout = Checkout.at(root)
        path = checkout.prefix + folder.strip("/")
        output = checkout.git("rev-list", "--full-history", "-1", checkout.head(), "--", path)
    except Refused:
        return ""
    return output.decode().strip()


def _uncommitted(checkout: Checkout, code: Code) -> str:
    changed = changes(checkout, code)
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return f"in no commit: {', '.join(changed[:3])}{more}" if changed else ""
