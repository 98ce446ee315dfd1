"""Watching a meter: how often its counter moves, whether it stopped or was reset, windows between marks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from .estimate import Estimate
from .meter import Meter
from .reading import Energy, counted

POLL_S = 0.02
STALL_S = 3.0
"""A counter that does not move for so long has stopped: even an idle chip draws power."""


class Mark(NamedTuple):  # made twice an item: a frozen dataclass takes five times as long
    """A moment.

    Attributes:
        seconds: of the clock.
        joules: that the meter shows.
        updates: of the counter so far.
        faults: so far.
    """

    seconds: float
    joules: float
    updates: int
    faults: int


class Recorder:
    """Follows one meter from a thread of its own; use it with ``with``.

    A meter without steps (the estimate) needs no thread: it is read at marks alone.

    Args:
        meter: what to follow; closed at the end.
        poll_s: time between two looks; 0 starts no thread, and whoever asks calls ``look``.
        clock: seconds.

    Example:
        >>> with Recorder(Estimate()) as recorder:
        ...     begin = recorder.mark()
        ...     recorder.between(begin, recorder.mark()).method
        'estimate'
    """

    def __init__(
        self, meter: Meter, poll_s: float = POLL_S, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.meter, self._poll_s, self._clock = meter, poll_s, clock
        self.steps = meter.facts.interval_s > 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._faults: list[str] = []
        self._told = 0
        self._updates, self._joules, self._moved, self._stopped = 0, meter.joules(), clock(), False

    def __enter__(self) -> Recorder:
        if self.steps and self._poll_s > 0:
            self._thread = threading.Thread(target=self._watch, name="voxzoo-energy", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self.meter.close()

    def _watch(self) -> None:
        while not self._ended.wait(self._poll_s):
            self.look()

    def look(self) -> float:
        """Read the counter once.

        Returns:
            Joules since the meter was opened.
        """
        with self._lock:
            try:
                joules = self.meter.joules()
            except OSError as error:
                self._fault(f"the counter cannot be read any more: {error}")
                return self._joules
            for fault in self.meter.faults[self._told :]:
                self._told += 1
                self._fault(fault)
            now = self._clock()
            if joules != self._joules:
                self._updates += 1
                self._joules, self._moved, self._stopped = joules, now, False
            elif self.steps and now - self._moved > STALL_S and not self._stopped:
                self._stopped = True
                self._fault(f"the counter has not moved for {now - self._moved:.1f} s: it stopped")
            return joules

    def _fault(self, reason: str) -> None:
        if not self._faults or self._faults[-1] != reason:
            self._faults.append(reason)

    def mark(self) -> Mark:
        """This moment."""
        joules = self.look()
        return Mark(self._clock(), joules, self._updates, len(self._faults))

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that went wrong so far, in the order in which it was seen: resets, stalls, failures."""
        return tuple(self._faults)

    def fault_between(self, begin: Mark, end: Mark) -> str:
        """What went wrong in a window; "" if nothing did. A counter that has stopped stays at fault."""
        if end.faults > begin.faults:
            return self._faults[begin.faults]
        return self._faults[-1] if self._stopped else ""

    def between(self, begin: Mark, end: Mark) -> Energy:
        """The energy of a window: a figure, or the reason why there is none."""
        joules, seconds = end.joules - begin.joules, end.seconds - begin.seconds
        meter = self.meter
        if isinstance(meter, Estimate):
            return meter.watts.of(joules / meter.watts.likely, seconds)
        return counted(
            meter.facts,
            joules,
            seconds,
            end.updates - begin.updates,
            covers=meter.covers,
            fault=self.fault_between(begin, end),
        )
