"""What a machine can do: matrix products through the very runtime, device, precision and threads."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from functools import cache

import numpy as np

from ...zoo import wire
from ...zoo.errors import DeviceError, MissingDependencyError, ModelError
from ...zoo.runtimes.base import open_session

SIZE = 1024
SECONDS = 0.5


def gemm_model(rows: int = SIZE, size: int = SIZE, times: int = 8) -> bytes:
    """An ONNX file that multiplies its input (rows, size) with one constant matrix, ``times`` times.

    Example:
        >>> len(gemm_model(2, 4, 1)) < 300
        True
    """
    # A rotation by a right angle keeps every value as it is: nothing overflows, nothing becomes denormal.
    matrix = np.roll(np.eye(size, dtype="<f4"), 1, axis=1)
    text = {name: name.encode() for name in ("x", "w", "MatMul", "gemm")}
    nodes = [
        _bytes(1, *[(1, b"x" if k == 0 else b"y%d" % (k - 1)), (1, text["w"])],
               (2, b"y" if k == times - 1 else b"y%d" % k), (4, text["MatMul"]))
        for k in range(times)
    ]  # fmt: skip
    weights = _field(5, _int(1, size) * 2 + _int(2, 1) + _field(8, b"w") + _field(9, matrix.tobytes()))
    ports = _port(11, b"x", rows, size) + _port(12, b"y", rows, size)
    graph = b"".join(nodes) + _field(2, text["gemm"]) + weights + ports
    return _int(1, 8) + _field(7, graph) + _field(8, _int(2, 17))


_field = wire.encode_bytes


def _int(number: int, value: int) -> bytes:
    return wire.encode_varint(number << 3) + wire.encode_varint(value)


def _bytes(number: int, *fields: tuple[int, bytes]) -> bytes:
    return _field(number, b"".join(_field(n, value) for n, value in fields))


def _port(number: int, name: bytes, rows: int, columns: int) -> bytes:
    """ValueInfoProto of a float tensor."""
    dims = b"".join(_field(1, _int(1, n)) for n in (rows, columns))
    tensor = _field(1, _int(1, 1) + _field(2, dims))
    return _bytes(number, (1, name), (2, tensor))


def import_runtime(name: str, device: str, precision: str) -> None:
    """Open a tiny network, so that importing the runtime's package is no part of a model's load time."""
    with suppress(DeviceError, MissingDependencyError, ModelError):
        open_session(gemm_model(1, 4, 1), name, device, precision, 1)


@cache
def peak_flops(runtime: str, device: str, precision: str, threads: int) -> float | None:
    """Operations per second of matrix products, the best of some runs; None where the runtime cannot.

    Args:
        runtime: "onnxruntime" or "openvino"; others have no peak here.
        device, precision, threads: as the model has them.
    """
    times = 256 if device == "cuda" else 8  # moving the matrices to and fro must not count
    model = gemm_model(times=times)
    try:
        session = open_session(model, runtime, device, precision, threads)
        x = np.ones((SIZE, SIZE), np.float32)
        session.run(x)
        best, end = math.inf, time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            begin = time.perf_counter()
            session.run(x)
            best = min(best, time.perf_counter() - begin)
    except (DeviceError, MissingDependencyError, ModelError):
        return None
    return 2.0 * SIZE**3 * times / best
