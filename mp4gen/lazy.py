"""Lets a package load its public names on use; imports nothing else of mp4gen."""

import importlib
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType


def loader(
    package: str,
    names: Sequence[str],
    modules: Sequence[str],
    subpackages: Sequence[str] = (),
    unneeded: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the functions `__getattr__` and `__dir__` of a package.

    Args:
        package: The package's name.
        names: The public names.
        modules: The modules that define them, within the package. They are imported in this order
            until one has the requested name, so light ones go first.
        subpackages: Public subpackages.
        unneeded: Modules that are not imported for a name, though they come before its own.
    """
    namespace = vars(sys.modules[package])

    def load(name: str) -> object:
        if name in subpackages:
            return importlib.import_module(f"{package}.{name}")
        if name in names:
            skipped = unneeded.get(name, ())
            for module in (module for module in modules if module not in skipped):
                defined = vars(importlib.import_module(f"{package}.{module}"))
                _claim(package, {key: defined[key] for key in names if key in defined})
                if name in namespace:
                    return namespace[name]
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def list_names() -> list[str]:
        return sorted({*namespace, *names, *subpackages})

    return load, list_names


def _claim(package: str, found: dict[str, object]) -> None:
    for name, value in found.items():
        # Tracebacks name the package, wherever a name is defined.
        if hasattr(value, "__module__"):
            value.__module__ = package
        setattr(sys.modules[package], name, value)
