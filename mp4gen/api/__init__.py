"""The contract with the API, both sides of it, as values; does no I/O."""
