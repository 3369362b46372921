"""Public holidays, from the library `holidays`.

Asked once, when a policy is read: the dates become part of the policy document, so that deadlines
depend on what was registered and never on which version of the library somebody has installed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date


def countries() -> dict[str, list[str]]:
    """Return the countries known, each with its subdivisions."""
    from holidays import list_supported_countries

    return {name: list(parts) for name, parts in list_supported_countries().items()}


def public_holidays(country: str, subdivision: str | None, years: Iterable[int]) -> list[date]:
    """Return the public holidays of some years, in order."""
    from holidays import country_holidays

    return sorted(country_holidays(country, subdiv=subdivision, years=list(years)))
