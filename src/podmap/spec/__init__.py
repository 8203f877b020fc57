"""The spec: what a user writes, read, checked, and made into what each trial runs."""
