"""Grants: an alias moved, moved back, and what a serving process may trust."""
