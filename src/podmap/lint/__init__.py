"""Finds in DAG files what Airflow 3 refuses or ignores, without running them."""
