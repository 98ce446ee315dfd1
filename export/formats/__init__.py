"""The forms in which a model can be kept; each is one module that turns an ONNX graph into another.

All of them compute in float32 and take and give the same tensors: what differs is how the weights are kept,
and in ``onnx-qdq`` the arithmetic of the convolutions too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from ...zoo.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    Inputs = Sequence[NDArray[np.float32]]
    Convert = Callable[[onnx.ModelProto, Inputs], onnx.ModelProto]


@dataclass(frozen=True)
class Format:
    """A form to keep a model in.

    Attributes:
        name: as it is asked for.
        suffix: what the file's name ends in.
        exact: whether it computes what the network computes, but for rounding.
        fused: whether rewrites for speed suit it.
        about: a few words.
        module: that holds ``convert(model, inputs)``; "" where the graph stays as it is.
    """

    name: str
    suffix: str
    exact: bool
    fused: bool
    about: str
    module: str = ""

    def convert(self, model: onnx.ModelProto, inputs: Inputs) -> onnx.ModelProto:
        """The graph in this form.

        Args:
            model: float32; left as it is.
            inputs: what calibration may look at: real ones, each (1, C, ...).

        Raises:
            UsageError: calibration without an input.
        """
        if not self.module:
            return model
        return import_module(f".{self.module}", __name__).convert(model, inputs)


FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format("onnx", ".onnx", True, True, "float32"),
        Format("onnx-fp16", ".fp16.onnx", False, True, "weights kept in float16: half the size", "fp16"),
        Format("onnx-int8", ".int8.onnx", False, False, "weights kept in int8: a quarter of it", "int8"),
        Format("onnx-qdq", ".qdq.onnx", False, False, "weights and activations in int8, calibrated", "qdq"),
        Format("torchscript", ".ts.pt", True, False, "TorchScript: runs code, so it has to be trusted"),
    )
}


def get_format(name: str) -> Format:
    """The format called ``name``.

    Raises:
        UsageError: there is none.

    Example:
        >>> get_format("onnx-int8").suffix
        '.int8.onnx'
    """
    if name not in FORMATS:
        raise UsageError(f"unknown format {name!r}: expected one of {', '.join(FORMATS)}")
    return FORMATS[name]
