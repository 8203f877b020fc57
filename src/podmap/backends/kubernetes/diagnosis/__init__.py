"""What a pod's JSON means: why it waits, why it was refused, why it ended; a file for each."""
