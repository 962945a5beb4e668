"""The queue: accepted tasks, their order, their record and their end."""
