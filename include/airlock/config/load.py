"""Load the YAML files: the rule book and the pipelines. One bad file never stops the others.

Files are told apart by their `kind`, not by their name. A canonical document is the parsed one
with all defaults filled in; digests are taken over that, so comments and layout never change a
digest and every value does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from airlock.config.access import AccessPolicy
from airlock.config.approval import ApprovalContext, ApprovalPolicy
from airlock.config.context import PipelineContext
from airlock.config.pipeline import ModelPipeline, PipelineSpec
from airlock.config.problems import ConfigurationError, Problem, listed, nearest, show
from airlock.config.risk import RiskPolicy
from airlock.config.schemas import Strict, document, validate
from airlock.config.source import Source, read
from airlock.domain.digest import digest_json
from airlock.domain.gates import Gate
from airlock.domain.promotion.grant import PROTECTED

PIPELINES, POLICIES = "pipelines", "policies"
POLICY_KINDS: Mapping[str, type[Strict]] = {
    "AccessPolicy": AccessPolicy,
    "ApprovalPolicy": ApprovalPolicy,
    "RiskPolicy": RiskPolicy,
}
KINDS: Mapping[str, type[Strict]] = {"ModelPipeline": ModelPipeline, **POLICY_KINDS}
#: Path, time of the last write and size of each file.
Fingerprint = frozenset[tuple[str, int, int]]


@dataclass(frozen=True)
class RulebookConfig:
    """The three policies in force, together."""

    access: AccessPolicy
    approval: ApprovalPolicy
    risk: RiskPolicy

    @cached_property
    def document(self) -> dict[str, Any]:
        """The canonical document the domain builds its rule book from."""
        policies = {"access": self.access, "approval": self.approval, "risk": self.risk}
        return {name: document(policy) for name, policy in policies.items()}

    @cached_property
    def digest(self) -> str:
        """The policy digest, part of every subject."""
        return digest_json(self.document)

    @property
    def protected_aliases(self) -> tuple[str, ...]:
        """The aliases that move by grants alone; those of the environments always do."""
        listed = self.access.spec.protected_aliases or PROTECTED
        moved = (
            environment.alias or name
            for name, environment in self.approval.spec.environments.items()
        )
        return tuple(sorted({*listed, *moved}))


@dataclass(frozen=True)
class PipelineConfig:
    """One pipeline that may run."""

    file: str
    model: ModelPipeline

    @property
    def name(self) -> str:
        """The name of the pipeline, its DAG, its experiment and its registered model."""
        return self.model.metadata.name

    @property
    def owner(self) -> str:
        """The person who answers for it."""
        return self.model.metadata.owner

    @property
    def spec(self) -> PipelineSpec:
        """What it runs and what its releases have to pass."""
        return self.model.spec

    @property
    def gates(self) -> tuple[Gate, ...]:
        """Every gate of the pipeline, thresholds included."""
        return self.model.spec.gates

    @cached_property
    def document(self) -> dict[str, Any]:
        """The canonical document."""
        return document(self.model)

    @cached_property
    def digest(self) -> str:
        """The pipeline digest, part of every subject."""
        return digest_json(self.document)


@dataclass(frozen=True)
class Pipelines:
    """What could be loaded, and why the rest could not."""

    valid: tuple[PipelineConfig, ...]
    refused: tuple[ConfigurationError, ...]

    def get(self, name: str) -> PipelineConfig | None:
        """Return the valid pipeline of that name."""
        return next((pipeline for pipeline in self.valid if pipeline.name == name), None)


def fingerprint(config_dir: Path, *parts: str) -> Fingerprint:
    """Return a mark that changes with every file of *parts* added, removed or written."""
    files = set()
    for part in parts or (PIPELINES, POLICIES):
        for path in (config_dir / part).glob("*.y*ml"):
            try:
                stat = path.stat()
            except FileNotFoundError:  # an editor is putting another in its place
                continue
            files.add((str(path), stat.st_mtime_ns, stat.st_size))
    return frozenset(files)


def load_rulebook(config_dir: Path) -> RulebookConfig:
    """Load the policies.

    Raises:
        ConfigurationError: naming everything wrong in all policy files at once.
    """
    sources, problems = _read_all(config_dir, POLICIES)
    by_kind: dict[str, Source] = {}
    for source in sources:
        kind, wrong = _kind(source, POLICY_KINDS)
        if kind in by_kind:
            wrong = [*wrong, _second(source, by_kind[kind], kind)]
        problems += wrong
        by_kind.setdefault(kind, source)
    folder = _display_name(config_dir, POLICIES)
    absent = [kind for kind in POLICY_KINDS if kind not in by_kind]
    if absent and not problems:
        actual = listed(source.file for source in sources)
        problems += [Problem(folder, 0, "", f"a file of kind {kind}", actual) for kind in absent]
    return _rulebook(by_kind, problems)


def protected_aliases(config_dir: Path, more: str) -> str:
    """Return the aliases that move by grants alone, and *more* of them, separated by commas.

    Raises:
        ConfigurationError: if the policies cannot be read: an alias forgotten would be anybody's.
    """
    added = {alias.strip() for alias in more.split(",") if alias.strip()}
    return ",".join(sorted({*load_rulebook(config_dir).protected_aliases, *added}))


def _rulebook(sources: Mapping[str, Source], problems: list[Problem]) -> RulebookConfig:
    access, approval, risk = (sources.get(kind) for kind in POLICY_KINDS)
    access_policy, wrong = validate(AccessPolicy, access) if access else (None, [])
    problems += wrong
    spec = access_policy.spec if access_policy else None
    context = ApprovalContext(spec.roles, spec.protected_aliases) if spec else None
    approval_policy, wrong = validate(ApprovalPolicy, approval, context) if approval else (None, [])
    problems += wrong
    risk_policy, wrong = validate(RiskPolicy, risk) if risk else (None, [])
    problems += wrong
    if problems or not (access_policy and approval_policy and risk_policy):
        raise ConfigurationError(problems)
    return RulebookConfig(access_policy, approval_policy, risk_policy)


def load_pipelines(config_dir: Path, root: Path | None = None) -> Pipelines:
    """Load all pipelines; paths in them count from *root*, by default the folder above.

    Never raises for a bad file. Without a valid rule book every pipeline is refused, because
    nobody could say what its releases need.
    """
    root = root or config_dir.resolve().parent
    refused: list[ConfigurationError] = []
    rulebook: RulebookConfig | None = None
    try:
        rulebook = load_rulebook(config_dir)
    except ConfigurationError as error:
        refused.append(error)
    context = PipelineContext(root)
    if rulebook:
        context = PipelineContext(root, rulebook.approval.spec, rulebook.risk.spec)
    sources, unreadable = _read_all(config_dir, PIPELINES)
    refused += [ConfigurationError([problem]) for problem in unreadable]
    valid = []
    for source, extra in _with_namesakes(sources):
        model, problems = _pipeline(source, context)
        if not rulebook:
            extra = [
                *extra,
                Problem(source.file, 0, "", "policies that can be in force", "refused ones"),
            ]
        if model is None or extra:
            refused.append(ConfigurationError([*problems, *extra]))
        else:
            valid.append(PipelineConfig(source.file, model))
    return Pipelines(tuple(valid), tuple(refused))


def check(config_dir: Path, root: Path | None = None) -> tuple[Problem, ...]:
    """Return every problem in every file; none means all of it may be used."""
    refused = load_pipelines(config_dir, root).refused
    return tuple(dict.fromkeys(problem for error in refused for problem in error.problems))


def _pipeline(
    source: Source, context: PipelineContext
) -> tuple[ModelPipeline | None, list[Problem]]:
    kind, wrong = _kind(source, {"ModelPipeline": ModelPipeline})
    return validate(ModelPipeline, source, context) if kind else (None, wrong)


def _kind(source: Source, kinds: Mapping[str, type[Strict]]) -> tuple[str, list[Problem]]:
    """Return the kind of a document, or an empty one and why it is none of *kinds*."""
    if not isinstance(source.data, dict):
        return "", [source.problem((), "a mapping", show(source.data)), *source.problems]
    kind = source.data.get("kind")
    if isinstance(kind, str) and kind in kinds:
        return kind, []
    expected = f"one of {listed(kinds)}" if len(kinds) > 1 else next(iter(kinds))
    wrong = source.problem(("kind",), expected, show(kind), nearest(kind, kinds))
    return "", [wrong, *source.problems]


def _second(source: Source, first: Source, kind: str) -> Problem:
    return source.problem(("kind",), f"one file of kind {kind}", f"it also in {first.file}")


def _with_namesakes(sources: list[Source]) -> Iterator[tuple[Source, list[Problem]]]:
    """Yield each source with a problem for every other file that claims the same name."""
    names = [_name(source) for source in sources]
    counts = Counter(name for name in names if name)
    for source, name in zip(sources, names, strict=True):
        others = [
            other.file
            for other, claimed in zip(sources, names, strict=True)
            if name and counts[name] > 1 and claimed == name and other is not source
        ]
        place = ("metadata", "name")
        actual = f'"{name}" also in {listed(others)}'
        yield source, [source.problem(place, "a name of its own", actual)] if others else []


def _name(source: Source) -> str:
    metadata = source.data.get("metadata") if isinstance(source.data, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def _read_all(config_dir: Path, part: str) -> tuple[list[Source], list[Problem]]:
    folder = config_dir / part
    name = _display_name(config_dir, part)
    if not folder.is_dir():
        return [], [Problem(name, 0, "", f"a folder with {part}", "no such folder")]
    sources: list[Source] = []
    problems: list[Problem] = []
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".yaml", ".yml") or path.name.startswith("."):
            continue
        try:
            sources.append(read(path, f"{name}/{path.name}"))
        except ConfigurationError as error:
            problems += error.problems
    return sources, problems


def _display_name(config_dir: Path, part: str) -> str:
    """Return a folder's name as people in the checkout know it: `include/pipelines`."""
    return f"{config_dir.resolve().name}/{part}"
