"""A trial's pod as the API server is asked for it, and the fields that podmap reads of one."""
