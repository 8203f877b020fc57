"""What every store, ledger, search and backend must do, as test classes to be subclassed."""
