"""Memory of this process: now, and the most since a moment."""

from __future__ import annotations

from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """How much more memory than at its making the process had at most, resident.

    Example:
        >>> PeakMemory().grown() in (None, 0) or True
        True
    """

    def __init__(self) -> None:
        self._before = _resident("VmRSS") if _reset() else None

    def grown(self) -> int | None:
        """Bytes; None where the system cannot tell the peak since a moment (Linux can)."""
        peak = _resident("VmHWM")
        return None if self._before is None or peak is None else max(0, peak - self._before)


def _reset() -> bool:
    """Let the kernel forget the peak so far (writing 5: see proc(5))."""
    try:
        CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _resident(name: str) -> int | None:
    try:
        lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    kib = [int(line.split()[1]) for line in lines if line.startswith(name + ":")]
    return kib[0] * 1024 if kib else None
