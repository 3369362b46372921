"""What a collector may look at: one candidate, what serves now, the rows, and the lab itself.

Everything is fetched when it is first asked for: a scan of files needs no rows, and the first
release of a model has no champion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.adapters.jobs.requests import LabData, Limits
from airlock.domain.approval.release import Subject
from airlock.domain.errors import NotFound
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.services.pipeline.steps import Origin
from airlock.services.pipeline.training_runtime import Case

if TYPE_CHECKING:
    from airlock.adapters.jobs.runner import Lab


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamCode:
    """The model team's own code in the checkout *root*, and what it is run with.

    *code* says which it is; *data* is the digest of the rows, which *rows_of* returns.
    """

    lab: Lab
    recipe: Recipe
    root: Path
    code: Origin
    data: str
    rows_of: Callable[[Recipe, str], LabData]

    @property
    def rows(self) -> LabData:
        """The rows it may see."""
        return self.rows_of(self.recipe, self.data)

    def limits(self, gate: str) -> Limits:
        """Return the limits of running it for *gate*: its own stage's, or those of evaluation."""
        return limits_of(self.recipe, gate)


#: Runs the team's code for one kind of evidence and leaves what came out in a folder.
Run = Callable[[TeamCode, Path], None]


def limits_of(recipe: Recipe, gate: str) -> Limits:
    """Return the limits of collecting for *gate*: its own stage's, or those of evaluation."""
    budget = recipe.budget(gate)
    return Limits(budget.seconds, budget.memory_mb, budget.threads)


@dataclass(frozen=True, slots=True)
class Collected:
    """The facts of one kind of evidence, and files that are kept beside it by digest."""

    facts: dict[str, Any]
    files: Mapping[str, Path] = field(default_factory=dict)


def _no_tag(name: str) -> str:
    return ""


def _unknown_code(_recipe: Recipe) -> Origin:
    return Origin(code_commit="", lock_digest="")


def _nothing(_kind: str) -> None:
    return None


def _no_card(_path: Path) -> tuple[None, list[dict[str, str]]]:
    return None, [{"place": "", "expected": "somebody who can read cards", "found": "nobody"}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One candidate to collect evidence about.

    *root* is the checkout. *model_of* returns a version's files, held against the digest that was
    registered or approved; *rows_of* the pinned rows of a data digest; *keys* are those whose model
    signatures are trusted; *tag_of* reads what was noted with the candidate when it was registered.
    *kept* returns a file of evidence by its digest; *code_of* says which code and which libraries
    are here now; *card_of* reads a model card: its document, and everything wrong with it.
    *handed_over* returns what the team's code left for a kind of evidence where it has run
    already, and None where it is to run here.
    """

    lab: Lab
    case: Case
    root: Path
    keys: Path
    model_of: Callable[[str, str], Path]
    rows_of: Callable[[Recipe, str], LabData]
    evidence_file: Callable[[str], Path]
    tag_of: Callable[[str], str] = _no_tag
    code_of: Callable[[Recipe], Origin] = _unknown_code
    card_of: Callable[[Path], tuple[Any, list[dict[str, str]]]] = _no_card
    handed_over: Callable[[str], Path | None] = _nothing

    def outcome(self, kind: str, run: Run) -> Path:
        """Return the folder with what the team's own code left for a kind of evidence."""
        folder = self.handed_over(kind)
        if folder is None:
            folder = self.lab.workspace(kind, self.recipe.name)
            run(self.team_code, folder)
        return folder

    @property
    def team_code(self) -> TeamCode:
        """The team's own code, to be run here for this candidate."""
        candidate = self.case.candidate
        return TeamCode(
            lab=self.lab,
            recipe=self.recipe,
            root=self.root,
            code=Origin(code_commit=candidate.code_commit, lock_digest=candidate.lock_digest),
            data=candidate.data_digest,
            rows_of=self.rows_of,
        )

    @property
    def recipe(self) -> Recipe:
        """The pipeline."""
        return self.case.recipe

    @property
    def champion(self) -> Subject | None:
        """What serves now, as it was approved."""
        return self.case.champion

    @property
    def model(self) -> Path:
        """The candidate's files, its signature beside the folder."""
        return self.model_of(self.case.candidate.version, self.case.candidate.artifact_digest)

    @property
    def champion_model(self) -> Path | None:
        """The files of what serves now."""
        champion = self.champion
        return self.model_of(champion.version, champion.artifact_digest) if champion else None

    @property
    def rows(self) -> LabData:
        """The rows the candidate was made from and is measured on."""
        return self.rows_of(self.recipe, self.case.candidate.data_digest)

    @property
    def champion_rows(self) -> LabData | None:
        """The rows of what serves now."""
        return self.rows_of(self.recipe, self.champion.data_digest) if self.champion else None

    def facts(self, kind: str) -> Mapping[str, Any]:
        """Return the facts the steps before have left about this candidate.

        Raises:
            NotFound: if they left none of this kind.
        """
        if kind not in self.case.facts:
            raise NotFound(
                f"there is no evidence {kind} about version {self.case.candidate.version}",
                next_step="Look at the tasks of this run before the gates.",
            )
        return self.case.facts[kind]

    def limits(self, gate: str) -> Limits:
        """Return the limits of collecting for *gate*: its own stage's, or those of evaluation."""
        return limits_of(self.recipe, gate)

    def options(self, gate: str) -> Mapping[str, Any]:
        """Return the options of a gate: those of the case, else those of the pipeline."""
        if self.case.options.get("gate") == gate:
            return self.case.options
        return next((declared for declared in self.recipe.gates if declared["gate"] == gate), {})
