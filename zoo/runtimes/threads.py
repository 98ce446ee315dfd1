"""How many threads a runtime gets when nobody says: the physical cores that this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_CGROUPS = Path("/sys/fs/cgroup")


def default_threads() -> int:
    """Physical cores within the affinity mask, the cgroup's CPU quota and SLURM_CPUS_PER_TASK; at least 1.

    Example:
        >>> default_threads() >= 1
        True
    """
    limits = [_cores(_allowed_cpus()), _quota(), _slurm()]
    return max(1, min(n for n in limits if n is not None))


def _allowed_cpus() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _cores(cpus: list[int]) -> int:
    """Physical cores among ``cpus``: hardware threads of one core count once (each its own if unknown)."""
    return len({_siblings(cpu) for cpu in cpus})


def _siblings(cpu: int) -> str:
    return _read(_CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list") or str(cpu)


def _quota() -> int | None:
    """CPUs that the cgroup may use (v2, then v1), rounded up; None without a limit."""
    words = _read(_CGROUPS / "cpu.max").split()
    if len(words) != 2:
        words = [_read(_CGROUPS / "cpu" / f"cpu.cfs_{what}_us") for what in ("quota", "period")]
    try:
        quota, period = (int(w) for w in words)
    except ValueError:  # "max", or nothing there
        return None
    return math.ceil(quota / period) if quota > 0 and period > 0 else None


def _slurm() -> int | None:
    text = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return int(text) if text.isdecimal() and int(text) > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
