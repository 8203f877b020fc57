"""Reads sweeps of other tools, and writes specs that do the same."""
