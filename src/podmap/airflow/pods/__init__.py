"""`runtime="pods"`: trials that start and end in the triggerer."""
