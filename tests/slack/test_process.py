"""The real process `airlock slack` on Socket Mode: it speaks, listens, decides, and comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from airlock.adapters.keys.ed25519 import FileSigner, create
from airlock.services.people import slack_links
from airlock.services.queries import releases
from airlock.testing import World
from tests.slack.conftest import Stores
from tests.slack.kit import ACCOUNTS, TEAM, Workspace, wording, workspace
from tests.slack.scene import rulebook
from tests.support import ROOT

REASON = "looked at the numbers and at the evidence"


def test_it_decides_what_is_clicked_and_catches_up(
    make_stores: Callable[[], Stores], tmp_path: Path
) -> None:
    create(tmp_path / "key.pem", tmp_path / "keys")
    create(tmp_path / "gate.pem", tmp_path / "gate-keys")
    stores = make_stores()
    decider, signer = stores.decider, FileSigner(tmp_path / "key.pem")
    gates = FileSigner(tmp_path / "gate.pem")
    world = World(decider, signer, worker=stores.worker, rulebook=rulebook(), gate_signer=gates)
    code = slack_links.offer(decider, world.actor("lena")).code
    slack_links.redeem(decider, TEAM, ACCOUNTS["lena"], code)
    with workspace() as slack:
        first = world.open("first")
        with process(slack, stores.url, tmp_path) as child:
            slack.await_(slack.connected, "the connection", 60)
            ts = slack.await_message(first)["ts"]
            slack.open_form(ts, "lena", "airlock.approve")
            assert slack.submit("lena", reason=REASON, sure=True) == {}
            assert "You approved" in wording(slack.form())
            assert releases.outcome(decider, first).level == 2
            child.send_signal(signal.SIGTERM)
            assert child.wait(20) == 0
        second = world.request(world.measure("second"), "supersede").release
        assert second is not None
        with process(slack, stores.url, tmp_path):
            slack.await_message(second.id, seconds=60)
    log = (tmp_path / "log").read_text()
    assert "xoxb-" not in log
    assert "xapp-" not in log


@contextmanager
def process(slack: Workspace, database: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "include"),
        "AIRLOCK_ROOT": str(ROOT),
        "AIRLOCK_HOME": str(folder),
        "AIRLOCK_DATABASE_URL": database,
        "AIRLOCK_SIGNING_KEY": str(folder / "key.pem"),
        "AIRLOCK_TRUSTED_KEYS": str(folder / "keys"),
        "AIRLOCK_GATE_KEYS": str(folder / "gate-keys"),
        **slack.environment(socket=True),
    }
    program = str(Path(sys.executable).parent / "airlock")
    with (folder / "log").open("ab") as log:
        child = subprocess.Popen([program, "slack"], env=environment, stdout=log, stderr=log)
    try:
        yield child
    finally:
        child.kill()
        child.wait(20)
