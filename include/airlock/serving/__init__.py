"""The only loader for serving and batch jobs: `load_released(model, environment, ...)`.

    from airlock.serving import FromAirlock, load_released

    served = load_released(
        "employment", "production",
        release=FromAirlock("https://airflow.example.org", token),
        keys="/etc/airlock/keys", state="/var/lib/app/airlock.json",
    )
    served.predict(rows)

What may be served is asked of Airlock, never of the registry: an alias, a tag or a database row
that somebody changed serves nothing. What is loaded is a private copy whose bytes were counted,
digested and recognised here. MLflow's own loaders are not used.
"""

from airlock.serving.loading import Served, load_released
from airlock.serving.schema import InputRefused
from airlock.serving.sources import FromAirlock, FromFile, FromFolder, FromMlflow

__all__ = [
    "FromAirlock",
    "FromFile",
    "FromFolder",
    "FromMlflow",
    "InputRefused",
    "Served",
    "load_released",
]
