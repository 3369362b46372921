"""What distributions say about their licence, and what of it can be relied on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airlock.adapters.jobs.dependencies import licences, lockfile
from airlock.domain.errors import Refused

OSI = "License :: OSI Approved :: "


def says(expression: str = "", text: str = "", *classifiers: str) -> dict[str, Any]:
    return {"expression": expression, "license": text, "classifiers": list(classifiers)}


@pytest.mark.parametrize(
    ("metadata", "alternatives"),
    [
        (says("MIT"), [["MIT"]]),
        (says("mit"), [["MIT"]]),
        (says("MIT OR (Apache-2.0 AND ISC)"), [["Apache-2.0", "ISC"], ["MIT"]]),
        (
            says("(MIT OR ISC) AND BSD-3-Clause"),
            [["BSD-3-Clause", "ISC"], ["BSD-3-Clause", "MIT"]],
        ),
        (says("Apache-2.0 WITH LLVM-exception"), [["Apache-2.0 WITH LLVM-exception"]]),
        (says("", "BSD-3-Clause"), [["BSD-3-Clause"]]),
        (says("", "Apache License, Version 2.0"), [["Apache-2.0"]]),
        (says("", "3-Clause BSD License"), [["BSD-3-Clause"]]),
        (says("", "see the file", OSI + "MIT License"), [["MIT"]]),
        (says("", "", "License :: OSI Approved", OSI + "MIT License"), [["MIT"]]),
        # Nobody says which of the two applies, so both must be allowed.
        (says("", "", OSI + "MIT License", OSI + "BSD License"), [["LicenseRef-BSD", "MIT"]]),
        # What cannot be read is not guessed.
        (says(), []),
        (says("", "UNKNOWN"), []),
        (says("", "BSD-derived (see the site)"), []),
        (says("Nobodys-1.0"), []),
        (says("", "", "License :: OSI Approved"), []),
        (says("", "", OSI + "MIT License", OSI + "Some New License"), []),
        (says("MIT OR"), []),
    ],
)
def test_a_licence_is_what_was_said_or_nothing(
    metadata: dict[str, Any], alternatives: list[list[str]]
) -> None:
    assert licences.of(metadata)[1] == alternatives


def lock(folder: Path, text: str) -> Path:
    path = folder / "requirements.txt"
    path.write_text(text)
    return path


def test_a_lock_names_one_version_of_each_package(tmp_path: Path) -> None:
    parsed_lock = lockfile.read(
        lock(
            tmp_path,
            "# made by a tool\n--index-url https://example.org\n"
            "Some_Package[extra]==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
            "    # via other\nother==2.0 ; python_version >= '3'\n"
            "elsewhere==1.0 ; sys_platform == 'no-such'  # never here\n",
        )
    )
    assert parsed_lock == lockfile.Lock({"some-package": "1.0", "other": "2.0"}, 1)


@pytest.mark.parametrize(
    "line",
    ["a", "a>=1", "a==1.*", "a==1,<2", "a @ https://example.org/a.whl", "-e .", "-r more.txt"],
)
def test_a_line_that_pins_nothing_is_no_lock(tmp_path: Path, line: str) -> None:
    with pytest.raises(Refused, match="is no lock: expected NAME==VERSION"):
        lockfile.read(lock(tmp_path, f"b==1.0\n{line}\n"))


def test_two_versions_of_one_package_are_no_lock(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="pins a twice"):
        lockfile.read(lock(tmp_path, "a==1.0\nA==2.0\n"))
