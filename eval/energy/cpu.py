"""CPU time of a model's answer while other threads of ours read and score other cases."""

from __future__ import annotations

import threading
import time


class WorkCpu:
    """CPU time of this process without that of threads which do other work.

    Where a thread's clock cannot be read from another one (macOS, Windows) nothing is taken off.

    Example:
        >>> clock = WorkCpu()
        >>> begin = clock.seconds()
        >>> clock.seconds() >= begin
        True
    """

    def __init__(self) -> None:
        self._others: list[int] = []

    def leave_out(self) -> None:
        """The calling thread does other work from now on, as long as it lives."""
        if hasattr(time, "pthread_getcpuclockid"):
            self._others.append(time.pthread_getcpuclockid(threading.get_ident()))

    def clear(self) -> None:
        """The threads that were left out are gone."""
        self._others = []

    def seconds(self) -> float:
        """CPU seconds; only differences mean something."""
        return time.process_time() - sum(map(time.clock_gettime, self._others))
