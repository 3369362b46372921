"""The pages in Airflow, one file for each."""
