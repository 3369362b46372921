"""What Airlock needs from the outside, as small protocols. Adapters implement them."""

from airlock.ports.outside import Airflow, Files, Keyring, Permits, Registry, Signer, Watch
from airlock.ports.promotions import Promotion, PromotionPermit, PromotionRequest, Promotions
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
    "Promotion",
    "PromotionPermit",
    "PromotionRequest",
    "Promotions",
    "Registry",
    "Signer",
    "Spot",
    "Store",
    "StoredGrant",
    "UnitOfWork",
    "Watch",
]
