"""What a user sets: the arguments and the account of a client, checked before any request."""
