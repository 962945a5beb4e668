"""Keeps settings of the machine out of the tests."""

from __future__ import annotations

import os

import pytest


def remove_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the proxies of the environment: they cannot reach the servers of the tests."""
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
