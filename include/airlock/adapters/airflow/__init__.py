"""Airflow through its public REST API, and its connections."""
