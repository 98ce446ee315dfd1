"""NVML: the energy counter of NVIDIA GPUs since Volta, in mJ since the driver was loaded.

The library is called through ctypes, so no package is needed; the whole board is metered, whoever uses it.
https://docs.nvidia.com/deploy/nvml-api/
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ...zoo.errors import UsageError
from .counter import Unwrapped
from .reading import METHODS

LIBRARIES = ("libnvidia-ml.so.1", "libnvidia-ml.so", "nvml.dll")
RANGES_J = (2**32 * 1e-3, 2**64 * 1e-3)
"""The counter has 64 bits; a driver that shows 32 of them wraps after 50 days at a kilowatt."""
_NOT_SUPPORTED, _NO_PERMISSION = 3, 4


class Gpu(Protocol):
    """One GPU's counter, as the library or a test has it."""

    name: str

    def millijoules(self) -> int:
        """The counter. Raises OSError where it cannot be read."""
        ...


class LibraryGpu:
    """A GPU through libnvidia-ml.

    Args:
        which: its index, or its UUID ("GPU-...").
        library: an opened libnvidia-ml; None opens the machine's.

    Raises:
        UsageError: no driver, no such GPU, or one without the counter (older than Volta).
    """

    def __init__(self, which: int | str = 0, library: Any = None) -> None:
        self._library = _open_library() if library is None else library
        self._call("nvmlInit_v2")
        self._handle = ctypes.c_void_p()
        if isinstance(which, int):
            self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(which), ctypes.byref(self._handle))
        else:
            self._call("nvmlDeviceGetHandleByUUID", which.encode(), ctypes.byref(self._handle))
        text = ctypes.create_string_buffer(96)
        self._call("nvmlDeviceGetName", self._handle, text, ctypes.c_uint(96))
        self.name = text.value.decode(errors="replace")
        self._value = ctypes.c_ulonglong()
        self._read = self._library.nvmlDeviceGetTotalEnergyConsumption
        code = self._read(self._handle, ctypes.byref(self._value))
        if code == _NOT_SUPPORTED:
            raise UsageError(f"NVML: {self.name} has no energy counter: those since Volta have one")
        if code:
            raise UsageError(f"NVML: the energy counter of {self.name} cannot be read: {self._say(code)}")

    def millijoules(self) -> int:
        """The counter."""
        code = self._read(self._handle, ctypes.byref(self._value))
        if code:
            raise OSError(f"NVML: {self._say(code)}")
        return int(self._value.value)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            how = ": ask for access to /dev/nvidia*, or run as root" if code == _NO_PERMISSION else ""
            raise UsageError(f"NVML: {name}: {self._say(code)}{how}")

    def _say(self, code: int) -> str:
        say = self._library.nvmlErrorString
        say.restype = ctypes.c_char_p
        return f"{(say(code) or b'error').decode(errors='replace')} ({code})"


def _open_library() -> Any:
    for name in LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise UsageError(f"NVML: no NVIDIA driver here ({LIBRARIES[0]} is not found)")


def visible_gpu(environment: Mapping[str, str] | None = None) -> int | str:
    """Index or UUID of the GPU that CUDA calls device 0.

    NVML counts all GPUs, whatever CUDA_VISIBLE_DEVICES says.

    Example:
        >>> visible_gpu({}), visible_gpu({"CUDA_VISIBLE_DEVICES": "2,3"})
        (0, 2)
        >>> visible_gpu({"CUDA_VISIBLE_DEVICES": "GPU-8932f937"})
        'GPU-8932f937'
    """
    environment = os.environ if environment is None else environment
    first = environment.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    return first if first.startswith(("GPU-", "MIG-")) else int(first) if first.isdecimal() else 0


class Nvml:
    """The energy counter of one GPU.

    Args:
        gpu: whose; None for the one that CUDA calls device 0.
        clock: seconds.

    Raises:
        UsageError: there is none that can be read.
    """

    facts = METHODS["nvml"]
    part = "gpu"

    def __init__(self, gpu: Gpu | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        self._gpu = LibraryGpu(visible_gpu()) if gpu is None else gpu
        self._clock = clock
        self._unwrapped = Unwrapped(RANGES_J)
        self.joules()
        self.covers = f"GPU {self._gpu.name} (whole board)"
        self.notes: tuple[str, ...] = ()

    def joules(self) -> float:
        """Joules since this was opened."""
        return self._unwrapped.add(self._gpu.millijoules() * 1e-3, self._clock())

    @property
    def faults(self) -> list[str]:
        """Resets (a driver that was loaded again)."""
        return list(self._unwrapped.faults)

    def close(self) -> None:
        """Nothing to let go of: other parts of the process may use the library."""
