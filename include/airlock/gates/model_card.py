"""model-card: does somebody answer for this model, in words, for all that numbers cannot say?

The owner completes `model_card.yaml` beside the model's code. Every field is there, filled, longer
than a shrug, and not the draft's placeholder; the card is about this model and names the owner the
pipeline names. The measured part is generated from evidence, and the whole is kept as a page. The
gate reads the answers; it cannot tell whether they are true. The approvers do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.gates.inputs import text

#: The owner's file, in the folder of the model's code.
CARD = "model_card.yaml"
#: What the owner has to say; a list has at least one entry.
REQUIRED = (
    "intendedUse.purpose",
    "intendedUse.users",
    "intendedUse.outOfScope",
    "limits",
    "data.description",
    "data.collection",
    "data.licence",
    "data.personalData",
    "risk.affected",
    "risk.harm",
    "risk.oversight",
    "risk.fairness",
    "risk.monitoring",
)
#: Words that hold a place for an answer.
_PLACEHOLDER = re.compile(
    r"\b(todo|tbd|tbc|fixme|xxx+|lorem ipsum|placeholder|changeme|coming soon)\b"
    r"|\bto be (done|defined|determined|written)\b|\bfill (me |this )?in\b"
    r"|<[^<>]*>|\?\?\?|_{3,}|\.\.\.\s*$",
    re.IGNORECASE,
)
#: Fields in which two words can be an answer, such as a licence.
_SHORT = ("data.licence",)
_NAMED = 8


@dataclass(frozen=True)
class ModelCard:
    """Every field of the card is answered, with at least *min_words* words."""

    name: ClassVar[str] = "model-card"
    needs: ClassVar[tuple[str, ...]] = ("model-card",)
    limit: ClassVar[Limit] = "at least"

    min_words: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.min_words <= 100:
            raise ValueError(f"min_words must be from 1 to 100, found {self.min_words}")

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Name every field that is missing, empty or a placeholder."""
        source = evidence[self.needs[0]]
        facts = source.facts
        text(facts["path"], "the card's path")
        wrong = self.wrong(facts)
        if facts["card"] is None and not wrong:
            raise ValueError("there is neither a card nor a reason why not")
        answered: list[str] = []
        if facts["card"] is not None:
            spec = facts["card"]["spec"]
            answered = [field for field in REQUIRED if not self._fault(spec, field)]
            if not wrong:
                rendered = [text(digest, "the page's digest") for digest in facts["files"].values()]
                metrics = [text(metric, "a metric") for metric in facts["generated"]["metrics"]]
                if not (rendered and metrics):
                    raise ValueError("the card was not rendered with its measured part")
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=Verdict.FAILED if wrong else Verdict.PASSED,
            measured=float(len(answered)),
            threshold=float(len(REQUIRED)),
            n=len(REQUIRED),
            unit="fields",
            evidence=(source.digest,),
            message=f"{'; '.join(wrong[:_NAMED])}{more}; complete {facts['path']}"
            if wrong
            else f"{len(answered)} fields answered by {facts['card']['metadata']['owner']}, "
            f"{len(facts['generated']['plots'])} plots",
            details={"wrong": wrong, "generated": facts["generated"]},
        )

    def wrong(self, facts: Mapping[str, Any]) -> list[str]:
        """Name the problems of the owner's part: the file, its owner, every answer."""
        problems = [
            f"{problem['place'] or facts['path']}: expected {problem['expected']}, found "
            f"{problem['found']}"
            for problem in facts["problems"]
        ]
        if facts["card"] is None:
            return problems
        field_faults = {field: self._fault(facts["card"]["spec"], field) for field in REQUIRED}
        faults = [f"{field} {fault}" for field, fault in field_faults.items() if fault]
        return [*problems, *_ownership_faults(facts), *faults]

    def _fault(self, spec: Mapping[str, Any], field: str) -> str:
        """Return the fault of one answer, or an empty text."""
        value: Any = spec
        for part in field.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        texts = [value] if isinstance(value, str) else list(value or [])
        if not texts or not all(str(entry).strip() for entry in texts):
            return "is empty" if value is not None else "is missing"
        for entry in texts:
            if placeholder := _PLACEHOLDER.search(str(entry)):
                return f'holds the placeholder "{placeholder[0].strip()}"'
        least = 1 if field in _SHORT else self.min_words
        if any(len(str(entry).split()) < least for entry in texts):
            return f"says too little (at least {least} words)"
        return ""


def _ownership_faults(facts: Mapping[str, Any]) -> Iterator[str]:
    """Report a card whose model or owner is not the pipeline's."""
    for key, expected in (("name", facts["pipeline"]), ("owner", facts["owner"])):
        if (actual := facts["card"]["metadata"][key]) != expected:
            yield f"metadata.{key}: expected {expected} as in the pipeline, found {actual}"
