"""When X.509 certificates in files end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from cryptography import x509

_ENDINGS = (".pem", ".crt", ".cer")
_BEGIN = b"-----BEGIN CERTIFICATE-----"


def certificate_ends(folders: Iterable[Path]) -> list[tuple[Path, datetime]]:
    """Return each file with certificates below some folders, and when its first one ends.

    Raises ValueError if one cannot be read.
    """
    files = sorted({file for folder in folders for file in folder.rglob("*")})
    texts = [(file, file.read_bytes()) for file in files if file.suffix in _ENDINGS]
    return [(file, _first_end(text)) for file, text in texts if _BEGIN in text]


def _first_end(text: bytes) -> datetime:
    return min(
        certificate.not_valid_after_utc for certificate in x509.load_pem_x509_certificates(text)
    )
