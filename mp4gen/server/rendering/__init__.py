"""Renders in worker processes: supervised, estimated, previewed."""
