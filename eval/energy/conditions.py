"""What bends a measurement of speed or energy: running on battery, a processor that throttles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .rapl import ROOT


@dataclass(frozen=True)
class Conditions:
    """The machine at one moment.

    Attributes:
        on_battery: whether a battery is being drained.
        throttled: how often cores and packages were slowed down for heat or power since boot; None where
            the machine does not tell.
        capped: the clock's limit over what the processor can, 0 to 1; None where it does not tell.
    """

    on_battery: bool
    throttled: int | None
    capped: float | None

    @classmethod
    def now(cls, root: Path = ROOT) -> Conditions:
        """Read them.

        Args:
            root: of sysfs.
        """
        return cls(_on_battery(root), _throttled(root), _capped(root))

    def notes(self, later: Conditions) -> list[str]:
        """Lines about a window from these conditions to ``later``.

        Example:
            >>> Conditions(False, 3, None).notes(Conditions(False, 7, None))
            ['the processor throttled 4 times meanwhile']
        """
        lines = []
        if self.on_battery or later.on_battery:
            lines.append("on battery: power limits differ from those on mains")
        if self.throttled is not None and later.throttled is not None and later.throttled > self.throttled:
            lines.append(f"the processor throttled {later.throttled - self.throttled} times meanwhile")
        if later.capped is not None and later.capped < 0.99:
            lines.append(f"the clock is limited to {later.capped:.0%} of what the processor can")
        return lines


def _on_battery(root: Path) -> bool:
    supplies = list((root / "class" / "power_supply").glob("*"))
    return any(_text(s / "type") == "Battery" and _text(s / "status") == "Discharging" for s in supplies)


def _throttled(root: Path) -> int | None:
    """Events of all cores, and of packages once each (every core of a package shows its package's)."""
    cpus = sorted((root / "devices" / "system" / "cpu").glob("cpu[0-9]*"))
    cores = [
        n for cpu in cpus if (n := _number(cpu / "thermal_throttle" / "core_throttle_count")) is not None
    ]
    packages = {
        _text(cpu / "topology" / "physical_package_id"): n
        for cpu in cpus
        if (n := _number(cpu / "thermal_throttle" / "package_throttle_count")) is not None
    }
    return sum(cores) + sum(packages.values()) if cores or packages else None


def _capped(root: Path) -> float | None:
    shares = []
    for folder in (root / "devices" / "system" / "cpu").glob("cpu[0-9]*/cpufreq"):
        most, can = _number(folder / "scaling_max_freq"), _number(folder / "cpuinfo_max_freq")
        if most and can:
            shares.append(most / can)
    return min(shares) if shares else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdecimal() else None
