"""Searches: which params to try."""
