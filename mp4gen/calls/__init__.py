"""The calls of a client that are one request each."""
