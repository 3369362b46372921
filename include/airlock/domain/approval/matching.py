"""Filling the seats of rules with people.

Rules:
* Votes are matched to seats by maximum bipartite matching, anew at every vote and for every way
  of meeting the rules, so no order of voting deadlocks a policy that can be satisfied (GitLab
  issue 425759 is the known case).
* One person fills at most one seat, over all rules of all levels.
* What is missing is said rule by rule, with the people who could give it.

This module does not know who was excluded; callers pass only people who may count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from airlock.domain.approval.rules import AllOf, AnyOf, Holders, People, Quorum, Rule, Simple, Way


@dataclass(frozen=True, slots=True)
class Missing:
    """A rule that still lacks people: for a composed one, *rule* is what remains of it."""

    rule: Rule
    count: int
    candidates: tuple[str, ...]

    def sentence(self) -> str:
        """Name what is missing, and the people who can give it."""
        people = ", ".join(self.candidates) or "nobody who is active and may answer"
        return f"{self.rule.sentence(self.count)} ({people})"


#: One way for every rule: what is tried as a whole.
_Choice = tuple[Way, ...]


def _choices(rules: Sequence[Rule]) -> Iterator[_Choice]:
    return product(*(rule.ways() for rule in rules))


def _free(
    choice: _Choice, voters: Collection[str], holders: Holders, pool: Collection[str] = ()
) -> list[tuple[int, Simple]]:
    """Return every seat of *choice* no voter can be matched to, with the index of its rule.

    Kuhn's algorithm for maximum bipartite matching; seats x voters is tiny. Voters are seated
    first; then, where it can be chosen which seats stay free, those *pool* can fill do.
    """
    seats = [
        (i, simple) for i, way in enumerate(choice) for simple in way for _ in range(simple.count)
    ]
    occupants: dict[int, str] = {}

    def place(person: str, tried: set[int]) -> bool:
        roles = holders.get(person, frozenset())
        for seat, (_, simple) in enumerate(seats):
            if seat in tried or not simple.fits(person, roles):
                continue
            tried.add(seat)
            if seat not in occupants or place(occupants[seat], tried):
                occupants[seat] = person
                return True
        return False

    for person in (*sorted(voters), *sorted(set(pool) - set(voters))):
        place(person, set())
    return [seat for number, seat in enumerate(seats) if occupants.get(number) not in voters]


def _nearest(
    rules: Sequence[Rule], voters: Collection[str], holders: Holders
) -> tuple[_Choice, list[tuple[int, Simple]]]:
    """Return the choice that lacks fewest people, and what it lacks."""
    tried = ((choice, _free(choice, voters, holders)) for choice in _choices(rules))
    return min(tried, key=lambda pair: len(pair[1]))


def unfilled(rules: Sequence[Rule], voters: Collection[str], holders: Holders) -> list[int]:
    """Return, for every seat no voter can be matched to, the index of its rule.

    Of several ways to meet the rules, the one that lacks fewest people counts.
    """
    return [index for index, _ in _nearest(rules, voters, holders)[1]]


def missing(
    rules: Sequence[Rule], voters: Collection[str], holders: Holders, pool: Collection[str]
) -> tuple[Missing, ...]:
    """Return the gaps of *rules* after *voters*, with the people of *pool* who could fill them.

    Raises:
        ValueError: if there are no rules; a level without rules is never complete.
    """
    if not rules:
        raise ValueError("a level without rules can never be complete")
    choice, lacks = _nearest(rules, voters, holders)
    if not lacks:
        return ()
    free = _free(choice, voters, holders, pool)
    fitting = [p for p in sorted(set(pool) - set(voters)) if _fits_any(rules, p, holders)]
    helpful = [p for p in fitting if _helps(rules, voters, holders, p)]
    gaps = []
    for index in sorted({index for index, _ in free}):
        rest = _rest(rules[index], index, choice, voters, holders, pool)
        able = tuple(p for p in helpful if rest.fits(p, holders.get(p, frozenset())))
        gaps.append(Missing(rest, [i for i, _ in free].count(index), able))
    named = {person for item in gaps for person in item.candidates}
    aside = (*gaps[0].candidates, *(person for person in helpful if person not in named))
    # Whoever helps by moving somebody who has voted to another seat is named at the first gap.
    return (replace(gaps[0], candidates=tuple(sorted(aside))), *gaps[1:])


def _fits_any(rules: Sequence[Rule], person: str, holders: Holders) -> bool:
    roles = holders.get(person, frozenset())
    return any(rule.fits(person, roles) for rule in rules)


def _helps(rules: Sequence[Rule], voters: Collection[str], holders: Holders, person: str) -> bool:
    """Say whether *person* brings at least one way of meeting the rules forward."""
    return any(
        len(_free(choice, {*voters, person}, holders)) < len(_free(choice, voters, holders))
        for choice in _choices(rules)
    )


def _rest(
    rule: Rule,
    index: int,
    choice: _Choice,
    voters: Collection[str],
    holders: Holders,
    pool: Collection[str],
) -> Rule:
    """Return what remains of one rule, in each of its ways, the other rules left as chosen."""
    if isinstance(rule, Quorum | People):
        return rule
    left: list[Rule] = []
    for way in rule.ways():
        changed = (*choice[:index], way, *choice[index + 1 :])
        lacks = [simple for i, simple in _free(changed, voters, holders, pool) if i == index]
        parts = tuple(part for simple in dict.fromkeys(lacks) for part in _split(simple, lacks))
        if parts:
            left.append(AllOf(parts) if len(parts) > 1 else parts[0])
    return AnyOf(tuple(left)) if len(left) > 1 else left[0]


def _split(simple: Simple, lacks: Sequence[Simple]) -> Iterator[Simple]:
    """Yield one rule per gap: the same people may be asked for twice in one way."""
    left = list(lacks).count(simple)
    while left > 0:
        yield replace(simple, count=min(left, simple.count))
        left -= simple.count


#: Rules with the people who may sit there: one group per level.
Group = tuple[Sequence[Rule], Collection[str]]


def seatable(groups: Sequence[Group], holders: Holders) -> bool:
    """Say whether distinct people can fill some way of every rule of every group.

    Exact: all ways are searched, and a way is given up as soon as one seat stays empty.
    """
    todo = [(rule.ways(), frozenset(people)) for rules, people in groups for rule in rules]
    return _search(todo, 0, {}, holders)


_Seat = tuple[int, Simple, frozenset[str]]


def _search(
    todo: Sequence[tuple[tuple[Way, ...], frozenset[str]]],
    index: int,
    assignment: Mapping[str, _Seat],
    holders: Holders,
) -> bool:
    if index == len(todo):
        return True
    ways, people = todo[index]
    for way in ways:
        now = dict(assignment)
        seats = [simple for simple in way for _ in range(simple.count)]
        filled = all(_sit((len(now), simple, people), now, holders, set()) for simple in seats)
        if filled and _search(todo, index + 1, now, holders):
            return True
    return False


def _sit(seat: _Seat, assignment: dict[str, _Seat], holders: Holders, tried: set[str]) -> bool:
    """Fill one more seat, moving people who sit elsewhere aside if that helps."""
    _, simple, people = seat
    for person in sorted(people):
        if person in tried or not simple.fits(person, holders.get(person, frozenset())):
            continue
        tried.add(person)
        if person not in assignment or _sit(assignment[person], assignment, holders, tried):
            assignment[person] = seat
            return True
    return False
