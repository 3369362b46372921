"""What all kinds of document share: strict models, exact types, and errors people can use.

Models refuse unknown keys and never convert: `"5"` is not a number and `yes` is not a boolean.
In YAML keys are camelCase, in Python snake_case. A validator that knows more than pydantic says
so with `refuse(Trouble(...))`; one call may name several places below its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal, NoReturn, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pydantic_core import ErrorDetails, PydanticCustomError

from airlock.config.problems import Place, Problem, listed, nearest, show
from airlock.config.source import Source
from airlock.domain.digest import plain

T = TypeVar("T")
#: The version every document states.
ApiVersion = Literal["airlock/v1"]

#: A YAML list. Only the list itself is converted (to a tuple); its items stay strict.
Items = Annotated[tuple[T, ...], Field(strict=False)]


class Strict(BaseModel):
    """Base of every model: frozen, exact types, no unknown keys, camelCase outside."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=to_camel, allow_inf_nan=False
    )


@dataclass(frozen=True)
class Trouble:
    """Something a validator does not accept, at a place below the field it looks at."""

    place: Place
    expected: str
    actual: str
    nearest: str = ""


def refuse(*troubles: Trouble) -> NoReturn:
    """Refuse the value a validator looks at."""
    raise PydanticCustomError("airlock", "refused", {"troubles": troubles})


def settle(troubles: Iterable[Trouble]) -> None:
    """Refuse if there are troubles, else do nothing."""
    if refused := tuple(troubles):
        refuse(*refused)


def distinct(values: tuple[T, ...]) -> tuple[T, ...]:
    """Refuse a list that says something twice."""
    again = (index for index, value in enumerate(values) if value in values[:index])
    settle(Trouble((index,), "each one once", f"{show(values[index])} again") for index in again)
    return values


def unknown(place: Place, word: object, choices: Iterable[str], description: str = "") -> Trouble:
    """Return the trouble of a word that is not among the choices."""
    words = list(choices)
    expected = f"{description or 'one of'} {listed(sorted(words))}"
    return Trouble(place, expected, show(word), nearest(word, words))


def _spelled(pattern: str, longest: int, expected: str, value: str) -> str:
    if len(value) > longest or not re.fullmatch(pattern, value):
        refuse(Trouble((), expected, show(value)))
    return value


def _text(pattern: str, longest: int, expected: str) -> tuple[Any, Any]:
    check: Callable[[str], str] = partial(_spelled, pattern, longest, expected)
    extra: JsonDict = {"pattern": f"^(?:{pattern})$", "maxLength": longest}
    return AfterValidator(check), Field(json_schema_extra=extra)


# Names are plain ASCII, so that no look-alike letter can stand for a person or a role.
_SLUG = _text(
    r"[a-z][a-z0-9]*(-[a-z0-9]+)*",
    50,
    "a name of lower-case letters, digits and single hyphens, at most 50",
)
_ROLE = _text(r"[a-z][a-z0-9_]*", 50, "a role name of lower-case letters, digits and _")
_FACT = _text(r"[a-z][A-Za-z0-9]*", 50, "a fact name in camelCase, at most 50 letters and digits")
_PERSON = _text(
    r"[A-Za-z0-9][A-Za-z0-9._@+-]*", 100, "a user name of plain letters, digits and . _ @ + -"
)
_LINE = _text(r"[^\x00-\x1f\x7f]*", 500, "one line of text, at most 500 characters")


def _filled(value: T) -> T:
    if not value:
        refuse(Trouble((), "at least one entry", show(value)))
    return value


# Not pydantic's min_length: it counts valid items only, and so reports one mistake twice.
FILLED = AfterValidator(_filled)
#: A YAML list that must not be empty.
Some = Annotated[tuple[T, ...], Field(strict=False, json_schema_extra={"minItems": 1}), FILLED]
Slug = Annotated[str, _SLUG[0], _SLUG[1]]
RoleName = Annotated[str, _ROLE[0], _ROLE[1]]
FactName = Annotated[str, _FACT[0], _FACT[1]]
PersonId = Annotated[str, _PERSON[0], _PERSON[1]]
Line = Annotated[str, _LINE[0], _LINE[1]]


class Metadata(Strict):
    """The name of a policy."""

    name: Slug
    description: Line = ""


