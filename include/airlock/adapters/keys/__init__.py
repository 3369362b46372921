"""Signing keys and the keys that are trusted."""
