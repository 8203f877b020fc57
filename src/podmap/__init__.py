"""Large ML sweeps on Apache Airflow and Kubernetes."""
