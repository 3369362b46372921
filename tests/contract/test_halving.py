"""A second process walks through half of the log: it sees what the first sees, and may die."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from airlock.adapters.keys.ed25519 import FileKeyring, FileSigner
from airlock.adapters.sql_store.log.parallel_reader import Helper
from airlock.domain.log.erasable_texts import TextCheck
from airlock.domain.log.merkle import Frontier
from airlock.domain.log.partition import half_from_document
from airlock.domain.log.tree import Tree
from airlock.services.audit import transparency_log, verification
from airlock.services.audit.log_store import LogWork
from airlock.services.audit.parallel_verification import Halving, Split, halved, job_of
from airlock.testing import World
from tests.contract.tree_kit import copies, keys

HALVES = Split(size=1, processors=1, patience_s=60)


@pytest.fixture
def signed(tmp_path: Path) -> tuple[FileSigner, FileKeyring]:
    return keys(tmp_path)


@pytest.fixture
def told(world: World, signed: tuple[FileSigner, FileKeyring], tmp_path: Path) -> World:
    """Return a world with a promoted release, everything in the tree and copied."""
    world.signer, world.keys = signed  # type: ignore[assignment]
    release_id = world.open("one")
    world.approve_all(release_id)
    transparency_log.checkpoint_now(world.store, signed[0])
    world.promote(release_id)
    transparency_log.checkpoint_now(world.store, signed[0])
    transparency_log.publish(world.store, copies(tmp_path))
    return world


def size_of(unit: LogWork) -> int:
    tree = unit.tree()
    assert tree is not None
    return tree.size


def test_a_sound_log_is_walked_through_by_two(
    told: World, signed: tuple[FileSigner, FileKeyring], tmp_path: Path
) -> None:
    kept = copies(tmp_path).checkpoints()
    assert any(one.leaves for one in kept)
    with told.store.begin() as unit:
        unit.hold_still()
        with halved(unit, unit.tree(), (), [one.leaves for one in kept], HALVES) as halving:
            assert halving is not None
            chains = halving.walk(TextCheck(unit.texts_of))
        assert chains is not None
        assert chains.count == size_of(unit)
        assert list(chains.close(unit.heads())) == []
    report = verification.verify(told.store, signed[1], kept, split=HALVES)
    assert report.ok, report.damages
    assert report == verification.verify(told.store, signed[1], kept)


def test_a_helper_that_was_killed_is_no_help_and_no_harm(told: World) -> None:
    with told.store.begin() as unit:
        unit.hold_still()
        helper = unit.helper(job_of(9, (), 0))
        assert isinstance(helper, Helper)
        assert helper.pid is not None
        os.kill(helper.pid, signal.SIGKILL)
        assert helper.answer(60) is None
        assert helper.failed()
        walk = Halving(unit, helper, 9, (), (), patience_s=60)
        assert walk.walk(TextCheck(unit.texts_of)) is None
        helper.stop()


def test_a_helper_that_is_late_is_not_waited_for(
    told: World, signed: tuple[FileSigner, FileKeyring]
) -> None:
    hasty = Split(size=1, processors=1, patience_s=0)
    report = verification.verify(told.store, signed[1], split=hasty)
    assert report.ok, report.damages
    assert report == verification.verify(told.store, signed[1])


def test_a_helper_whose_tree_has_gone_says_nothing(told: World) -> None:
    with told.store.begin() as unit:
        unit.hold_still()
        helper = unit.helper(job_of(size_of(unit) + 1, (), 0))
        assert helper is not None
        assert helper.answer(60) is None
        helper.stop()


def test_the_helper_sees_the_log_as_it_was_though_it_grows_meanwhile(
    told: World, signed: tuple[FileSigner, FileKeyring], request: pytest.FixtureRequest
) -> None:
    """On SQLite nothing can be written meanwhile; there it sees the last commit."""
    with told.store.begin() as unit:
        unit.hold_still()
        size = size_of(unit)
        before = Frontier.load(9, unit.nodes).subtrees
        helper = unit.helper(job_of(9, (), 0))
        assert helper is not None
        if "postgres" in request.node.name:
            release_id = told.open("two")
            told.approve_all(release_id)
            transparency_log.checkpoint_now(told.store, signed[0])
            with told.store.begin() as later:
                assert size_of(later) > size
        answer = helper.answer(60)
        helper.stop()
    assert answer is not None
    half = half_from_document(answer)
    assert (half.begin, half.end, half.before) == (9, size, before)


@pytest.mark.parametrize(
    ("split", "place"),
    [
        (Split(size=1_001, processors=1), 0),
        (Split(size=1_000, processors=1_000), 0),
        (Split(size=1_000, processors=1), 437),
    ],
)
def test_no_helper_is_started_where_it_does_not_pay(split: Split, place: int) -> None:
    assert split.at(Tree("airlock/test", 1_000)) == place
    assert split.at(None) == 0
