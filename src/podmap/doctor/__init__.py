"""What would go wrong with sweeps here, and the setting to change: told before a run meets it."""
