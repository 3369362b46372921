"""What Airlock needs from the outside, as small protocols. Adapters implement them."""

from airlock.ports.outside import Airflow, Files, Keyring, Permits, Registry, Signer, Watch
from airlock.ports.records import (
    Account,
    Candidate,
    Due,
    Facts,
    Line,
    Message,
    Parked,
    StoredGrant,
)
from airlock.ports.store import Store, UnitOfWork

__all__ = [
    "Account",
    "Airflow",
    "Candidate",
    "Due",
    "Facts",
    "Files",
    "Keyring",
    "Line",
    "Message",
    "Parked",
    "Permits",
    "Registry",
    "Signer",
    "Store",
    "StoredGrant",
    "UnitOfWork",
    "Watch",
]
