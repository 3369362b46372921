"""The scanners, the model signature and the quarantine, with the real tools."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression

from airlock import artifacts
from airlock.adapters.jobs import Lab, quarantine, signing
from airlock.adapters.jobs.errors import ModelUnsafe, StageTimedOut
from airlock.adapters.jobs.requests import Limits
from airlock.domain.errors import Invalid
from airlock.domain.gates import Evidence, GateResult, Verdict
from airlock.gates import ArtifactScan, Signature
from airlock_platform.secrets import Secrets
from tests.integration import malicious_kit as kit
from tests.integration.real_models import Models
from tests.support import ROOT

pytestmark = pytest.mark.integration

LOGISTIC = "sklearn logistic regression"
TOOLS = ROOT / ".airlock" / "tools"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    assert (TOOLS / "scanners/bin/python").exists(), "run make scanners"
    return Lab(tmp_path / "lab", tools=TOOLS)


def scanned(lab: Lab, folder: Path) -> GateResult:
    formats, scan = artifacts.facts(folder), lab.scan(folder)
    digest = formats["manifestDigest"]
    return ArtifactScan().judge(
        {
            "artifact-format": Evidence("artifact-format", digest, formats),
            "artifact-scan": Evidence("artifact-scan", digest, scan),
        }
    )


def test_scanners_that_are_not_there_pass_nothing(models: Models, tmp_path: Path) -> None:
    found = scanned(Lab(tmp_path / "lab", tools=tmp_path), models.folder(LOGISTIC))
    assert found.verdict is Verdict.ERRORED
    assert "make scanners installs it" in found.message


@pytest.mark.parametrize("name", [LOGISTIC, "xgboost", "lightgbm booster", "onnx"])
def test_a_good_model_passes_all_three(lab: Lab, models: Models, name: str) -> None:
    found = scanned(lab, models.folder(name))
    assert found.verdict is Verdict.PASSED, found.message
    assert found.n == 3


@pytest.mark.parametrize("name", ["call of os.system", "opcodes: a stream that ends early"])
def test_a_pickle_is_found(lab: Lab, models: Models, tmp_path: Path, name: str) -> None:
    folder, marker = tmp_path / "model", tmp_path / "marker"
    case = next(case for case in kit.cases() if case.name == name)
    kit.build(case, models.folder(LOGISTIC), folder, marker)
    assert scanned(lab, folder).verdict is Verdict.FAILED
    assert not marker.exists()


def test_what_no_scanner_reads_is_not_called_clean(
    lab: Lab, models: Models, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    case = next(case for case in kit.cases() if case.name == "joblib with lzma")
    kit.build(case, models.folder(LOGISTIC), folder, tmp_path / "marker")
    assert not scanned(lab, folder).verdict.opens


def test_a_scanner_that_crashes_cannot_tell(models: Models, tmp_path: Path) -> None:
    python = tmp_path / "tools/scanners/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 7\n")
    python.chmod(0o755)
    found = scanned(Lab(tmp_path / "lab", tools=tmp_path / "tools"), models.folder(LOGISTIC))
    assert found.verdict is Verdict.ERRORED
    assert "exit code 7" in found.message


# -- the signature -------------------------------------------------------------------------------


def create_key(home: Path) -> tuple[Path, Path]:
    """Make a key pair as the platform does; return the private file and the public folder."""
    secrets = Secrets(home)
    secrets.create_model_key()
    return secrets.model_signing_key, secrets.model_keys


@pytest.fixture
def signed(models: Models, tmp_path: Path) -> tuple[Path, Path]:
    folder = tmp_path / "model"
    shutil.copytree(models.folder(LOGISTIC), folder)
    private, public = create_key(tmp_path)
    Lab(tmp_path / "lab").sign(folder, private)
    return folder, public


def judged(lab: Lab, folder: Path, keys: Path) -> GateResult:
    facts = lab.signature(folder, keys)
    return Signature().judge(
        {"artifact-signature": Evidence("artifact-signature", facts["manifestDigest"], facts)}
    )


def test_unsigned_is_refused(lab: Lab, models: Models, tmp_path: Path) -> None:
    found = judged(lab, models.folder(LOGISTIC), tmp_path)
    assert (found.verdict, found.message[:9]) == (Verdict.FAILED, "unsigned:")


def test_what_was_signed_is_verified(lab: Lab, signed: tuple[Path, Path]) -> None:
    found = judged(lab, *signed)
    assert found.verdict is Verdict.PASSED, found.message
    assert next(signed[1].glob("*.pem")).stem in found.message


def change(folder: Path) -> None:
    path = folder / "model.skops"
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def add_git(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "evil.py").write_text("import os")


def add(folder: Path) -> None:
    (folder / "extra.json").write_text("{}")


def rename(folder: Path) -> None:
    (folder / "conda.yaml").rename(folder / "other.yaml")


@pytest.mark.parametrize("deed", [change, add, add_git, rename])
def test_other_files_than_were_signed_are_refused(
    lab: Lab, signed: tuple[Path, Path], deed: Any
) -> None:
    deed(signed[0])
    assert judged(lab, *signed).verdict is Verdict.FAILED


def test_a_key_nobody_trusts_is_refused(
    lab: Lab, signed: tuple[Path, Path], tmp_path: Path
) -> None:
    assert judged(lab, signed[0], tmp_path / "none").verdict is Verdict.FAILED
    _, others = create_key(tmp_path / "other")
    assert judged(lab, signed[0], others).verdict is Verdict.FAILED


def test_a_signature_that_leaves_something_out_cannot_be_judged(
    lab: Lab, models: Models, tmp_path: Path
) -> None:
    import subprocess
    import sys

    folder = tmp_path / "model"
    shutil.copytree(models.folder(LOGISTIC), folder)
    private, public = create_key(tmp_path)
    command = [sys.executable, "-m", "model_signing", "sign", "key", str(folder)]
    command += ["--private_key", str(private)]
    command += ["--signature", str(signing.signature_of(folder))]  # the tool's own defaults
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(ValueError, match=r"the signature leaves out .*\.git"):
        judged(lab, folder, public)


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"dsseEnvelope": {"payload": "!"}}'])
def test_a_signature_that_cannot_be_read_is_refused(
    lab: Lab, signed: tuple[Path, Path], text: str
) -> None:
    signing.signature_of(signed[0]).write_text(text)
    assert judged(lab, *signed).verdict is Verdict.FAILED


# -- the quarantine ------------------------------------------------------------------------------


@pytest.fixture
def sandbox() -> None:
    assert shutil.which("bwrap"), "these tests need bubblewrap: make bubblewrap"


def pickled(tmp_path: Path, body: bytes | None = None) -> Path:
    path = tmp_path / "model.pkl"
    fitted = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    path.write_bytes(pickle.dumps(fitted) if body is None else body)
    return path


def converted(
    tmp_path: Path, source: Path, to: str = "skops", limits: Limits | None = None
) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    return quarantine.convert(
        source, to, tmp_path / quarantine.TARGETS[to], work, limits=limits or quarantine.LIMITS
    )


def test_without_bubblewrap_nothing_is_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(quarantine.NoSandbox, match="only opened inside bubblewrap"):
        converted(tmp_path, pickled(tmp_path))


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("to", ["skops", "onnx"])
def test_a_pickled_model_becomes_a_safe_one(tmp_path: Path, to: str) -> None:
    made = converted(tmp_path, pickled(tmp_path), to)
    assert artifacts.format_of(made) == to


@pytest.mark.usefixtures("sandbox")
def test_an_evil_pickle_runs_into_walls(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    source = pickled(tmp_path, kit.evil(marker))
    with pytest.raises(ModelUnsafe, match="which has no predict"):
        converted(tmp_path, source)
    assert not marker.exists()


PROBE = """
import json, os, socket, ctypes
def able(deed):
    try:
        deed()
    except BaseException as error:
        return type(error).__name__
    return True
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *given):
    if libc.syscall(number, *given) < 0:
        raise OSError(ctypes.get_errno(), "refused")
