"""The queue: accepted tasks, their order and their record."""
