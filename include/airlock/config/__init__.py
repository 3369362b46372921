"""Configuration: the environment (`settings`) and the YAML files in git (`load`).

What is here reads and checks; it decides nothing. The domain builds its own objects from the
canonical documents. Loading pipelines imports pydantic and PyYAML and nothing heavier, because
Airflow's DAG processor does it again and again.
"""
