"""RAPL: the energy counters of x86 processors, from Linux's powercap tree.

Only package zones are read: their sub-zones (core, uncore) are parts of them, "psys" holds them, and
``intel-rapl-mmio`` shows a package a second time. Memory (the sub-zone "dram") is not in a package's figure.
https://docs.kernel.org/power/powercap/powercap.html
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...zoo.errors import UsageError
from .counter import Unwrapped
from .reading import METHODS

ROOT = Path("/sys")
_ZONE = re.compile(r"intel-rapl(?P<mmio>-mmio)?:\d+")
HOW = "sudo chmod a+r {path} (until the next boot), or run as root"


@dataclass(frozen=True)
class Zone:
    """A package's counter.

    Attributes:
        name: "package-0".
        path: the file ``energy_uj``.
        range_uj: where it begins again at 0.
    """

    name: str
    path: Path
    range_uj: int


def zones(root: Path = ROOT) -> list[Zone]:
    """The packages of a machine, each once; none where the tree has none.

    Args:
        root: of sysfs.

    Raises:
        UsageError: a zone's size cannot be read.
    """
    found: dict[str, tuple[bool, Path]] = {}
    tree = root / "class" / "powercap"
    for path in sorted(tree.iterdir()) if tree.is_dir() else ():
        match = _ZONE.fullmatch(path.name)
        name = _text(path / "name") if match else ""
        if match and name.startswith("package"):
            mmio = bool(match["mmio"])
            if name not in found or (found[name][0] and not mmio):
                found[name] = mmio, path
    return [_zone(name, path) for name, (_, path) in sorted(found.items())]


def _zone(name: str, path: Path) -> Zone:
    text = _text(path / "max_energy_range_uj")
    if not text.isdecimal():
        raise UsageError(f"{path / 'max_energy_range_uj'}: got {text!r}, expected a number of microjoules")
    return Zone(name, path / "energy_uj", int(text))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


class Rapl:
    """The packages of this machine together.

    Args:
        root: of sysfs.
        clock: seconds.

    Raises:
        UsageError: there is no package zone, or its counter may not be read; the message names the file and
            says how to get at it.
    """

    facts = METHODS["rapl"]
    part = "cpu"

    def __init__(self, root: Path = ROOT, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._files: list[tuple[int, Unwrapped]] = []
        self.faults: list[str] = []  # resets, with the package's name
        found = zones(root)
        if not found:
            raise UsageError(f"{root / 'class' / 'powercap'}: no package zone of RAPL (a virtual machine?)")
        try:
            for zone in found:
                counter = Unwrapped([zone.range_uj * 1e-6], zone.name, self.faults)
                self._files.append((_open(zone), counter))
            self.joules()
        except BaseException:
            self.close()
            raise
        self.covers = f"CPU {', '.join(zone.name for zone in found)} (without memory)"
        self.notes: tuple[str, ...] = ()

    def joules(self) -> float:
        """Joules of all packages since this was opened."""
        now = self._clock()
        return sum([counter.add(_read(file), now) for file, counter in self._files])

    def close(self) -> None:
        """Close the files."""
        for file, _ in self._files:
            os.close(file)
        self._files = []


def _open(zone: Zone) -> int:
    try:
        return os.open(zone.path, os.O_RDONLY)
    except PermissionError as error:
        raise UsageError(f"{zone.path}: no permission to read it: {HOW.format(path=zone.path)}") from error
    except OSError as error:
        raise UsageError(f"{zone.path}: cannot be read: {error.strerror}") from error


def _read(file: int) -> float:
    """Joules. The file stays open, and sysfs gives a fresh value to each read from its start."""
    text = os.pread(file, 64, 0)
    try:
        return int(text) * 1e-6
    except ValueError as error:
        raise OSError(f"energy_uj holds {text!r}") from error
