"""Convert one request to its video: submit, poll, and receive callbacks."""
