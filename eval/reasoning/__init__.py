"""A classifier drives a language model's reasoning: benchmarks of key points, runs, scores, stability."""

from typing import TYPE_CHECKING

from ...rasterize.lazy import lazy

if TYPE_CHECKING:
    from .benchmark import Benchmark as Benchmark
    from .benchmark import read_benchmark as read_benchmark
    from .command import evaluate_reasoning as evaluate_reasoning
    from .comparing import Comparison as Comparison

_HOMES = {
    "Benchmark": "benchmark",
    "Comparison": "comparing",
    "evaluate_reasoning": "command",
    "read_benchmark": "benchmark",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy(__name__, _HOMES)
