"""The outbox: at least once, each message once, and a decision never waits for delivery."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airlock.domain.approval.release import Decision, State
from airlock.domain.errors import NotFound
from airlock.ports import Parked
from airlock.services import outbox_messages
from airlock.services.notifications.outbox_relay import Delivery
from airlock.services.queries import releases
from airlock.testing import FakeAirflow, World


def delivery(world: World, airflow: FakeAirflow, guard: float = 0.0) -> Delivery:
    return Delivery(world.store, world.signer, airflow, guard)


def park(world: World, release_id: str, level: int = 1) -> None:
    with world.store.begin() as unit:
        unit.park(Parked(release_id, level, "credit", "run-1", f"level_{level}", unit.now()))
        unit.commit()


def test_a_decided_level_wakes_its_task_and_no_other(world: World) -> None:
    airflow, release_id = FakeAirflow(), world.open()
    park(world, release_id, 1)
    park(world, release_id, 2)
    delivery(world, airflow).run()
    assert airflow.woken == []
    world.approve(release_id, "lena")
    delivery(world, airflow).run()
    assert [task.task_id for task in airflow.woken] == ["level_1"]


def test_a_final_no_wakes_everybody(world: World) -> None:
    airflow, release_id = FakeAirflow(), world.open()
    park(world, release_id, 1)
    world.vote(release_id, "lena", Decision.REJECT)
    delivery(world, airflow).run()
    assert [task.task_id for task in airflow.woken] == ["level_1"]
    assert airflow.notes["credit/run-1"].startswith(f"{release_id} refused")


def test_nobody_is_woken_while_still_parking(world: World) -> None:
    airflow, release_id = FakeAirflow(), world.open()
    park(world, release_id)
    world.approve(release_id, "lena")
    delivery(world, airflow, guard=60).run()
    assert airflow.woken == []


def test_airflow_down_loses_nothing(world: World) -> None:
    airflow, release_id = FakeAirflow(down=True), world.open()
    park(world, release_id)
    world.approve(release_id, "lena")
    assert delivery(world, airflow).run() >= 0
    airflow.down = False
    with world.store.begin() as unit:
        assert unit.get(release_id).level == 2
        later = unit.now() + timedelta(seconds=1)
    while not airflow.woken:
        delivery(world, airflow).run()
        with world.store.begin() as unit:
            assert unit.now() < later + timedelta(seconds=20)
    assert airflow.woken[0].task_id == "level_1"


def test_a_message_is_claimed_by_one_and_posted_once(world: World) -> None:
    with world.store.begin() as unit:
        unit.post("note", "same-key", {"release": "x"})
        unit.post("note", "same-key", {"release": "x"})
        unit.commit()
    with world.store.begin() as unit:
        assert [message.key for message in unit.claim()] == ["same-key"]
        unit.commit()
    with world.store.begin() as unit:
        assert unit.claim() == ()


def test_a_message_about_nothing_is_given_up_with_its_error(world: World) -> None:
    with world.store.begin() as unit:
        unit.post("note", "lost", {"release": "rel-none"})
        unit.commit()
    assert delivery(world, FakeAirflow()).run() == 1
    assert delivery(world, FakeAirflow()).run() == 0
    with world.store.begin() as unit, pytest.raises(NotFound, match="rel-none"):
        unit.get("rel-none")


def test_the_state_stands_before_anything_is_delivered(world: World) -> None:
    release_id = world.open()
    assert world.approve_all(release_id).state is State.APPROVED


def test_an_e_mail_is_sent_by_a_run_of_airflow_that_reads_it_here(world: World) -> None:
    airflow, said = FakeAirflow(), {"to": "ops@example.org", "subject": "s", "text": "t"}
    with world.store.begin() as unit:
        unit.post("mail", "mail/slack/closed", said)
        unit.commit()
    delivery(world, airflow).run()
    assert airflow.started == {"airlock_mail/mail.slack.closed": {"message": "mail/slack/closed"}}
    with world.store.begin() as unit:
        assert unit.letter("mail", "mail/slack/closed") == said
        assert unit.letter("note", "mail/slack/closed") is None


def test_who_is_told_by_e_mail_hears_that_nobody_could_be_told(world: World) -> None:
    airflow, release_id = FakeAirflow(), world.open()
    about = outbox_messages.notice(releases.outcome(world.store, release_id), "delivery", 1)
    with world.store.begin() as unit:
        unit.post_all(about)
        unit.commit()
    sends = Delivery(world.store, world.signer, airflow, 0.0, alert_mail="ops@example.org")
    sends.run()
    sends.run()
    (run,) = airflow.started
    with world.store.begin() as unit:
        letter = unit.letter("mail", str(airflow.started[run]["message"]))
    assert letter is not None
    assert letter["to"] == "ops@example.org"
    assert f"{release_id}: level 1 (lead) could not be told to anybody in time" in letter["text"]
