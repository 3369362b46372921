"""Releases with their votes, runs and grants, and what a decision reads."""
