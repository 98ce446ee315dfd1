"""Packages whose names are loaded when they are first used, so that importing one costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """What a package sets its ``__getattr__`` and ``__dir__`` to (PEP 562).

    Args:
        package: its ``__name__``.
        homes: public name -> the module below the package that defines it; a name that is its own home is
            that module.

    Example:
        >>> get, names = lazy("voxzoo.rasterize", {"RULES": "polygons", "errors": "errors"})
        >>> names(), get("errors").__name__, "center" in get("RULES")
        (['RULES', 'errors'], 'voxzoo.rasterize.errors', True)
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f".{homes[name]}", package)
        return module if name == homes[name] else getattr(module, name)

    return get, lambda: sorted(homes)
