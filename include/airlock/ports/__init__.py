"""What Airlock needs from the outside, as small protocols. Adapters implement them."""

from airlock.ports.outside import (
    Airflow,
    AssetEvents,
    Files,
    Keyring,
    Permits,
    Registry,
    Signer,
    Watch,
)
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
    Spot,
    StoredGrant,
)
from airlock.ports.store import Store, UnitOfWork

__all__ = [
    "CHAT",
    "MAIL",
    "Account",
    "Airflow",
    "AssetEvents",
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
    "Signer",
    "Spot",
    "Store",
    "StoredGrant",
    "UnitOfWork",
    "Watch",
]
