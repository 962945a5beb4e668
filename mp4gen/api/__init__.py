"""The contract with the API as values, for client and server; does no I/O."""
