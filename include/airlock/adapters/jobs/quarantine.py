"""The quarantine lane: turn a pickle-only model into a safe format, inside a sandbox.

Unpickling runs whatever the pickle says. So it happens in a process that has nothing (bubblewrap):
no network, no other process, no file of this machine but the libraries and the model, both
read-only, no environment, no right to gain rights, a seccomp filter, and limits on memory, CPU,
file size and time. What comes out is one file, which is judged by the allow-list like any file of
a stranger. Nothing is unpickled in Airlock's own processes.

Without bubblewrap the conversion is refused; there is no lane beside this one. The sandbox limits
the load. It does not say that the model is good, and a hole in the kernel is a hole in it.
"""

from __future__ import annotations

import os
import shutil
import site
import stat
import sys
from pathlib import Path

from airlock import artifacts
from airlock.adapters.jobs import process, seccomp
from airlock.adapters.jobs.errors import ModelUnsafe, StageOutOfMemory, StageTimedOut
from airlock.adapters.jobs.requests import Limits
from airlock.domain.errors import Invalid

#: What a model can be turned into, and the file's name.
TARGETS = {"skops": "model.skops", "onnx": "model.onnx"}
LIMITS = Limits(seconds=300, memory_mb=4096, threads=1)
_SIZE_LIMIT = 2 << 30
_INSIDE = Path("/quarantine")
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives")
_STEP = "Debian: apt-get install bubblewrap. In a container it needs user namespaces."


class NoSandbox(Invalid):
    """There is no bubblewrap here, or it does not work."""


def bubblewrap() -> str:
    """Return the path of bubblewrap.

    Raises:
        NoSandbox: if it is not there, or there is no filter for this machine.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise NoSandbox(
            "a pickle is only opened inside bubblewrap, and there is no bwrap here", next_step=_STEP
        )
    if not seccomp.supported():
        raise NoSandbox("there is no seccomp filter for this kind of machine")
    return program


def convert(
    source: Path,
    to: str,
    out: Path,
    work: Path,
    python: str = sys.executable,
    limits: Limits = LIMITS,
) -> Path:
    """Convert the pickle *source* and put the result at *out*.

    Raises:
        NoSandbox: where there is no sandbox.
        ModelUnsafe: if nothing came out, or what came out is not on the allow-list.
    """
    if to not in TARGETS:
        raise Invalid(f"a model can be converted to {' or '.join(TARGETS)}, not to {to!r}")
    if source.is_symlink() or not source.is_file():
        raise Invalid(f"{source} is not a file; expected a pickled model")
    program = bubblewrap()
    results = work / "out"
    results.mkdir(mode=0o700)
    _run(program, source.resolve(), to, results, work, python, limits)
    converted = _only_file(results, TARGETS[to], work / "log.txt")
    kind = artifacts.kind_of(converted, TARGETS[to])
    if kind.format != to:
        reason = kind.refusal.sentence() if kind.refusal else f"it is {kind.format}"
        raise ModelUnsafe(
            f"what came out of the quarantine is not a safe {to} file: {reason}",
            next_step="The model holds what a safe format cannot; retrain it without own types.",
        )
    shutil.move(converted, out)
    return out


def _run(
    program: str, source: Path, to: str, results: Path, work: Path, python: str, limits: Limits
) -> None:
    read, write = os.pipe()
    with os.fdopen(write, "wb") as stream:
        stream.write(seccomp.program())  # a few hundred bytes: it fits into the pipe
    try:
        argv = [program, *_walls(source, results, python), "--seccomp", str(read), "--"]
        argv += [*_limited(limits), python, "-I", str(_INSIDE / "convert.py"), to]
        home = Path("/tmp")  # noqa: S108 - the sandbox's own, empty and in memory
        environment = process.clean_environment(home, python, limits, seed=0)
        ending = process.run(argv, environment, work / "log.txt", limits, pass_fds=(read,))
    finally:
        os.close(read)
    if ending.reason == "time":
        raise StageTimedOut(f"the conversion was stopped after {ending.seconds:.0f} s")
    if ending.reason == "memory":
        raise StageOutOfMemory(f"the conversion was stopped at {ending.peak_mb} MB")
    if ending.code:
        raise _failed(work / "log.txt", ending.code)


def _walls(source: Path, results: Path, python: str) -> list[str]:
    """Return bubblewrap's options. The memory file systems come before the binds under them."""
    options = ["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"]
    options += ["--new-session", "--clearenv", "--cap-drop", "ALL"]
    options += ["--uid", "65534", "--gid", "65534", "--hostname", "quarantine"]
    for name, value in _variables():
        options += ["--setenv", name, value]
    options += ["--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev"]  # noqa: S108
    for path in _SYSTEM:
        options += ["--ro-bind-try", path, path]
    for path in sorted(_libraries(python)):
        options += ["--ro-bind", path, path]
    script = Path(__file__).with_name("programs") / "convert.py"
    options += ["--dir", str(_INSIDE), "--ro-bind", str(script), str(_INSIDE / "convert.py")]
    options += ["--ro-bind", str(source), str(_INSIDE / "model.pkl")]
    options += ["--bind", str(results), str(_INSIDE / "out"), "--chdir", str(_INSIDE)]
    return [*options, "--remount-ro", "/"]


def _variables() -> list[tuple[str, str]]:
    return [
        ("PATH", "/usr/bin:/bin"),
        ("HOME", "/tmp"),  # noqa: S108 - inside
        ("LANG", "C.UTF-8"),
        ("OMP_NUM_THREADS", "1"),
        ("OPENBLAS_NUM_THREADS", "1"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
    ]


def _libraries(python: str) -> set[str]:
    """Return the folders of the interpreter and its packages, but for those under /usr."""
    places = {sys.prefix, sys.base_prefix, str(Path(python).resolve().parents[1])}
    places |= {str(Path(python).parents[1].resolve()), str(Path(python).parents[1])}
    places |= set(site.getsitepackages())
    folders = {place for place in places if Path(place).is_dir() and place != "/"}
    return {place for place in folders if not Path(place).is_relative_to("/usr") or place != "/usr"}


def _limited(limits: Limits) -> list[str]:
    return [
        "prlimit",
        f"--as={limits.memory_mb << 20}",
        f"--cpu={limits.seconds}",
        f"--fsize={_SIZE_LIMIT}",
        "--nproc=256",
        "--nofile=256",
        "--core=0",
        "--",
    ]


def _only_file(results: Path, name: str, log: Path) -> Path:
    """Return the one file that came out; whatever ran inside could have written anything."""
    names = sorted(path.name for path in results.iterdir())
    path = results / name
    if names != [name] or not stat.S_ISREG(path.lstat().st_mode):
        raise ModelUnsafe(
            f"the quarantine left {', '.join(names)[:200] or 'nothing'}; expected {name}",
            next_step=f"see {log}",
        )
    if path.stat().st_size > _SIZE_LIMIT or path.stat().st_nlink != 1:
        raise ModelUnsafe(f"the quarantine left {path.stat().st_size:,} bytes")
    return path


def _failed(log: Path, code: int) -> Exception:
    lines = log.read_text("utf-8", "replace").strip().splitlines() if log.exists() else []
    last = lines[-1][:300] if lines else f"exit code {code}"
    if "bwrap:" in last:
        return NoSandbox(f"bubblewrap does not work here: {last}", next_step=_STEP)
    return ModelUnsafe(f"the model cannot be converted: {last}", next_step=f"see {log}")
