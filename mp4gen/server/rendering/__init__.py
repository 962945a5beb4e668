"""Rendering in worker processes: supervision, estimates, previews."""
