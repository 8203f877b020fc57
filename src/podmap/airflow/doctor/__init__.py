"""The doctor as a task of Airflow: what it sees from the triggerer, and then from a worker."""
