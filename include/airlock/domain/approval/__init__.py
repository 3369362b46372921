"""A release from its request to its approval, and the rules on that way."""
