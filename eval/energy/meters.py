"""Which meters there are on this machine, and the choice among them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from ...zoo.errors import UsageError
from .estimate import Estimate, WattsPerCore
from .meter import Meter
from .nvml import Nvml
from .powermetrics import Powermetrics
from .rapl import ROOT, Rapl

CHOICES = ("auto", "rapl", "nvml", "powermetrics", "estimate")


def open_meters(
    choice: str = "auto",
    cuda: bool = False,
    watts: WattsPerCore | None = None,
    root: Path = ROOT,
    gpu: Callable[[], Meter] = Nvml,
) -> tuple[list[Meter], list[str]]:
    """The meters for work on the CPU, and on the GPU if it is used.

    Args:
        choice: "auto" takes a counter of the CPU where there is one that can be read, else the estimate, and
            for work on a GPU NVML; another word takes that one or fails.
        cuda: whether work is done on an NVIDIA GPU.
        watts: of the estimate.
        root: of sysfs.
        gpu: opens the GPU's counter.

    Returns:
        The meters, and notes: why a counter is not used, whose figures are estimates.

    Raises:
        UsageError: an unknown word, or the meter asked for cannot be had.

    Example:
        >>> meters, notes = open_meters("estimate")
        >>> notes
        ['energy is estimated: CPU time x 6 W per busy core (2 to 12)']
    """
    if choice not in CHOICES:
        raise UsageError(f"unknown meter {choice!r}: expected one of {', '.join(CHOICES)}")
    if choice == "rapl":
        return _with_notes([Rapl(root)])
    if choice == "nvml":
        return _with_notes([gpu()])
    if choice == "powermetrics":
        return _with_notes([Powermetrics()])
    if choice == "estimate":
        return _with_notes([Estimate(watts)])
    meters, notes = _cpu(watts, root)
    if cuda:
        try:
            meters.append(gpu())
        except UsageError as error:
            notes.append(f"the GPU's energy is not measured: {error}")
    return meters, notes + _with_notes(meters)[1]


def _cpu(watts: WattsPerCore | None, root: Path) -> tuple[list[Meter], list[str]]:
    """A counter if one can be read, else the estimate and the reason for it."""
    counter: Callable[[], Meter] = Powermetrics if sys.platform == "darwin" else lambda: Rapl(root)
    try:
        return [counter()], []
    except UsageError as error:
        return [Estimate(watts)], [f"no counter of the CPU's energy: {error}"]


def _with_notes(meters: list[Meter]) -> tuple[list[Meter], list[str]]:
    return meters, [note for meter in meters for note in meter.notes]
