"""From the request of a release to its approval, and what may stand in the way."""
