"""What Airlock needs from the outside, as small protocols. Adapters implement them."""

from airlock.ports.outside import Airflow, Keyring, Registry, Signer
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
    "Keyring",
    "Line",
    "Message",
    "Parked",
    "Registry",
    "Signer",
    "Store",
    "StoredGrant",
    "UnitOfWork",
]
