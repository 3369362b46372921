"""Evidence static-analysis: what ruff and bandit say about the model's package and what it uses.

Rules:
* The files are those of the candidate's commit, in the package and outside of it, and each is
  handed to the tools by its name, so that no list of exclusions in the project's settings can leave
  one out.
* The project's own settings at the top of the checkout choose the rules; settings hidden in folders
  below do not count. Without any, the tools' own defaults do.
* What a comment in the code switches off is listed, whether it hides a finding or not.
"""

from __future__ import annotations

import io
import json
import re
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airlock.adapters.jobs import checkout, errors, tool_versions
from airlock.adapters.jobs.checkout import Code
from airlock.adapters.jobs.collection_context import Collected, Scene
from airlock.domain.digest import file_digest

GATE = "static-analysis"
_NAMED = 200
_RESULT_LIMIT = 16 << 20
_SUPPRESSIONS = {
    "noqa": re.compile(r"#\s*(?:flake8:\s*|ruff:\s*)?noqa\b", re.IGNORECASE),
    "ruff": re.compile(r"#\s*ruff:\s*(?:disable|ignore|file-ignore)\b", re.IGNORECASE),
    "nosec": re.compile(r"#\s*nosec\b", re.IGNORECASE),
    "type": re.compile(r"#\s*(?:type:\s*ignore|pyright:\s*ignore|mypy:)", re.IGNORECASE),
    "pylint": re.compile(r"#\s*pylint:\s*(?:disable|skip-file)", re.IGNORECASE),
}


def collect(scene: Scene) -> Collected:
    """Run both tools on the code of the candidate's commit."""
    work = scene.lab.workspace(GATE, scene.recipe.name)
    commit = scene.case.candidate.code_commit
    with checkout.exported(scene.root, scene.recipe.folder, commit, work) as code:
        files = [path for path in code.files if path.endswith(".py")]
        facts: dict[str, Any] = {
            "candidateCommit": commit,
            "commit": code.commit,
            "package": code.folder,
            "sources": files,
            "outside": list(code.outside),
            "unclear": list(code.unclear),
        }
        if not files:
            return Collected(facts | {"tools": [], "suppressions": [], "suppressed": 0})
        ran = [_ruff(scene, code, files, work), _bandit(scene, code, files, work)]
        suppressions = list(_suppressions(code, files))
    facts |= {"tools": ran, "suppressions": suppressions[:_NAMED], "suppressed": len(suppressions)}
    return Collected(facts)


def _ruff(scene: Scene, code: Code, files: list[str], work: Path) -> dict[str, Any]:
    settings = _settings(code, ("ruff.toml", ".ruff.toml"), "ruff")
    chosen = ["--config", str(code.tree / settings)] if settings else ["--isolated"]
    common = ["check", *chosen, "--no-cache", "--no-force-exclude", "--no-respect-gitignore"]
    listed = _run(scene, code, work, "ruff-files", [*common, "--show-files", *files])
    shown_files = (work / "ruff-files" / "log.txt").read_text("utf-8", "replace").splitlines()
    out = work / "ruff.json"
    report = ["--no-fix", "--output-format=json", f"--output-file={out}"]
    exit_code = _run(scene, code, work, "ruff", [*common, *report, *files])
    results = _read("ruff", out, work / "ruff", listed == 0 and exit_code in (0, 1))
    findings = [
        {
            "rule": str(result["code"] or "syntax-error"),
            "severity": "any",
            "file": _relative(code, result["filename"]),
            "line": int(result["location"]["row"]),
            "message": str(result["message"])[:300],
        }
        for result in results
    ]
    read = sorted({_relative(code, line.strip()) for line in shown_files} & set(files))
    return _tool("ruff", code, settings, read, findings)


def _bandit(scene: Scene, code: Code, files: list[str], work: Path) -> dict[str, Any]:
    settings = _settings(code, (), "bandit")
    out = work / "bandit.json"
    chosen = ["-c", str(code.tree / settings)] if settings else []
    # Excludes nothing: bandit's own list would leave out folders by their name.
    arguments = ["-q", "-f", "json", "-o", str(out), "-x", "", *chosen, *files]
    exit_code = _run(scene, code, work, "bandit", arguments)
    document = _read("bandit", out, work / "bandit", exit_code in (0, 1))
    findings = [
        {
            "rule": str(result["test_id"]),
            "severity": str(result["issue_severity"]).lower(),
            "file": _relative(code, result["filename"]),
            "line": int(result["line_number"]),
            "message": str(result["issue_text"])[:300],
        }
        for result in document["results"]
    ]
    broken = {_relative(code, error["filename"]) for error in document["errors"]}
    read = {_relative(code, name) for name in document["metrics"]} & set(files) - broken
    return _tool("bandit", code, settings, sorted(read), findings)


def _tool(
    name: str, code: Code, settings: str | None, read: list[str], findings: list[dict[str, Any]]
) -> dict[str, Any]:
    import importlib.metadata

    return {
        "name": name,
        "version": importlib.metadata.version(name),
        "settings": settings,
        "settingsDigest": file_digest(code.tree / settings) if settings else None,
        "read": read,
        "counts": dict(sorted(Counter(str(finding["severity"]) for finding in findings).items())),
        "findings": findings[:_NAMED],
    }


def _run(scene: Scene, code: Code, work: Path, name: str, arguments: list[str]) -> int:
    place = work / name
    place.mkdir()
    module = name.partition("-")[0]
    argv = [scene.lab.python, "-m", module, *arguments]
    purpose = f"{module} on {scene.recipe.name}"
    return tool_versions.run(purpose, argv, place, scene.limits(GATE), cwd=code.tree)


def _read(name: str, out: Path, place: Path, ended_well: bool) -> Any:
    """Return a tool's report.

    Raises:
        LabFailure: if it is missing, crashed, or wrote nothing that can be read.
    """
    why = tool_versions.last_words(place)
    if not ended_well or not out.is_file() or out.stat().st_size > _RESULT_LIMIT:
        raise errors.LabFailure(
            f"{name} did not do its work: {why or 'it left no report'}",
            next_step='Is it installed (pip install "airlock[gates]"), are its settings right?',
        )
    try:
        return json.loads(out.read_text("utf-8"))
    except ValueError as error:
        raise errors.LabFailure(f"the report of {name} cannot be read: {error}") from error


def _settings(code: Code, own: tuple[str, ...], table: str) -> str | None:
    """Return the project's settings file for a tool, the first there is; ruff's own come first."""
    for name in own:
        if (code.tree / name).is_file():
            return name
    project = code.tree / "pyproject.toml"
    if not project.is_file():
        return None
    try:
        tables = tomllib.loads(project.read_text("utf-8")).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise errors.LabFailure(f"pyproject.toml cannot be read: {error}") from error
    return project.name if table in tables else None


def _suppressions(code: Code, files: list[str]) -> Iterator[dict[str, Any]]:
    for path in files:
        for line, comment in _comments(code.tree / path):
            for kind, pattern in _SUPPRESSIONS.items():
                if pattern.search(comment):
                    yield {"kind": kind, "file": path, "line": line, "text": comment[:200]}


def _comments(source: Path) -> list[tuple[int, str]]:
    """Return every comment with its line; of a file that is no Python, every line."""
    text = source.read_text("utf-8", "replace")
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return list(enumerate(text.splitlines(), 1))
    return [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]


def _relative(code: Code, name: str) -> str:
    path = Path(name)
    if path.is_absolute() and path.is_relative_to(code.tree):
        return path.relative_to(code.tree).as_posix()
    return path.as_posix()
