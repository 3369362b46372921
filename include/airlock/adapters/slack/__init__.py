"""Slack: how releases look there, and how they get there and back."""
