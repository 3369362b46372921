"""Visits to a doctor: the low-risk example."""
