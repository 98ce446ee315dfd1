"""What a metric is worth when a mask is empty: one policy, stated once, used by every metric.

============  ===================================  ==================================
policy        one mask empty                       both masks empty
============  ===================================  ==================================
``penalty``   the metric's finite worst value      its perfect value
a number      that number                          its perfect value
``nan``       nan                                  nan
``inf``       inf                                  inf
``raise``     :class:`InputError`                  :class:`InputError`
``peer``      what the preset's own tool returns   what the preset's own tool returns
============  ===================================  ==================================

The worst value is 0 for overlaps and the image diagonal in mm for distances (:func:`diagonal_mm`), so a
missed structure always costs something and a mean over cases stays finite: with ``nan`` a model that
misses more is averaged over fewer cases and looks better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..rasterize.errors import InputError

POLICIES = ("penalty", "nan", "inf", "raise", "peer")


@dataclass(frozen=True)
class PeerEmpty:
    """What one tool returns on empty masks; ``None`` where it raises.

    Attributes:
        one: value when exactly one mask is empty.
        both: value when both are.
    """

    one: float | None
    both: float | None


def parse_empty(policy: str | float) -> str | float:
    """Check an empty policy and turn a number in a string (from a command line) into a float.

    Args:
        policy: one of ``POLICIES``, a number, or a number in a string.

    Returns:
        The policy's name, or the number.

    Raises:
        InputError: anything else.

    Example:
        >>> parse_empty("374"), parse_empty("nan")
        (374.0, 'nan')
    """
    if isinstance(policy, str) and policy in POLICIES:
        return policy
    try:
        return float(policy)
    except (TypeError, ValueError):
        raise InputError(f"empty={policy!r}: expected one of {', '.join(POLICIES)}, or a number") from None


def undefined_value(
    policy: str | float,
    *,
    both_empty: bool,
    perfect: float,
    penalty: float,
    peer: PeerEmpty | None = None,
    metric: str = "this metric",
) -> float:
    """The value of a metric whose formula says nothing, because one mask or both are empty.

    Args:
        policy: an empty policy (see the module's table).
        both_empty: True when neither mask has a voxel, False when exactly one has none.
        perfect: the metric's best value (0 for distances, 1 for overlaps).
        penalty: its finite worst value.
        peer: what the peer tool returns; needed by the policy ``peer``.
        metric: its name, for messages.

    Returns:
        A float, nan and inf included where the policy asks for them.

    Raises:
        InputError: policy ``raise``; policy ``peer`` where the peer raises or none is known; bad policy.

    Example:
        >>> undefined_value("penalty", both_empty=False, perfect=1.0, penalty=0.0)
        0.0
    """
    policy = parse_empty(policy)
    if isinstance(policy, float):
        return perfect if both_empty else policy
    if policy == "penalty":
        return perfect if both_empty else penalty
    if policy in ("nan", "inf"):
        return float(policy)
    which = "both masks are empty" if both_empty else "one of the two masks is empty"
    if policy == "raise":
        raise InputError(f"{metric} is undefined: {which}; empty='penalty' or a number gives it a value")
    return _as_peer(peer, both_empty, f"{metric}: {which}")


def _as_peer(peer: PeerEmpty | None, both_empty: bool, what: str) -> float:
    """The peer's own answer, or the error it raises, as ours."""
    if peer is None:
        raise InputError(f"{what}, and empty='peer' names no peer here; use another policy")
    value = peer.both if both_empty else peer.one
    if value is None:
        raise InputError(f"{what}, where the preset's own tool raises too; use another policy than 'peer'")
    return value


def diagonal_mm(shape: Sequence[int], spacing_mm: Sequence[float]) -> float:
    """The image diagonal from outer voxel edge to outer voxel edge: no distance inside can exceed it.

    Args:
        shape: voxels per axis.
        spacing_mm: mm per voxel, same axis order.

    Returns:
        ``sqrt(sum((shape * spacing_mm) ** 2))`` in mm.

    Example:
        The constant of the BraTS 2020 papers is that of their grid:

        >>> round(diagonal_mm((240, 240, 155), (1, 1, 1)), 2)
        373.13
    """
    return math.sqrt(sum((n * s) ** 2 for n, s in zip(shape, spacing_mm, strict=True)))
