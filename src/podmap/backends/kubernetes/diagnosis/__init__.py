"""What a pod's status means: why it waits, why it was refused, why it ended."""
