"""The ledger: the records of runs, in a folder or an object store."""