found = {
    "shadow": able(lambda: open("/etc/shadow").read()),
    "home": able(lambda: os.listdir(%r)),
    "write": able(lambda: open("/quarantine/model.pkl", "a")),
    "usr": able(lambda: open("/usr/evil", "w")),
    "network": able(lambda: socket.create_connection(("1.1.1.1", 53), 2)),
    "inet": able(lambda: socket.socket(socket.AF_INET)),
    "unshare": able(lambda: call(272, 0x10000000)),
    "ptrace": able(lambda: call(101, 0, 0, 0, 0)),
    "pids": len([p for p in os.listdir("/proc") if p.isdigit()]),
    "environment": sorted(os.environ),
    "privileges": [
        line for line in open("/proc/self/status")
        if line.startswith(("NoNewPrivs", "Seccomp:", "CapEff"))
    ],
}
json.dump(found, open("/quarantine/out/model.skops", "w"))
"""


@pytest.mark.usefixtures("sandbox")
def test_the_walls_are_where_they_should_be(tmp_path: Path) -> None:
    """The pickle writes what it could do as its result, which is no model and is refused."""
    secret = tmp_path / "home"
    secret.mkdir()
    body = kit.stream(kit.Call("builtins.exec", PROBE % str(secret)), kit.Call("os._exit", 0))
    with pytest.raises(ModelUnsafe, match="not a safe skops file"):
        converted(tmp_path, pickled(tmp_path, body))
    found = json.loads((tmp_path / "work/out/model.skops").read_text())
    assert {key for key, value in found.items() if value is True} == set()
    assert found["pids"] <= 3
    assert "AIRLOCK_DATABASE_URL" not in found["environment"]
    assert [line.split()[1] for line in found["privileges"]] == ["0000000000000000", "1", "2"]


@pytest.mark.usefixtures("sandbox")
def test_whatever_else_the_pickle_writes_is_refused(tmp_path: Path) -> None:
    code = "import os; os.symlink('/etc/passwd', '/quarantine/out/model.skops'); os._exit(0)"
    with pytest.raises(ModelUnsafe, match="the quarantine left"):
        converted(tmp_path, pickled(tmp_path, kit.stream(kit.Call("builtins.exec", code))))


@pytest.mark.usefixtures("sandbox")
def test_it_ends_at_its_limit(tmp_path: Path) -> None:
    body = kit.stream(kit.Call("time.sleep", 600))
    with pytest.raises(StageTimedOut):
        converted(tmp_path, pickled(tmp_path, body), limits=Limits(seconds=5, memory_mb=2048))


@pytest.mark.usefixtures("sandbox")
def test_memory_is_limited(tmp_path: Path) -> None:
    body = kit.stream(kit.Call("builtins.bytearray", 8 << 30))
    with pytest.raises(ModelUnsafe, match="MemoryError"):
        converted(tmp_path, pickled(tmp_path, body))


def test_only_known_targets_and_real_files(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="skops or onnx"):
        quarantine.convert(pickled(tmp_path), "pickle", tmp_path / "x", tmp_path)
    os.symlink("/etc/passwd", tmp_path / "link")
    with pytest.raises(Invalid, match="not a file"):
        quarantine.convert(tmp_path / "link", "skops", tmp_path / "x", tmp_path)
