"""Static int8: activations and weights quantised, their ranges taken from real inputs.

Written by onnxruntime's own quantiser as QuantizeLinear / DequantizeLinear pairs around convolutions and
matrix products. Weights take 7 bits: on processors without VNNI, products of 8-bit numbers saturate.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ...zoo.errors import UsageError


def convert(model: onnx.ModelProto, inputs: Sequence[NDArray[np.float32]] = ()) -> onnx.ModelProto:
    """The quantised model.

    Args:
        model: float32.
        inputs: the calibration set, each (1, C, ...); a handful of typical ones.

    Raises:
        UsageError: no input to calibrate on.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    if not inputs:
        raise UsageError("onnx-qdq takes the ranges of activations from real inputs: give some with --data")
    with tempfile.TemporaryDirectory() as folder, _quiet():
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(model, before)
        quantize_static(
            before,
            after,
            _Reader(model.graph.input[0].name, inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "ConvTranspose", "Gemm", "MatMul"],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(after)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantiser's advice, which it gives to the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


class _Reader:
    """The calibration set as onnxruntime wants it: ``get_next`` until None."""

    def __init__(self, name: str, inputs: Sequence[NDArray[np.float32]]) -> None:
        self._name, self._inputs = name, iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._inputs, None)
        return None if batch is None else {self._name: batch}

    def __len__(self) -> int:
        return len(list(self._inputs))
