"""Serves the web app: what is asked of runs, for `podmap ui` and for Airflow's tab."""
