"""Exact rewrites of ONNX graphs: the same arithmetic in a form that onnxruntime computes faster.

A network whose patterns match gets them; any other is left as it is. No rewrite is taken on trust: the new
graph has to give the same numbers and to be faster here and now, or the old one is kept.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ...zoo.errors import DeviceError, MissingDependencyError, ModelError
from ...zoo.runtimes.base import Session, open_session
from .slices import slice_volumes

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

__all__ = ["Optimised", "optimise", "slice_volumes"]

#: CPU time of the new graph over that of the old, below which it has won on onnxruntime.
WINS = 0.95
#: The same on OpenVINO, where a rewritten graph must not lose in any precision.
LOSES = 1.10
_ROUNDS = 3


@dataclass(frozen=True)
class Optimised:
    """What became of a graph.

    Attributes:
        model: the graph to use, rewritten or as it was.
        rewritten: whether it is the new one.
        error: largest difference between both on the inputs tried, relative to values above 1.
        ratios: runtime (and precision) -> CPU time of the new graph over that of the old, one thread.
        why: the decision in words.
    """

    model: onnx.ModelProto
    rewritten: bool
    error: float = 0.0
    ratios: dict[str, float] = field(default_factory=dict)
    why: str = ""


def optimise(
    model: onnx.ModelProto, inputs: Sequence[NDArray[np.float32]] = (), tolerance: float = 1e-5
) -> Optimised:
    """Rewrite a graph if that is exact and faster.

    Args:
        model: with one input (N, C, ...), N free; left as it is.
        inputs: real ones, (N, C, ...), to prove it on beside random numbers.
        tolerance: largest difference that rounding explains, relative to values above 1.

    Raises:
        ModelError: the graph cannot be run.
        MissingDependencyError: onnxruntime is not installed.
    """
    new = slice_volumes(model)
    if new is None:
        return Optimised(model, False, why="nothing to rewrite: no dense 3-D convolution of known size")
    old_bytes, new_bytes = model.SerializeToString(), new.SerializeToString()
    pair = [open_session(b, "onnxruntime", "cpu", "fp32", 1) for b in (old_bytes, new_bytes)]
    tried = [_random(pair[0]), *inputs]
    error = max(_difference(*(session.run(x) for session in pair)) for x in tried)
    if not error <= tolerance:
        return Optimised(model, False, error, why=f"rewritten it differs by {error:.1e}: not kept")
    one = tried[-1][:1]
    ratios = {"onnxruntime": _ratio(pair, one)}
    if ratios["onnxruntime"] < WINS:
        ratios |= _openvino(old_bytes, new_bytes, one)
    losses = [ratio for name, ratio in ratios.items() if name != "onnxruntime" and ratio > LOSES]
    wins = ratios["onnxruntime"] < WINS and not losses
    told = ", ".join(f"{ratio:.2f}x the CPU time on {name}" for name, ratio in ratios.items())
    why = f"rewritten: {told}, differs by {error:.1e}" if wins else f"not rewritten: it would take {told}"
    return Optimised(new if wins else model, wins, error, ratios, why)


def _random(session: Session) -> NDArray[np.float32]:
    """Two samples of normal numbers of the network's input shape."""
    shape = [2, *(n or 1 for n in session.inputs[0].shape[1:])]
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def _difference(old: NDArray[np.float32], new: NDArray[np.float32]) -> float:
    return float((np.abs(old - new) / np.maximum(1, np.abs(old))).max())


def _ratio(pair: Sequence[Session], x: NDArray[np.float32]) -> float:
    """Least CPU time of the second over that of the first, taken in turns."""
    best = [np.inf, np.inf]
    for _ in range(_ROUNDS):
        for i, session in enumerate(pair):
            begin = time.process_time()
            session.run(x)
            best[i] = min(best[i], time.process_time() - begin)
    return best[1] / best[0]


def _openvino(old: bytes, new: bytes, x: NDArray[np.float32]) -> dict[str, float]:
    """Ratios on OpenVINO, if it is installed, in each precision that this processor has."""
    ratios = {}
    for precision in ("fp32", "bf16"):
        try:
            pair = [open_session(model, "openvino", "cpu", precision, 1) for model in (old, new)]
        except (MissingDependencyError, DeviceError, ModelError):
            continue
        ratios[f"openvino {precision}"] = _ratio(pair, x)
    return ratios
