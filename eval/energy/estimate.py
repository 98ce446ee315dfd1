"""Where nothing can be metered: CPU time times watts per busy core, with a band that says how rough that is.

A busy core draws what its processor's power limit leaves it: 3.8 W on an EPYC 9654 (360 W, 96 cores), 4.4 W
on an EPYC 7763 (280 W, 64), 6.8 W on a Xeon Platinum 8380 (270 W, 40), 6.6 to 8.9 W on a Ryzen 9 5950X
(105 W, at most 142 W, 16), 10.5 W on a Core i9-13900K (253 W, 24): makers' public figures. 6 W is amid them;
the low end of the band is a hardware thread that shares its core, the high end a processor with few busy
cores and a high clock.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from ...zoo.errors import UsageError
from .reading import METHODS, Energy

COVERS = "CPU time of this process"


@dataclass(frozen=True)
class WattsPerCore:
    """What a busy core draws.

    Attributes:
        low, likely, high: watts.

    Raises:
        UsageError: not 0 < low <= likely <= high.
    """

    low: float = 2.0
    likely: float = 6.0
    high: float = 12.0

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.likely <= self.high < math.inf:
            raise UsageError(f"watts per core: got {self}, expected 0 < low <= likely <= high")

    def __str__(self) -> str:
        return f"{self.likely:g} W per busy core ({self.low:g} to {self.high:g})"

    @classmethod
    def parse(cls, text: str) -> WattsPerCore:
        """From ``LOW:LIKELY:HIGH``, or one number that is all three.

        Raises:
            UsageError: something else.

        Example:
            >>> WattsPerCore.parse("3:5:8").likely, WattsPerCore.parse("7").high
            (5.0, 7.0)
        """
        try:
            numbers = [float(word) for word in text.split(":")]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 3):
            raise UsageError(f"watts per core: got {text!r}, expected W or LOW:LIKELY:HIGH in watts")
        return cls(*(numbers * 3 if len(numbers) == 1 else numbers))

    def of(self, cpu_seconds: float, seconds: float) -> Energy:
        """What so much CPU time is estimated to have cost.

        Args:
            cpu_seconds: of all threads together.
            seconds: in how much time.

        Example:
            >>> WattsPerCore().of(2.0, 1.5).joules
            12.0
        """
        likely, low, high = (cpu_seconds * watts for watts in (self.likely, self.low, self.high))
        return Energy(likely, low, high, "estimate", False, seconds, None, COVERS)


class Estimate:
    """A meter that multiplies CPU time with watts.

    Args:
        watts: per busy core.
    """

    facts = METHODS["estimate"]
    part = "cpu"
    covers = COVERS

    def __init__(self, watts: WattsPerCore | None = None) -> None:
        self.watts = watts or WattsPerCore()
        self.notes: tuple[str, ...] = (f"energy is estimated: CPU time x {self.watts}",)
        self._began = time.process_time()

    def joules(self) -> float:
        """The likely joules of the CPU time since this was made."""
        return (time.process_time() - self._began) * self.watts.likely

    @property
    def faults(self) -> list[str]:
        """None: a process's CPU time is never reset."""
        return []

    def close(self) -> None:
        """Nothing to let go of."""
