"""Places: where files lie, as paths relative to the server's own artifact store.

Rules:
* The only store is the one the server was started with (`--artifacts-destination`).
* A location that may be frozen has exactly one spelling: no `..`, no `%`, no empty parts.
* A path somebody wants to write to is looked up in every spelling it could end up as.
"""

from __future__ import annotations

import posixpath
from urllib.parse import unquote, urlsplit

SCHEME = "airlock+"
_SERVED = "mlflow-artifacts"


def place_of(location: str) -> str | None:
    """Return the place a version's location names, or None if it is not in the server's store."""
    parts = urlsplit(location)
    if parts.scheme != _SERVED or parts.netloc or parts.query or parts.fragment:
        return None
    path = parts.path.removeprefix("/")
    clean = bool(path) and posixpath.normpath(path) == path and not path.startswith(("/", ".."))
    if not clean or path == "." or any(c in "%\\?#" or not c.isprintable() for c in path):
        return None
    return path


def spellings(path: str) -> frozenset[str]:
    """Return every place that writing to *path* could reach."""
    spelling, reached = path, {path}
    while (plainer := unquote(spelling)) not in reached:
        reached.add(plainer)
        spelling = plainer
    # a backslash parts on some systems only
    both = reached | {text.replace("\\", "/") for text in reached}
    return frozenset(_normal(text) for text in both)


def ancestors(place: str) -> list[str]:
    """Return a place and everything above it, the store itself (empty) left out."""
    parts = place.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)] if place else []


def below(uri: str, root: str) -> str | None:
    """Return the path of the store *uri* below the store *root*, or None if it is elsewhere."""
    if uri.rstrip("/") == root.rstrip("/"):
        return ""
    inside = uri.startswith(root.rstrip("/") + "/") and ".." not in uri.split("/")
    return _normal(uri[len(root.rstrip("/")) + 1 :]) if inside and "%" not in uri else None


def _normal(path: str) -> str:
    plain = posixpath.normpath(posixpath.join("/", path)).lstrip("/")
    return "" if plain == "." else plain
