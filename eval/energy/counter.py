"""A raw counter that wraps around or is reset, as joules that only go up."""

from __future__ import annotations

from collections.abc import Sequence

MOST_WATTS = 20_000.0
"""Nothing that one counter meters draws more: a larger step is no energy."""
SLACK_S = 0.2
"""A counter may be this late; a step is compared with the time passed and this."""


class Unwrapped:
    """Joules since the first reading.

    A reading below the one before is a wrap if going on from 0 after one of ``ranges`` is a step that the
    time passed allows; otherwise the counter was reset. What a reset hides is lost, and ``faults`` says so.

    Args:
        ranges: joules after which the counter may begin again at 0.
        name: of the counter, said before its faults.
        faults: where to note them; several counters of one meter may share it.

    Example:
        >>> counter = Unwrapped([100.0])
        >>> [counter.add(raw, now) for raw, now in ((90.0, 0.0), (98.0, 1.0), (3.0, 2.0))]
        [0.0, 8.0, 13.0]
    """

    def __init__(self, ranges: Sequence[float], name: str = "", faults: list[str] | None = None) -> None:
        self._ranges, self._name = ranges, name
        self._last: tuple[float, float] | None = None
        self.joules = 0.0
        self.faults: list[str] = [] if faults is None else faults

    def add(self, raw: float, now: float) -> float:
        """Take a reading.

        Args:
            raw: joules that the counter shows.
            now: seconds of a clock that only goes on.

        Returns:
            Joules since the first reading.
        """
        if self._last is not None:
            self.joules += self._step(raw, now)
        self._last = raw, now
        return self.joules

    def _step(self, raw: float, now: float) -> float:
        last, before = self._last or (raw, now)
        most = MOST_WATTS * (now - before + SLACK_S)
        step = raw - last
        if 0 <= step <= most:
            return step
        wrapped = [step + size for size in self._ranges if 0 <= step + size <= most] if step < 0 else []
        if wrapped:
            return min(wrapped)
        who = f"{self._name}: " if self._name else ""
        self.faults.append(f"{who}the counter went from {last:.3f} J to {raw:.3f} J: it was reset")
        return 0.0
