"""One figure of energy, and the rules by which a counter's steps become one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ...zoo.errors import RunError


@dataclass(frozen=True)
class Facts:
    """What holds for every reading of one method.

    Attributes:
        method: its name.
        measured: whether a sensor stands behind it; a model of the hardware's power is no sensor.
        interval_s: time between two updates of the counter; 0 where it has no steps.
        least_s, least_updates: a shorter window, or one with fewer updates, gives no figure.
        error: relative error of the counter itself, either way.
    """

    method: str
    measured: bool
    interval_s: float = 0.0
    least_s: float = 0.0
    least_updates: int = 0
    error: float = 0.0


METHODS: dict[str, Facts] = {
    facts.method: facts
    for facts in (
        Facts("nvml", True, interval_s=0.1, least_s=5.0, least_updates=100, error=0.05),
        Facts("rapl", True, interval_s=0.001, least_s=1.0, least_updates=20, error=0.05),
        Facts("powermetrics", False, interval_s=0.5, least_s=5.0, least_updates=5, error=0.2),
        Facts("estimate", False),
    )
}
"""Method -> facts. NVML's counter moves every 20 to 100 ms, and its maker gives power within 5 %. RAPL's
moves every ms; for its error 5 % is an allowance of ours. Apple says of powermetrics that its powers are
estimates not to be compared between devices: hence not measured, and a wide allowance. An estimate brings its
own band."""


@dataclass(frozen=True)
class Energy:
    """Energy of a window of time, or of one of many things that were done in it.

    Attributes:
        joules: None where there is no figure: "not measured" is not 0.
        low, high: bounds; None without a figure.
        method: "nvml", "rapl", "powermetrics", "estimate", several with + between, or "none".
        measured: False for an estimate, and for every sum that one is part of.
        seconds: length of the window (of all windows together).
        updates: of the counter that were seen in it; None where it has no steps.
        covers: what was metered.
        reason: why there is no figure; "" where there is one.

    Example:
        >>> Energy(30.0, 28.0, 32.0, "rapl", True, 2.0, 900, "CPU package 0").watts
        15.0
    """

    joules: float | None
    low: float | None
    high: float | None
    method: str
    measured: bool
    seconds: float
    updates: int | None
    covers: str = ""
    reason: str = ""

    @property
    def watts(self) -> float | None:
        """Average power; None without a figure."""
        return None if self.joules is None or self.seconds <= 0 else self.joules / self.seconds

    def per(self, count: float) -> Energy:
        """The share of one of ``count`` things.

        Example:
            >>> Energy(30.0, 28.0, 32.0, "rapl", True, 2.0, 900).per(10).joules
            3.0
        """
        if count <= 0:
            return self.without("nothing to divide by")
        plain = self.to_dict()
        for name in ("joules", "low", "high", "seconds"):
            plain[name] = None if plain[name] is None else plain[name] / count
        return Energy(**plain)

    def without(self, reason: str) -> Energy:
        """The same window without a figure."""
        plain = {**vars(self), "joules": None, "low": None, "high": None, "reason": reason}
        return Energy(**plain)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready. (``dataclasses.asdict`` would take ten times as long to copy nothing.)"""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Energy:
        """The inverse of ``to_dict``.

        Raises:
            RunError: a field is missing.
        """
        try:
            return cls(**{f.name: plain[f.name] for f in fields(cls)})
        except (KeyError, TypeError) as error:
            raise RunError(f"not a reading of energy: {error}") from error


def counted(
    facts: Facts,
    joules: float,
    seconds: float,
    updates: int,
    *,
    covers: str = "",
    pieces: int = 1,
    fault: str = "",
) -> Energy:
    """A counter's steps as a figure, or the reason why they give none.

    The band is the counter's own error and, at either end of each piece, the part of an update that was not
    seen: an interval's share of the window.

    Args:
        facts: of the method.
        joules: that the counter went up.
        seconds: over which it did, all pieces together.
        updates: how often it moved.
        covers: what it meters.
        pieces: in how many parts the window was taken.
        fault: what went wrong with the counter meanwhile.

    Example:
        >>> counted(METHODS["rapl"], 30.0, 2.0, 900).low
        28.485
        >>> counted(METHODS["nvml"], 30.0, 0.2, 3).reason
        'a window of 0.2 s with 3 updates: the counter resolves 5 s and 100 updates'
    """
    if not fault and (seconds < facts.least_s or updates < facts.least_updates):
        fault = (
            f"a window of {seconds:.3g} s with {updates} updates: the counter resolves "
            f"{facts.least_s:g} s and {facts.least_updates} updates"
        )
    if fault:
        return Energy(None, None, None, facts.method, facts.measured, seconds, updates, covers, fault)
    error = facts.error + pieces * facts.interval_s / seconds
    return Energy(
        joules,
        round(joules * max(0.0, 1 - error), 9),
        round(joules * (1 + error), 9),
        facts.method,
        facts.measured,
        seconds,
        updates,
        covers,
    )


def total(readings: Iterable[Energy]) -> Energy:
    """Readings of different parts of one machine over the same window, added up.

    A sum with an estimate in it is an estimate; one without a figure leaves the sum without one.

    Example:
        >>> cpu = Energy(3.0, 1.0, 6.0, "estimate", False, 2.0, None, "CPU time")
        >>> gpu = Energy(30.0, 28.0, 32.0, "nvml", True, 2.0, 120, "GPU 0")
        >>> both = total([cpu, gpu])
        >>> both.joules, both.measured, both.method
        (33.0, False, 'estimate+nvml')
    """
    parts = list(readings)
    if not parts:
        return Energy(None, None, None, "none", False, 0.0, None, reason="nothing here meters energy")
    if len(parts) == 1:
        return parts[0]
    numbers = [[getattr(part, name) for part in parts] for name in ("joules", "low", "high")]
    sums = [None if None in values else sum(values) for values in numbers]
    updates = [part.updates for part in parts if part.updates is not None]
    return Energy(
        sums[0],
        sums[1],
        sums[2],
        "+".join(part.method for part in parts),
        all(part.measured for part in parts),
        max(part.seconds for part in parts),
        min(updates) if updates else None,
        ", ".join(part.covers for part in parts if part.covers),
        "; ".join(f"{part.method}: {part.reason}" for part in parts if part.reason),
    )
