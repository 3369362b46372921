"""What a target has to be, said in the same words by the pin, the children, drafts and checks."""

from __future__ import annotations

from typing import Any

from airlock.tables.errors import Problem
from airlock.tables.schema import kind_of

_ENCODE = "encode it in the source: a classification has 0 and 1"
_EXAMPLES = 5


def target_problem(
    values: Any, target: str, task: str | None, where: str = "the data"
) -> Problem | None:
    """Return why nothing can be learned from a target; None if it is fit.

    *values* is an Arrow column, *task* classification or regression, or None where nobody has said.
    """
    import pyarrow
    import pyarrow.compute as compute

    about = f"the target {target!r}"
    kind = kind_of(values.type)
    if pyarrow.types.is_floating(values.type):
        values = compute.if_else(compute.is_nan(values), pyarrow.scalar(None, values.type), values)
    if missing := values.null_count:
        share = "all" if missing == len(values) else f"{missing}"
        text = f"{share} of {len(values)} values of {about} are missing"
        return Problem(text, "leave out the rows without an answer, in the source")
    if kind != "number":
        return Problem(
            f"{about} holds {kind} ({_format_examples(values)}); expected numbers", _ENCODE
        )
    if not compute.all(compute.is_finite(values)).as_py():
        return Problem(f"{about} holds infinite values", "leave those rows out, in the source")
    if task == "classification":
        return _classes(compute.unique(values), about, where)
    return None


def _classes(distinct: Any, about: str, where: str) -> Problem | None:
    classes = sorted(distinct.to_pylist())
    if len(classes) == 1:
        text = f"{about} has one class only ({classes[0]!r}) in {where}; expected 0 and 1"
        return Problem(text, "take rows of both classes")
    if classes != [0, 1]:
        examples = ", ".join(map(repr, classes[:_EXAMPLES]))
        more = f" and {len(classes) - _EXAMPLES} more" if len(classes) > _EXAMPLES else ""
        return Problem(f"{about} has the classes {examples}{more}; expected 0 and 1", _ENCODE)
    return None


def _format_examples(values: Any) -> str:
    """Return a few of the different values."""
    import pyarrow
    import pyarrow.compute as compute

    if pyarrow.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    distinct = compute.unique(values).to_pylist()
    if all(isinstance(value, bool) for value in distinct):
        distinct = sorted(distinct)
    examples = ", ".join(str(value)[:30] for value in distinct[:_EXAMPLES])
    more = f" and {len(distinct) - _EXAMPLES:,} more" if len(distinct) > _EXAMPLES else ""
    return examples + more
