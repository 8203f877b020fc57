"""What runs attempts: a protocol, and one package for each kind."""
