"""The web app in Airflow: a tab on the page of a DAG run, and an overview of all sweeps."""
