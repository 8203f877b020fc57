"""Runs trials to their end: slots, attempts, retries, records."""
