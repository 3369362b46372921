"""What tasks propose, compared and written by the decider: one file for each kind of claim."""

from __future__ import annotations

from airlock.services.proposals.handling import DirectProposals, Handling, Sources
from airlock.services.proposals.promotion import ProposedPromotions

__all__ = ["DirectProposals", "Handling", "ProposedPromotions", "Sources"]
