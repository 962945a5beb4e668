"""Callbacks: the reports of finished tasks that the server sends."""
