"""From a link to a checked file in its place."""
