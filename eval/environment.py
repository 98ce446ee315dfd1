"""Where a run ran: Python, packages, processor, system. No host name, no user, no paths."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "voxzoo",
    "numpy",
    "scipy",
    "numba",
    "nibabel",
    "isal",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "torch",
)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
FLOORS = ("rasterize", "zoo", "eval")
NO_EFFECT = (
    "eval/bench/",
    "eval/bench_cli.py",
    "eval/cli.py",
    "eval/energy/",
    "eval/report.py",
    "eval/views/",
    "zoo/cli.py",
)
"""What prints, asks, and meters, and never computes an answer or a score."""


def describe() -> dict[str, Any]:
    """Facts about this machine and installation, JSON-ready.

    Example:
        >>> sorted(describe())
        ['cores', 'cpu', 'memory_gib', 'packages', 'platform', 'python', 'threads_env']
    """
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": _cores(),
        "memory_gib": _memory_gib(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "threads_env": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
    }


@cache
def code_version() -> str:
    """sha256 (first 16 digits) over the sources that computed the numbers: preprocessing to metrics.

    A run continued after voxzoo changed would mix two definitions; with this in the run's identity it
    is refused, and nobody has to remember to raise a number.

    Example:
        >>> len(code_version())
        16
    """
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(p for floor in FLOORS for p in (root / floor).rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not name.startswith(NO_EFFECT):
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cores() -> int:
    """Cores this process may use, which in a container are fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
