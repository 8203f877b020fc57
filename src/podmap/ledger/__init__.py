"""The ledger: the records of runs, in a folder or in any store that fsspec knows."""
