"""The detector over both databases: every kind of finding, told once, mended, and going blind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from airlock.domain.errors import Refused, Unreachable
from airlock.domain.registry_drift import Kind, SpentThere
from airlock.services.audit import access_log
from airlock.services.notifications import outbox_relay
from airlock.services.registry import drift, drift_log
from airlock.services.registry.drift import Detector
from airlock.testing import PEOPLE, RULEBOOK, FakeAirflow, FakeClock, FakeWatch, World
from tests.contract.conftest import BuiltOnce, Database

MakeWorld = Callable[..., World]


@pytest.fixture
def site(make_world: MakeWorld, clock: FakeClock, built_once: BuiltOnce) -> World:
    """A world whose model serves version 1, and has a version 2 nobody approved."""
    book: dict[str, Any] = deepcopy(dict(RULEBOOK))
    may = {"inherits": ["viewer"], "permissions": ["release:promote"]}
    book["access"]["spec"]["roles"]["operator"] = may

    def build() -> tuple[World, None]:
        world = make_world(clock=clock, rulebook=book, folks={**PEOPLE, "otto": "operator"})
        promoted(world)
        world.registry.add("credit", b"evil")
        return world, None

    return built_once("a model that serves version 1", build)[0]


def promoted(world: World, run: str = "run-1", auc: float = 0.8) -> str:
    release_id = world.open(run, auc=auc)
    world.approve_all(release_id)
    world.promote(release_id, run)
    return release_id


@pytest.fixture
def watch(site: World) -> FakeWatch:
    return FakeWatch(site.registry)


@pytest.fixture
def detector(site: World, watch: FakeWatch) -> Detector:
    return Detector(site.store, watch)


def kinds(found: drift.Round) -> list[str]:
    return [one.kind.value for one in found.drifts]


def opened(world: World) -> list[dict[str, Any]]:
    with world.store.begin() as unit:
        return list(drift_log.opened(unit).values())


def events(world: World) -> list[str]:
    return [one["what"] for one in access_log.events(world.store, drift_log.STREAM)]


def test_with_nothing_released_it_says_that_it_compared_nothing(make_world: MakeWorld) -> None:
    world = make_world()
    found = Detector(world.store, FakeWatch(world.registry)).look()
    assert (found.lines, found.aliases, found.grants, found.drifts) == (0, 0, 0, ())


def test_what_is_as_released_is_no_finding(site: World, detector: Detector) -> None:
    found = detector.look()
    assert (found.lines, found.aliases, found.grants, found.unprotected) == (1, 1, 1, 0)
    assert detector.weigh().hashed == 1
    assert (found.drifts, events(site)) == ((), [])


def moved(world: World, watch: FakeWatch) -> None:
    world.registry.aliases["credit", "champion"] = "2"


def gone(world: World, watch: FakeWatch) -> None:
    del world.registry.aliases["credit", "champion"]


def relocated(world: World, watch: FakeWatch) -> None:
    watch.locations["credit", "1"] = "memory:/elsewhere"


def unbacked(world: World, watch: FakeWatch) -> None:
    watch.problems["credit", "champion"] = "its release is not signed"


def differs(world: World, watch: FakeWatch) -> None:
    watch.answers["credit", "champion"] = None


def unknown(world: World, watch: FakeWatch) -> None:
    world.registry.add("strange", b"x")
    world.registry.aliases["strange", "prod"] = "1"


def forged(world: World, watch: FakeWatch) -> None:
    one = SpentThere(grant="grant-forged", model="credit", alias="champion", version="2")
    watch.forged.append(one)


CHANGES = {
    "alias-moved": (moved, "1", "2"),
    "alias-gone": (gone, "1", None),
    "location-moved": (relocated, "memory:/credit/1", "memory:/elsewhere"),
    "alias-unbacked": (unbacked, "1", "1"),
    "answers-differ": (differs, "1", None),
    "unknown-alias": (unknown, None, "1"),
    "unknown-grant": (forged, None, "2"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_every_change_is_found_by_one_round_and_logged_with_both_values(
    site: World, watch: FakeWatch, detector: Detector, kind: str
) -> None:
    change, old, new = CHANGES[kind]
    watch.refused.append({"who": "mallory", "what": "set alias", "from": "10.0.0.9", "at": "now"})
    change(site, watch)
    assert kinds(detector.look()) == [kind]
    (event,) = access_log.events(site.store, drift_log.STREAM)
    assert (event["what"], event["data"]["kind"]) == ("DriftFound", kind)
    assert (event["old"], event["new"]) == ({"value": old}, {"value": new})
    assert event["data"]["attempts"][0]["who"] == "mallory"
    assert event["why"]


def test_changed_bytes_are_found_and_so_are_files_that_are_gone(
    site: World, detector: Detector
) -> None:
    site.registry.files["credit", "1"]["model.skops"] = b"spoiled"
    (found,) = detector.weigh().drifts
    assert (found.kind, found.old) == (Kind.BYTES, site_digest(site))
    site.registry.files["credit", "1"] = {}
    (found,) = detector.weigh().drifts
    assert found.new is None
    assert [one["new"] for one in opened(site)] == [None]  # the finding before it is over


def site_digest(world: World) -> str:
    with world.store.begin() as unit:
        (line,) = drift.served(unit)
    return line.digest


def test_the_same_finding_is_told_once_by_whoever_looks(
    site: World, watch: FakeWatch, detector: Detector
) -> None:
    moved(site, watch)
    assert len(detector.look().new) == 1
    for one in (detector, Detector(site.store, watch)):  # a second process too
        again = one.look()
        assert (kinds(again), again.new) == (["alias-moved"], ())
    assert events(site) == ["DriftFound"]
    site.registry.aliases["credit", "champion"] = "1"
    assert detector.look().mended == 1
    assert detector.look().mended == 0
    assert events(site) == ["DriftFound", "DriftMended"]
    assert opened(site) == []
    moved(site, watch)  # a new offence, told again
    assert len(detector.look().new) == 1
    assert len(opened(site)) == 1


def test_two_findings_of_two_models_stay_apart(
    site: World, watch: FakeWatch, detector: Detector
) -> None:
    moved(site, watch)
    unknown(site, watch)
    assert kinds(detector.look()) == ["alias-moved", "unknown-alias"]
    del site.registry.aliases["strange", "prod"]
    assert (kinds(found := detector.look()), found.mended) == (["alias-moved"], 1)


def test_the_run_of_the_release_is_told(
    site: World, watch: FakeWatch, detector: Detector, clock: FakeClock
) -> None:
    airflow = FakeAirflow()
    delivery = outbox_relay.Delivery(site.store, site.signer, airflow)
    clock.pass_(seconds=10)
    while delivery.run():
        clock.pass_(seconds=1)
    moved(site, watch)
    detector.look()
    delivery.run()
    assert "ALARM: champion of credit points at version 2" in airflow.notes["credit/run-1"]


def test_bytes_are_mended_only_by_hashing_again(site: World, detector: Detector) -> None:
    good = dict(site.registry.files["credit", "1"])
    site.registry.files["credit", "1"]["model.skops"] = b"spoiled"
    detector.weigh()
    assert detector.look().mended == 0
    site.registry.files["credit", "1"] = good
    assert detector.weigh().mended == 1
    assert opened(site) == []


def test_a_round_hashes_for_as_long_as_it_is_given_and_goes_on_in_turn(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    for name in ("a", "b", "c"):
        serving(world, name)
    watch = FakeWatch(world.registry)
    ticks = iter(range(1000))
    detector = Detector(world.store, watch, clock=lambda: float(next(ticks)))
    for _ in range(3):
        assert detector.weigh(seconds=0).hashed == 1  # at least one, or nothing would ever be
    assert sorted(watch.hashed) == ["a/1", "b/1", "c/1"]
    assert detector.weigh().hashed == 3


def serving(world: World, name: str) -> None:
    """Give another model a line of its own, as its own pipeline would."""
    from airlock.services.approvals import policy_registry

    document = deepcopy(dict(world.pipeline))
    document["metadata"] = {**document["metadata"], "name": name}
    policy_registry.register(world.store, world.rulebook.document, [document])
    world.pipeline = document
    promoted(world, f"run-{name}")


def test_a_suspicious_model_is_hashed_before_all_others(make_world: MakeWorld) -> None:
    world = make_world()
    for name in ("a", "b", "c"):
        serving(world, name)
    watch = FakeWatch(world.registry)
    detector = Detector(world.store, watch)
    detector.weigh()
    watch.locations["c", "1"] = "memory:/elsewhere"
    detector.look()
    watch.hashed.clear()
    for _ in range(4):
        detector.weigh(seconds=0)
    assert watch.hashed == ["c/1", "a/1", "b/1", "c/1"]  # once, or the others would starve


def test_files_that_cannot_be_hashed_do_not_hide_the_others(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    for name in ("a", "b"):
        serving(world, name)
    watch = FakeWatch(world.registry)
    world.registry.files["b", "1"]["model.skops"] = b"spoiled"
    hashing = watch.digest

    def failing(model: str, version: str) -> str | None:
        if model == "a":
            raise Unreachable("the disk does not answer")
        return hashing(model, version)

    monkeypatch.setattr(watch, "digest", failing)
    detector = Detector(world.store, watch)
    for told in (1, 1, 2):
        with pytest.raises(Unreachable, match="the disk"):
            detector.weigh()
        assert len(opened(world)) == told
    assert [(one["kind"], one["thing"]) for one in opened(world)] == [
        ("bytes-changed", "b@champion"),
        ("files-not-hashed", "a@champion"),
    ]
    monkeypatch.undo()
    assert detector.weigh().mended == 1
    assert [one["thing"] for one in opened(world)] == ["b@champion"]


def test_thousands_of_forged_grants_do_not_fill_the_log_in_a_moment(
    site: World, watch: FakeWatch, detector: Detector
) -> None:
    watch.forged += [
        SpentThere(grant=f"grant-{number}", model="credit", alias="champion", version="2")
        for number in range(250)
    ]
    assert [len(detector.look().new) for _ in range(4)] == [100, 100, 50, 0]


def test_a_promotion_under_way_is_no_finding_until_its_lease_is_over(
    site: World, watch: FakeWatch, detector: Detector, clock: FakeClock
) -> None:
    release_id = site.open("run-2", auc=0.9)
    site.approve_all(release_id)
    with pytest.raises(Unreachable):
        dying(site, release_id)
    assert site.registry.aliases["credit", "champion"] == "3"
    assert detector.look().drifts == ()
    clock.pass_(minutes=11)
    assert kinds(detector.look()) == ["promotion-unfinished"]
    site.promote(release_id, "run-2")  # its task is run again
    assert (detector.look().drifts, opened(site)) == ((), [])


def dying(world: World, release_id: str) -> None:
    """Promote, and die after the alias was moved."""
    reading = world.registry.alias

    def dead(model: str, alias: str) -> str | None:
        raise Unreachable("killed")

    world.registry.alias = dead  # type: ignore[method-assign]
    try:
        world.promote(release_id, "run-2")
    finally:
        world.registry.alias = reading  # type: ignore[method-assign]


def test_a_promotion_that_ends_between_two_readings_is_no_finding(
    site: World, watch: FakeWatch, detector: Detector
) -> None:
    release_id = site.open("run-2", auc=0.9)
    site.approve_all(release_id)
    seen = watch.sightings()
    reading = watch.sightings

    def late() -> Any:  # the registry as it was before the promotion, once
        watch.sightings = reading  # type: ignore[method-assign]
        site.promote(release_id, "run-2")
        return seen

    watch.sightings = late  # type: ignore[method-assign]
    assert detector.look().drifts == ()
    assert events(site) == []


def test_after_a_rollback_the_older_version_is_right(site: World, detector: Detector) -> None:
    from airlock.services.promotion import rollback

    bad = promoted(site, "run-2", auc=0.9)
    otto = site.actor("otto")
    rollback.allow(site.store, bad, otto, "it is worse")
    site.promote(bad, "back")
    assert site.registry.aliases["credit", "champion"] == "1"
    assert detector.look().drifts == ()
    assert detector.weigh().drifts == ()


def test_an_alias_nobody_protects_is_counted_and_not_compared(
    site: World, watch: FakeWatch, detector: Detector
) -> None:
    watch.protected = frozenset({"prod"})
    moved(site, watch)
    found = detector.look()
    assert (found.drifts, found.unprotected) == ((), 1)


def test_setting_back_happens_only_if_the_operator_wants_it(
    site: World, watch: FakeWatch, detector: Detector
) -> None:
    moved(site, watch)
    assert detector.look().set_back == 0
    assert site.registry.aliases["credit", "champion"] == "2"
    reverting = Detector(site.store, watch, revert=True)
    assert reverting.look().set_back == 1
    assert site.registry.aliases["credit", "champion"] == "1"
    assert reverting.look().mended == 1
    assert events(site) == ["DriftFound", "AliasSetBack", "DriftMended"]
    gone(site, watch)
    assert reverting.look().set_back == 1
    assert site.registry.aliases["credit", "champion"] == "1"


def test_a_refused_setting_back_is_told_once(site: World, watch: FakeWatch) -> None:
    site.registry.envelopes.clear()  # the guard has forgotten the release
    moved(site, watch)
    reverting = Detector(site.store, watch, revert=True)
    assert [reverting.look().set_back for _ in range(3)] == [0, 0, 0]
    assert events(site) == ["DriftFound", "AliasNotSetBack"]
    assert "not of version 1" in opened(site)[0]["setBack"]


def test_not_being_able_to_look_is_never_fine_and_an_alarm_from_the_third_time_on(
    site: World, watch: FakeWatch, detector: Detector
) -> None:
    site.registry.down = True
    for told in (0, 0, 1, 1):
        with pytest.raises(Unreachable, match="does not answer"):
            detector.look()
        assert len(opened(site)) == told
    assert opened(site)[0]["kind"] == "could-not-look"
    with pytest.raises(Unreachable):
        detector.weigh()
    site.registry.down = False
    assert detector.look().mended == 1
    assert events(site) == ["DriftFound", "DriftMended"]


def test_what_is_open_stays_open_while_nobody_can_look(
    site: World, watch: FakeWatch, detector: Detector
) -> None:
    moved(site, watch)
    detector.look()
    site.registry.down = True
    for _ in range(3):
        with pytest.raises(Unreachable):
            detector.look()
    assert {one["kind"] for one in opened(site)} == {"alias-moved", "could-not-look"}


def ask(world: World, looked: Callable[[], None] | None, seconds: float = 30) -> None:
    """Ask as a task would, while a delivery process delivers."""
    delivery = outbox_relay.Delivery(world.store, world.signer, FakeAirflow(), looked=looked)
    done = threading.Event()

    def deliver() -> None:
        while not done.wait(0.01):
            delivery.run()

    thread = threading.Thread(target=deliver)
    thread.start()
    try:
        drift.ask(world.worker, world.proposals, "airlock_detect/1", seconds, pause=0.01)
    finally:
        done.set()
        thread.join()


def test_a_worker_asks_and_is_answered_by_who_looks(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    promoted(world)
    watch = FakeWatch(world.registry)
    detector = Detector(world.store, watch)

    def looked() -> None:
        detector.look()

    ask(world, looked)
    world.registry.add("credit", b"evil")
    moved(world, watch)
    with pytest.raises(Refused, match="1 in the model registry are not as released: champion"):
        ask(world, looked)
    world.registry.down = True
    with pytest.raises(Unreachable, match="nobody has said in 1 seconds"):
        ask(world, looked, seconds=1)


def test_nobody_is_told_that_somebody_looks_if_nobody_does(make_world: MakeWorld) -> None:
    world = make_world()
    with pytest.raises(Unreachable, match="nobody has said"):
        drift.ask(world.worker, world.proposals, "airlock_detect/1", seconds=0)  # nothing delivers
    with pytest.raises(Unreachable, match="nobody has said"):
        ask(world, None, seconds=1)  # what delivers does not look


def test_the_log_verifies_with_findings_in_it(
    site: World, watch: FakeWatch, detector: Detector
) -> None:
    moved(site, watch)
    detector.look()
    assert access_log.verify(site.store, site.keys).damages == ()


def test_a_worker_cannot_tell_a_finding(postgres_database: Database) -> None:
    """Nor end one: both are events, and a worker writes none."""
    decider, worker = (postgres_database.store(f"airlock_{one}") for one in ("decider", "worker"))
    world = World(decider, worker=worker)
    promoted(world)
    watch = FakeWatch(world.registry)
    world.registry.add("credit", b"evil")
    moved(world, watch)
    with pytest.raises(DBAPIError, match="permission denied for table audit_event"):
        Detector(worker, watch).look()
    Detector(decider, watch).look()
    world.registry.aliases["credit", "champion"] = "1"
    with pytest.raises(DBAPIError, match="permission denied for table audit_event"):
        Detector(worker, watch).look()
