"""`runtime="operator"`: trials as pods of Airflow's own KubernetesPodOperator."""
