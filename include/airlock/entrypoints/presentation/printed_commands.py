"""Commands that are printed, as their reader can type them.

On the machine of `make up` people act as demo users, with `--as USER`; elsewhere they have a login,
and `--as` is refused. A text cannot know which, so whoever prints it on a terminal mends it here:

* a command for the reader gets the reader's `--as`, one that names somebody else keeps that name;
* one that needs a right most people lack names who has it;
* with a login there is no `--as` at all.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

#: The commands that take `--as`; a test holds the list to the command line.
PERSONAL = (
    *("audit export", "audit list", "audit proof", "audit verify"),
    *("delegate end", "delegate list", "delegate to", "detect list", "evidence export"),
    *("finding close", "finding list", "gate recompute", "gate waive", "mlflow-token"),
    *("person confirm", "person end", "person enrol", "person import", "person list"),
    *("pipeline list", "pipeline logs", "pipeline run", "release approve", "release break-glass"),
    *("release list", "release promote", "release reject", "release request", "release review"),
    *("release rollback", "release show", "release withdraw", "security released"),
    *("user erase", "user link-slack", "user roles", "whoami"),
)
#: Commands that read what few may read: the right, and the placeholder for whoever has it.
RIGHTS = {
    "audit export": ("audit:export", "AUDITOR"),
    "audit list": ("audit:read", "AUDITOR"),
    "audit verify": ("audit:verify", "AUDITOR"),
    "detect list": ("audit:read", "AUDITOR"),
}
_COMMAND = re.compile(r"`airlock\s([^`\n]+)`")
_AS = re.compile(r" --as \S+")
#: With the owner's credential, offline, or asking for no person at all.
_NOBODY = re.compile(r" --first\b| --keys\b")


def example_time(days: float = 7) -> str:
    """Return a time ahead, as people may type it: an example in the past would be refused."""
    return f"{datetime.now().astimezone() + timedelta(days=days):%Y-%m-%d}T09:00"


def spelled_for(text: str, user: str) -> str:
    """Return a text with its commands as *user* types them: a name, or "" for a login."""

    def mended(match: re.Match[str]) -> str:
        line = match[1]
        name = next((command for command in PERSONAL if f"{line} ".startswith(f"{command} ")), "")
        if not name or _NOBODY.search(line):
            return match[0]
        right, account = RIGHTS.get(name, ("", user))
        if not user:
            return match[0].replace(line, _AS.sub("", line)) + (
                f" (needs {right})" if right else ""
            )
        return match[0] if _AS.search(line) else match[0].replace(line, f"{line} --as {account}")

    return _COMMAND.sub(mended, text)
