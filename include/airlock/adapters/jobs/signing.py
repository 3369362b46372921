"""OpenSSF model signatures: made at registration, verified before a release is asked for.

Rules:
* Every file is signed: the tool would leave out `.git*` by itself, and a signature says what it
  leaves out, so one that leaves out anything is refused whatever the tool says.
* Files nobody signed are refused, and so are links.
* The signature lies beside the model folder, never in it: the folder's digest is what is approved.
* The key is an elliptic-curve one (P-256) of the place that registers; it can sign no grant, and
  training code never runs where it lies when tasks have queues of their own.

The tool runs in a child: importing it takes a second. See github.com/sigstore/model-transparency.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from airlock.adapters.jobs import process
from airlock.adapters.jobs.errors import LabInterrupted
from airlock.adapters.jobs.requests import Limits
from airlock.domain.digest import folder_manifest, manifest_digest

LIMITS = Limits(seconds=600, memory_mb=4096, threads=2)
_SIGNATURE_LIMIT = 16 << 20
#: How the tool begins to say no.
_REFUSED = "Verification failed"


def signature_of(model: Path) -> Path:
    """Return the path of a model folder's signature."""
    return model.with_name(f"{model.name}.sig")


def sign(model: Path, key: Path, work: Path, python: str) -> Path:
    """Sign every file of a folder.

    Raises:
        LabInterrupted: if the tool did not.
    """
    signature = work / "model.sig"
    options = ["--private_key", str(key.resolve()), "--signature", str(signature)]
    code, output = _tool(["sign", "key", str(model.resolve()), *options], work, python)
    if code or not signature.is_file():
        raise LabInterrupted(f"{model.name} was not signed: {output}", next_step=f"see {work}")
    place = signature_of(model)
    signature.replace(place)
    return place


def verify(model: Path, keys: Path, work: Path, python: str) -> dict[str, Any]:
    """Return the artifact-signature evidence of a folder; what cannot be told is an error in it."""
    manifest = folder_manifest(model)
    facts: dict[str, Any] = {
        "manifestDigest": manifest_digest(manifest),
        "files": len(manifest),
        "ignoredPaths": [],
        "keyId": "",
        "signatureDigest": "",
    }
    signature = signature_of(model)
    if not signature.is_file():
        return facts | {"status": "unsigned", "why": f"there is no signature {signature.name}"}
    facts["signatureDigest"] = f"sha256:{hashlib.sha256(signature.read_bytes()).hexdigest()}"
    try:
        facts["ignoredPaths"] = _ignored(signature)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        return facts | {"status": "refused", "why": f"the signature cannot be read: {error!r}"}
    return facts | _verified(model, signature, keys, work, python)


def _verified(model: Path, signature: Path, keys: Path, work: Path, python: str) -> dict[str, str]:
    output = f"no trusted key of models in {keys}"
    for number, key in enumerate(sorted(keys.glob("*.pem"))):
        place = work / str(number)
        place.mkdir()
        options = ["--public_key", str(key.resolve()), "--signature", str(signature.resolve())]
        code, output = _tool(["verify", "key", str(model.resolve()), *options], place, python)
        if code == 0:
            return {"status": "verified", "keyId": _id_of(key.read_bytes()), "why": ""}
        if code < 0 or _REFUSED not in output:
            return {"status": "error", "why": output}
    return {"status": "refused", "why": output}


def _ignored(signature: Path) -> list[str]:
    """Return the paths a signature says it leaves out; it is verified elsewhere."""
    if signature.stat().st_size > _SIGNATURE_LIMIT:
        raise ValueError("it is too long")
    bundle = json.loads(signature.read_text("utf-8"))
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"], validate=True))
    left_out = statement["predicate"]["serialization"].get("ignore_paths", [])
    return [str(path)[:200] for path in left_out][:100]


def _tool(arguments: list[str], work: Path, python: str) -> tuple[int, str]:
    """Run the tool; return its exit code and its last words."""
    argv = [python, "-m", "model_signing", *arguments, "--no-ignore-git-paths"]
    log = work / "log.txt"
    environment = process.clean_environment(work, python, LIMITS, seed=0)
    ending = process.run(argv, environment, log, LIMITS)
    text = log.read_text("utf-8", "replace").strip() if log.exists() else ""
    begin = text.index(_REFUSED) if _REFUSED in text else max(len(text) - 400, 0)
    output = " ".join(text[begin : begin + 400].split()) or f"exit code {ending.code}"
    if ending.reason != "ended":
        return -1, f"stopped by its limit of {ending.reason}"
    return ending.code, output


def _id_of(pem: bytes) -> str:
    public = load_pem_public_key(pem)
    raw = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(raw).hexdigest()[:16]
