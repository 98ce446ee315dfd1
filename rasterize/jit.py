"""One place that compiles kernels: numba's ``njit`` with a cache that survives a read-only install.

numba puts its cache beside the source file, else under the user's cache folder, and raises when neither
can be written. Here the order is: numba's own choice, then a private folder below the temporary one, then
no cache at all (every process compiles again; slower, never wrong).

Kernels are serial and release the GIL: threads over cases are safe, and no OpenMP state is lost in a fork.
"""

from __future__ import annotations

import getpass
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

_OPTIONS: dict[str, Any] = {"nogil": True, "boundscheck": False, "error_model": "numpy"}


def kernel(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile ``function`` on first call, cached on disk where a disk can be written.

    Example:
        >>> import numpy as np
        >>> @kernel
        ... def total(a):
        ...     s = 0.0
        ...     for x in a:
        ...         s += x
        ...     return s
        >>> total(np.ones(3))
        3.0
    """
    if function is None:
        return lambda f: kernel(f, **options)
    merged = {**_OPTIONS, **options}
    if merged.get("inline") == "always":
        return njit(**merged)(function)
    try:
        return njit(cache=True, **merged)(function)
    except RuntimeError:  # numba: "cannot cache function ...: no locator available"
        return _with_fallback(function, merged)


def _with_fallback(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Retry with the cache in a private temporary folder, else compile without a cache."""
    from numba.core import config

    folder = _temporary_cache()
    if folder is None:
        return njit(**options)(function)
    previous = config.CACHE_DIR
    config.CACHE_DIR = str(folder)
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:
        return njit(**options)(function)
    finally:
        config.CACHE_DIR = previous


def _temporary_cache() -> Path | None:
    """A folder only this user can write (a shared one would let others plant code), or None."""
    try:
        folder = Path(tempfile.gettempdir()) / f"voxzoo-numba-{getpass.getuser()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        owner = folder.stat().st_uid
    except (OSError, KeyError):
        return None
    mine = not hasattr(os, "getuid") or owner == os.getuid()
    return folder if mine and os.access(folder, os.W_OK) else None
