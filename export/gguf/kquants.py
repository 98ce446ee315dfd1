"""Weights in the block formats of GGUF: quantise and dequantise arrays of rows.

F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 go through the ``gguf`` package; K-quants, which it only
reads, are written by ``ggml_quantize_chunk`` of the library that llama-cpp-python brings. Formats that need
an importance matrix (IQ) are refused: what they would be without one is not what their name promises.

A row is quantised on its own, so a caller may hand over any number of whole rows at a time.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...zoo.errors import InputError, MissingDependencyError, UsageError

#: Format -> (weights of a block, bytes of a block).
BLOCKS: dict[str, tuple[int, int]] = {
    "F32": (1, 4),
    "F16": (1, 2),
    "BF16": (1, 2),
    "Q4_0": (32, 18),
    "Q4_1": (32, 20),
    "Q5_0": (32, 22),
    "Q5_1": (32, 24),
    "Q8_0": (32, 34),
    "Q2_K": (256, 84),
    "Q3_K": (256, 110),
    "Q4_K": (256, 144),
    "Q5_K": (256, 176),
    "Q6_K": (256, 210),
}
_HALF_MAX = 65504.0
_PIP = 'pip install "voxzoo[llm]"'


def check_type(type_name: str) -> str:
    """The format's name, if it can be read and written here.

    Raises:
        UsageError: an IQ format, or none that is known.

    Example:
        >>> check_type("q8_0")
        'Q8_0'
    """
    name = type_name.upper()
    if name in BLOCKS:
        return name
    if name.startswith("IQ"):
        raise UsageError(
            f"{name} needs an importance matrix, made from text of the model's kind, which is not at hand: "
            "use Q4_K, Q5_K, Q6_K or Q8_0"
        )
    raise UsageError(f"{type_name}: not a format that is read and written here: {', '.join(BLOCKS)}")


def row_bytes(columns: int, type_name: str) -> int:
    """Bytes of a row of weights.

    Raises:
        InputError: a row is not made of whole blocks.

    Example:
        >>> row_bytes(256, "Q4_K")
        144
    """
    block, size = BLOCKS[check_type(type_name)]
    if columns < 1 or columns % block:
        raise InputError(f"{type_name} holds blocks of {block} weights, and a row has {columns}")
    return columns // block * size


def quantise(weights: NDArray[np.float32], type_name: str) -> bytes:
    """Weights as the bytes of a GGUF tensor.

    Args:
        weights: (..., columns) float32; each row on its own.
        type_name: of the format: "Q8_0", "Q4_K", "F16", ... .

    Returns:
        The rows' bytes, one after the other.

    Raises:
        InputError: rows that are not whole blocks, NaN or infinite weights, or some too large for the format.
        UsageError: an unknown format, or one that needs an importance matrix.
        MissingDependencyError: gguf, or for K-quants llama-cpp-python, is not installed.

    Example:
        >>> import numpy as np
        >>> rows = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
        >>> data = quantise(rows, "Q8_0")
        >>> len(data)
        68
        >>> bool(np.abs(dequantise(data, "Q8_0", 32) - rows).max() < 0.005)
        True
    """
    name = check_type(type_name)
    rows = np.ascontiguousarray(weights, dtype=np.float32)
    if rows.ndim < 1:
        raise InputError("a tensor has at least one dimension, and this is a single number")
    row_bytes(rows.shape[-1], name)
    _check_range(rows, name)
    rows = rows.reshape(-1, rows.shape[-1])
    if name == "F32":
        return rows.tobytes()
    if name.endswith("_K"):
        return _quantise_by_ggml(rows, name)
    package = _package()
    quantised: NDArray[Any] = package.quants.quantize(rows, package.GGMLQuantizationType[name])
    return quantised.tobytes()


def dequantise(data: bytes | memoryview | NDArray[Any], type_name: str, columns: int) -> NDArray[np.float32]:
    """The weights that a tensor's bytes stand for.

    Args:
        data: whole rows.
        type_name: of the format.
        columns: weights of a row.

    Returns:
        (rows, columns) float32, a copy.

    Raises:
        InputError: the bytes are not whole rows.
        UsageError: an unknown format.
        MissingDependencyError: gguf is not installed.

    Example:
        >>> dequantise(b"\\x00\\x3c\\x00\\xc0", "F16", 2)
        array([[ 1., -2.]], dtype=float32)
    """
    name = check_type(type_name)
    raw = np.frombuffer(data, dtype=np.uint8) if not isinstance(data, np.ndarray) else _flat_bytes(data)
    size = row_bytes(columns, name)
    if raw.size % size:
        raise InputError(f"{raw.size} bytes are no whole rows of {columns} weights of {name}, {size} each")
    rows = raw.reshape(-1, size)
    if name == "F32":
        return rows.view(np.float32).copy()
    if name == "F16":
        return rows.view(np.float16).astype(np.float32)
    package = _package()
    weights = package.quants.dequantize(rows, package.GGMLQuantizationType[name])
    return np.asarray(weights, dtype=np.float32).reshape(-1, columns)


def _flat_bytes(data: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(data).reshape(-1).view(np.uint8)


def _check_range(rows: NDArray[np.float32], name: str) -> None:
    """Refuse what the format, whose scales are float16, cannot hold; native code would write nonsense."""
    if not rows.size:
        return
    largest = max(abs(float(rows.max())), abs(float(rows.min())))  # NaN passes through both
    if not np.isfinite(largest):
        raise InputError(f"weights with NaN or infinity cannot be written as {name}")
    if name not in ("F32", "BF16") and largest > _HALF_MAX:
        raise InputError(f"a weight of {largest:.3g} is too large for {name}, which ends at {_HALF_MAX:g}")


def _quantise_by_ggml(rows: NDArray[np.float32], name: str) -> bytes:
    kind = int(_package().GGMLQuantizationType[name])
    out = np.empty((rows.shape[0], row_bytes(rows.shape[1], name)), dtype=np.uint8)
    written = _library().ggml_quantize_chunk(
        kind, rows.ctypes.data, out.ctypes.data, 0, rows.shape[0], rows.shape[1], None
    )
    if written != out.nbytes:
        raise InputError(f"ggml wrote {written} bytes of {name} where {out.nbytes} were expected")
    return out.tobytes()


def _package() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise MissingDependencyError(f"GGUF formats need gguf: {_PIP}") from error
    return gguf


@cache
def _library() -> ctypes.CDLL:
    """ggml, as llama-cpp-python brings it."""
    spec = find_spec("llama_cpp")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(f"K-quants are written by llama-cpp-python: {_PIP}")
    folder = Path(next(iter(spec.submodule_search_locations))) / "lib"
    names = {"win32": ("ggml-base.dll", "libggml-base.dll"), "darwin": ("libggml-base.dylib",)}
    found = [folder / n for n in names.get(sys.platform, ("libggml-base.so",)) if (folder / n).is_file()]
    if not found:
        raise MissingDependencyError(f"{folder}: no ggml-base library: {_PIP}")
    library = ctypes.CDLL(str(found[0]))
    size, pointer = ctypes.c_int64, ctypes.c_void_p
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, pointer, pointer, size, size, size, pointer]
    return library
