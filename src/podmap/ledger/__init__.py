"""The records of runs, on any fsspec URI."""
