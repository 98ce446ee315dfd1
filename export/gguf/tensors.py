"""Reading rows of a tensor in a GGUF file, in float32."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...eval.files import reason
from ...zoo.errors import IntegrityError, ModelError
from ...zoo.ggufheader import GgufHeader, GgufTensor
from . import kquants
from .pair import rows_and_columns


def read_rows(header: GgufHeader, tensor: GgufTensor, start: int, stop: int) -> npt.NDArray[np.float32]:
    """Rows of a tensor, in float32.

    Args:
        header: of the file.
        tensor: one of its tensors; ``rows_and_columns`` says what its rows are.
        start, stop: the first row, and the one behind the last.

    Raises:
        UsageError: a format that cannot be read here.
        ModelError, IntegrityError: the file cannot be read, or became shorter.
    """
    columns = rows_and_columns(tensor)[1]
    width = kquants.row_bytes(columns, tensor.type_name)
    return kquants.dequantise(
        read_bytes(header, tensor, start * width, stop * width), tensor.type_name, columns
    )


def read_bytes(header: GgufHeader, tensor: GgufTensor, start: int, stop: int) -> bytes:
    """Bytes ``start`` to ``stop`` of a tensor.

    Raises:
        ModelError, IntegrityError: the file cannot be read, or became shorter.
    """
    try:
        with open(header.name, "rb") as file:
            file.seek(tensor.offset + start)
            data = file.read(stop - start)
    except OSError as error:
        raise ModelError(f"{header.name}: cannot be read ({reason(error)})") from error
    if len(data) != stop - start:
        raise IntegrityError(f"{header.name}: became shorter while it was read; fetch it again")
    return data
