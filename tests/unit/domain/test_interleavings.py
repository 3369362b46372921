"""Every interleaving of the deciding transaction: two voters, a sweep, crashes, lost answers.

A model of its database steps, small enough to be walked through completely. Each process takes
one step at a time; at any step it may be killed (what was not committed is gone, locks are
released), and an answer may be lost after the commit, so the client sends the same request again.
`safe` is what `airlock.services.approvals.decide` does: the lock first, everything read after it,
the vote unique in the database. The others each leave one thing out, and have to be caught.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest


@dataclass(frozen=True)
class World:
    """The rows: state, votes, grants ever issued, who holds the lock; each process' step and view.

    `sees` is the (state, voters) a process read; `acked` what a client was told; `faults` how many
    crashes and lost answers may still happen.
    """

    state: str = "OPEN"
    votes: tuple[str, ...] = ()
    grants: int = 0
    lock: str = ""
    at: tuple[tuple[str, str], ...] = ()
    sees: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    acked: tuple[str, ...] = ()
    faults: int = 2


#: process -> (whose vote, or nobody: the sweep). Two of them are one person clicking twice.
PROCESSES = {"a": "lena", "a2": "lena", "b": "luis", "sweep": ""}
QUORUM = 2


def successors(world: World, engine: str) -> list[World]:
    """Return every world one step away."""
    worlds = []
    for name, step in world.at:
        if step in ("done", "refused"):
            continue
        worlds += _advance(world, name, step, engine)
        if world.faults and step != "lock":  # killed: rolled back, then asked again
            free = "" if world.lock == name else world.lock
            worlds.append(_go(replace(world, lock=free, faults=world.faults - 1), name, "lock"))
    return worlds


def _advance(world: World, name: str, step: str, engine: str) -> list[World]:
    if step == "lock":
        if engine == "no lock":
            return [_go(world, name, "read")]
        if engine == "read before lock" and not _view(world, name):
            return [_see(world, name)]
        return [] if world.lock else [_go(replace(world, lock=name), name, "read")]
    if step == "read":
        after_read = world if engine == "read before lock" else _see(world, name)
        return [_go(after_read, name, "commit")]
    if step == "commit":
        return _commit(world, name, engine)
    answered = _go(replace(world, acked=(*world.acked, PROCESSES[name])), name, "done")
    lost = _go(replace(world, faults=world.faults - 1), name, "lock")
    return [answered, lost] if world.faults else [answered]


def _commit(world: World, name: str, engine: str) -> list[World]:
    ((_, state, votes),) = _view(world, name)
    voter, free = PROCESSES[name], ("" if world.lock == name else world.lock)
    unlocked = replace(world, lock=free, sees=tuple(v for v in world.sees if v[0] != name))
    if voter and voter in votes and engine != "no duplicate check":
        return [_go(unlocked, name, "answer")]  # the same request again: the same answer
    if state != "OPEN":
        return [_go(unlocked, name, "refused")]
    if voter and voter in world.votes and engine != "no duplicate check":
        return [_go(unlocked, name, "lock")]  # the database refuses the second row
    if not voter:
        return [_go(replace(unlocked, state="EXPIRED"), name, "answer")]
    cast = (*votes, voter) if engine != "no lock" else (*world.votes, voter)
    approved = len((*votes, voter)) >= QUORUM
    return [
        _go(
            replace(
                unlocked,
                state="APPROVED" if approved else world.state,
                votes=cast,
                grants=world.grants + approved,
            ),
            name,
            "answer",
        )
    ]


def _go(world: World, name: str, step: str) -> World:
    at = tuple((process, step if process == name else was) for process, was in world.at)
    sees = tuple(v for v in world.sees if v[0] != name) if step == "lock" else world.sees
    return replace(world, at=at, sees=sees)


def _see(world: World, name: str) -> World:
    rest = tuple(view for view in world.sees if view[0] != name)
    return replace(world, sees=(*rest, (name, world.state, world.votes)))


def _view(world: World, name: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [view for view in world.sees if view[0] == name]


def broken(world: World) -> str:
    """Say which rule a world breaks, or nothing."""
    if len(set(world.votes)) < len(world.votes):
        return "one person, two votes"
    if world.grants > (world.state == "APPROVED"):
        return "a grant, but not approved; or two grants"
    if world.state == "APPROVED" and len(set(world.votes)) < QUORUM:
        return "approved without its votes"
    if any(voter and voter not in world.votes for voter in world.acked):
        return "an acknowledged vote is lost"
    settled = all(step in ("done", "refused") for _, step in world.at)
    if settled and world.state == "OPEN" and len(world.votes) >= QUORUM:
        return "stuck: all votes are in and nothing happened"
    return ""


def explore(engine: str) -> tuple[int, set[str]]:
    """Walk through every reachable world, or to the first bad one; return how many, and why."""
    first = World(at=tuple((name, "lock") for name in PROCESSES))
    visited, todo, problems = {first}, [first], set()
    while todo and not problems:
        world = todo.pop()
        problems |= {broken(world)} - {""}
        for following in successors(world, engine):
            if following not in visited:
                visited.add(following)
                todo.append(following)
    return len(visited), problems


def test_the_deciding_transaction_has_no_bad_interleaving() -> None:
    """Invariants 3, 6, 8 and 12 in every order of steps, with two faults anywhere."""
    worlds, problems = explore("safe")
    assert problems == set()
    assert worlds > 1000


@pytest.mark.parametrize("engine", ["no lock", "read before lock", "no duplicate check"])
def test_leaving_one_thing_out_is_caught(engine: str) -> None:
    assert explore(engine)[1]
