"""Apple's powermetrics: the powers that macOS estimates for the parts of a Mac's chip, added up over time.

It needs root. Its manual says that its powers are estimated, may be inaccurate and are not to be used to
compare devices, so readings are marked as estimated.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from ...zoo.errors import UsageError
from .reading import METHODS

COMMAND = ("powermetrics", "--samplers", "cpu_power,gpu_power", "-i", "500", "-b", "1")
_HEADER = re.compile(r"\*{3} Sampled system activity .*\((?P<ms>[\d.]+)ms elapsed\)")
_POWER = re.compile(r"^(?P<what>Combined Power \(.*\)|CPU Power|GPU Power|ANE Power): (?P<mw>[\d.]+) mW")
_INTEL = re.compile(r"^Intel energy model derived package power .*: (?P<w>[\d.]+)W")


@dataclass(frozen=True)
class Sample:
    """One sample: how long it took, and the average power in it."""

    seconds: float
    watts: float


def parse(lines: Iterable[str]) -> Iterator[Sample]:
    """Samples from powermetrics' text, each as soon as the next one begins; the last at the end.

    The combined power is taken where it is printed, else the sum of the parts.

    Example:
        >>> text = '''*** Sampled system activity (Sat Jan  3 10:00:00 2026 +0000) (500.00ms elapsed) ***
        ... CPU Power: 4000 mW
        ... GPU Power: 1000 mW'''
        >>> list(parse(text.splitlines()))
        [Sample(seconds=0.5, watts=5.0)]
    """
    seconds, parts = 0.0, dict[str, float]()
    for line in lines:
        header, power, intel = _HEADER.search(line), _POWER.match(line.strip()), _INTEL.match(line.strip())
        if header:
            yield from _sample(seconds, parts)
            seconds, parts = float(header["ms"]) / 1000, {}
        elif power:
            parts[power["what"].split(" ")[0]] = float(power["mw"]) / 1000
        elif intel:
            parts["Combined"] = float(intel["w"])
    yield from _sample(seconds, parts)


def _sample(seconds: float, parts: dict[str, float]) -> Iterator[Sample]:
    if seconds > 0 and parts:
        yield Sample(seconds, parts.get("Combined", sum(parts.values())))


class Powermetrics:
    """A running powermetrics.

    Args:
        stream: lines of its output; None starts it.

    Raises:
        UsageError: this is no Mac, or it may not be run.
    """

    facts = METHODS["powermetrics"]
    part = "cpu"
    covers = "CPU, GPU and ANE of the chip"

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._joules, self.samples = 0.0, 0
        self.notes: tuple[str, ...] = ("energy is macOS's own estimate (powermetrics)",)
        lines: Any = stream
        if lines is None:
            self._process = _start()
            lines = self._process.stdout
        self._thread = threading.Thread(target=self._follow, args=(lines,), daemon=True)
        self._thread.start()

    def _follow(self, lines: Iterable[str]) -> None:
        for sample in parse(lines):
            self._joules += sample.seconds * sample.watts
            self.samples += 1

    def joules(self) -> float:
        """Joules of the samples so far."""
        return self._joules

    @property
    def faults(self) -> list[str]:
        """That it ended by itself."""
        ended = self._process is not None and self._process.poll() is not None
        return ["powermetrics ended"] if ended else []

    def close(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None
        self._thread.join(timeout=1)


def _start() -> subprocess.Popen[str]:
    path = shutil.which(COMMAND[0])
    if sys.platform != "darwin" or path is None:
        raise UsageError("powermetrics: only macOS has it")
    process = subprocess.Popen(
        [path, *COMMAND[1:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        process.wait(0.3)
    except subprocess.TimeoutExpired:
        return process
    said = (process.stderr.read() if process.stderr else "").strip()
    raise UsageError(f"{path}: {said or 'cannot be run'}: run the command with sudo")
