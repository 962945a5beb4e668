"""From one request to its video: submit, poll, and be called back."""
