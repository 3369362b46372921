"""The embedded platform: PostgreSQL, Airflow, MLflow and Airlock on one machine.

`components.py` is the one place that says which processes there are; `lifecycle.py` brings
them up and down; everything else here is one concern each. Nothing in this package reads
`os.environ` or the settings: values come in through `Site` and `Options`.
"""
