"""Searches that learn: kinds whose next params come from how the trials before have ended."""
