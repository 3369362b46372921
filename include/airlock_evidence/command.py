"""`python3 verify.py [BUNDLE] [--keys DIR | --fingerprint HEX] [--json]`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airlock_evidence.archive import Failed, read_folder, read_plain, unpack
from airlock_evidence.checking import Choose, Result, Unknown, check
from airlock_evidence.trust import Trust, WrongUse, by_fingerprint, from_folder

GOOD, BAD, WRONG_USE, UNKNOWN = 0, 1, 2, 3


def main(arguments: Sequence[str], here: str) -> int:
    """Check a bundle, by default the folder the program lies in; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="verify.py", description="Check the evidence bundle of a release, offline."
    )
    parser.add_argument("bundle", nargs="?", default=here, help="zip or unpacked folder")
    parser.add_argument("--keys", help="folder with the public keys you trust: *.pem, *.vkey")
    parser.add_argument(
        "--fingerprint",
        action="append",
        default=[],
        metavar="HEX",
        help="SHA-256 of a public key you trust; may be given several times",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    try:
        keys = Path(options.keys) if options.keys else None
        result = run(Path(options.bundle), keys, options.fingerprint)
    except WrongUse as error:
        sys.stderr.write(f"{_plain(str(error))}\n")
        return WRONG_USE
    except Unknown as error:
        sys.stderr.write(f"Could not tell: {_plain(str(error))}\n")
        return UNKNOWN
    text = json.dumps(document(result), indent=2) if options.json else "\n".join(lines(result))
    sys.stdout.write(f"{text}\n")
    return GOOD if result.ok else BAD


def run(bundle: Path, keys: Path | None, fingerprints: Sequence[str]) -> Result:
    """Read a bundle and check it.

    Raises:
        WrongUse: if bundle or keys cannot be read.
        Unknown: if the bundle has a form this program does not know.
    """
    if keys is not None and fingerprints:
        raise WrongUse("give --keys or --fingerprint, not both")
    choose = _choice(keys, fingerprints)
    try:
        files = read_folder(bundle) if bundle.is_dir() else unpack(read_plain(bundle), "the zip")
    except OSError as error:
        raise WrongUse(f"{bundle} cannot be read: {error.strerror or error}") from error
    except Failed as failure:
        return Result(failures=[failure])
    return check(files, choose)


def _choice(keys: Path | None, fingerprints: Sequence[str]) -> Choose | None:
    if keys is not None:
        brought = from_folder(keys)
        return lambda _: brought
    if not fingerprints:
        return None
    by_fingerprint(fingerprints, Trust({}, {}, ""))  # a mistyped one is said before all else
    return lambda inside: by_fingerprint(fingerprints, inside)


def document(result: Result) -> dict[str, Any]:
    """Return the result as data."""
    return {
        "ok": result.ok,
        "release": result.release,
        "state": result.state,
        "trust": "outside" if result.outside else "inside",
        "trustSentence": result.trust,
        "failures": [{"where": failure.where, "why": failure.why} for failure in result.failures],
        "proved": result.proved,
        "notes": result.notes,
    }


def lines(result: Result) -> list[str]:
    """Return the result as lines for people."""
    rows = [f"  ok      {_plain(sentence)}" for sentence in result.proved]
    rows += [
        f"  FAILED  {_plain(failure.where)}: {_plain(failure.why)}" for failure in result.failures
    ]
    rows += [f"  note    {_plain(note)}" for note in result.notes]
    if result.trust:
        rows += ["", f"Keys: {_plain(result.trust)}."]
    if not result.ok:
        return [*rows, "", "DOES NOT HOLD: do not rely on this bundle."]
    if result.outside:
        return [*rows, "", f"HOLDS: release {result.release} is proved by keys you trust."]
    return [
        *rows,
        "",
        f"AGREES WITH ITSELF: release {result.release}. Whose it is, only other keys tell:",
        "give --keys DIR or --fingerprint HEX (see README.txt).",
    ]


def _plain(text: str) -> str:
    """Return text that cannot steer a terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
