"""`runtime="executor"`: trials that run in the workers of Airflow's own executor."""