Model = TypeVar("Model", bound=Strict)


def validate(
    model: type[Model], source: Source, context: object = None
) -> tuple[Model | None, list[Problem]]:
    """Return the model, or everything that is wrong with the source."""
    problems = list(source.problems)
    try:
        parsed = model.model_validate(source.data, context=context)
    except ValidationError as error:
        complaints = (
            problem
            for details in error.errors(include_url=False)
            for problem in _problems(details, model, source)
        )
        problems += [problem for problem in complaints if not _covered(problem, source.problems)]
        return None, problems
    return (None if problems else parsed), problems


def _covered(problem: Problem, explained: Iterable[Problem]) -> bool:
    """Say whether YAML already explained this place: then the schema's complaint is noise."""
    return any(
        problem.path == other.path or problem.path.startswith((f"{other.path}.", f"{other.path}["))
        for other in explained
    )


def _problems(details: ErrorDetails, model: type[Strict], source: Source) -> list[Problem]:
    troubles: tuple[Trouble, ...]
    if details["type"] == "airlock":
        place = _place(details)
        below: tuple[Trouble, ...] = details["ctx"]["troubles"]
        troubles = tuple(replace(trouble, place=(*place, *trouble.place)) for trouble in below)
    else:
        troubles = (complaint(details, model),)
    return [
        source.problem(trouble.place, trouble.expected, trouble.actual, trouble.nearest)
        for trouble in troubles
    ]


def complaint(details: ErrorDetails, model: type[Strict], above: Place = ()) -> Trouble:
    """Return one of pydantic's errors in our words; *above* is where the model sits."""
    place = _place(details)
    if details["type"] == "extra_forbidden":
        keys = keys_of(model, place[:-1])
        expected = f"only the keys {listed(keys)}" if keys else "no further keys"
        actual = f'the key "{place[-1]}"'
        return Trouble((*above, *place), expected, actual, nearest(place[-1], keys))
    actual = "nothing" if details["type"] == "missing" else show(details["input"])
    expected, choices = _expected(details["type"], details.get("ctx", {}))
    return Trouble((*above, *place), expected, actual, nearest(details["input"], choices))


def _place(details: ErrorDetails) -> Place:
    return tuple(part for part in details["loc"] if part != "[key]")


_WORDS = {
    "missing": "a value for this key",
    "bool_type": "true or false",
    "string_type": "text (in quotes, if it looks like a number)",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
}

_BOUNDS = ("gt", "ge", "lt", "le")


def _expected(kind: str, context: Mapping[str, Any]) -> tuple[str, list[str]]:
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", str(context["expected"]))
        return (f"one of {listed(choices)}" if len(choices) > 1 else choices[0]), choices
    bounds = {name: f"{bound:.10g}" for name, bound in context.items() if name in _BOUNDS}
    return _WORDS.get(kind, kind.replace("_", " ")).format(**bounds), []


def keys_of(model: type[BaseModel], place: Place) -> list[str]:
    """Return the keys allowed at *place* in documents of *model*."""
    annotation: Any = model
    for part in place:
        annotation = inner_type(annotation, part)
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return []
    fields = annotation.model_fields.items()
    return [field.alias or name for name, field in fields]


def inner_type(annotation: Any, part: str | int) -> Any:
    """Return the type of one key or item of a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            if part in (field.alias, name):
                return _unwrapped(field.annotation)
        return None
    inner = get_args(annotation)
    return _unwrapped(inner[0] if isinstance(part, int) else inner[-1]) if inner else None


def _unwrapped(annotation: Any) -> Any:
    """Take `Annotated[...]` and `... | None` off a type."""
    if get_origin(annotation) is Annotated:
        return _unwrapped(get_args(annotation)[0])
    options = [argument for argument in get_args(annotation) if argument is not type(None)]
    is_optional = type(None) in get_args(annotation)
    return _unwrapped(options[0]) if is_optional and len(options) == 1 else annotation


def document(model: Strict) -> dict[str, Any]:
    """Return the canonical plain document: camelCase, defaults filled in, open ones left out.

    Equal values are spelled one way, however they were written: numbers here, paths, times and
    the like by their own types.
    """
    written: dict[str, Any] = plain(model.model_dump(mode="json", by_alias=True, exclude_none=True))
    return written
