"""Who acts, who may stand in for whom, and whose account is whose."""
