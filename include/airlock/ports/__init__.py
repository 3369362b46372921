"""What Airlock needs from the outside, as small protocols. Adapters implement them."""

from airlock.ports.outside import Airflow, Files, Keyring, Permits, Registry, Signer, Watch
from airlock.ports.records import (
    CHAT,
    MAIL,
    Account,
    Candidate,
    Due,
    Facts,
    Line,
    Link,
    Message,
    Parked,
    Posted,
    ReleasePage,
    Spot,
    StoredGrant,
)
from airlock.ports.store import Store, UnitOfWork

__all__ = [
    "CHAT",
    "MAIL",
    "Account",
    "Airflow",
    "Candidate",
    "Due",
    "Facts",
    "Files",
    "Keyring",
    "Line",
    "Link",
    "Message",
    "Parked",
    "Permits",
    "Posted",
    "Registry",
    "ReleasePage",
    "Signer",
    "Spot",
    "Store",
    "StoredGrant",
    "UnitOfWork",
    "Watch",
]
