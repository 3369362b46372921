"""Airlock: release machine-learning models under control."""
