"""Where finished videos are kept: in the data directory, or in a bucket of an object storage."""
