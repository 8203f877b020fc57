"""What this process knows of the pods of a namespace: one list and watch for all trials."""
